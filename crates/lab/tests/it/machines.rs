//! Simulated machines from outside: deployed through the simulated MAAS with a hand-made cloud-config, watched over the
//! Kubernetes API they then serve.

mod api;
mod cluster;
mod cuts;
mod kubectl;
mod power;
mod site;
mod support;
mod user_data;
