//! How a machine becomes a node: what it is told at its deployment, so that it sets up upstream Kubernetes by kubeadm.

mod artifacts;
mod base;
mod gateway;
mod kubeadm;
pub mod manifests;
mod units;

pub use kubeadm::Kubeadm;
