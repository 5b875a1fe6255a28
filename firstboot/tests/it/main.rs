//! The user-data of nodes, as cloud-init, systemd, kubeadm and the kubelet read it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;
mod kubeadm;
mod roles;
