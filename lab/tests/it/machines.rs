//! Simulated machines from outside: deployed through the simulated MAAS with a hand-made cloud-config, watched over the
//! Kubernetes API they then serve.

mod api;
mod cluster;
mod cuts;
mod either;
mod kubeadm;
mod kubeadm_power;
mod kubeadm_support;
mod kubeadm_user_data;
mod kubectl;
mod power;
mod site;
mod support;
mod user_data;
