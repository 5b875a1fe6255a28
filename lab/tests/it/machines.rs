//! Simulated machines from outside: deployed through the simulated MAAS with the product's own user-data, watched over the
//! Kubernetes API they then serve.

mod api;
mod cluster;
mod cuts;
mod forming;
mod kubectl;
mod membership;
mod power;
mod site;
mod support;
mod user_data;
