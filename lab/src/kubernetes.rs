//! The Kubernetes of simulated machines, whatever brought it there: an API server over TLS that the real `kubectl` can use,
//! controllers for nodes and DaemonSets, a kubelet, and what stands for etcd.
//!
//! It is not Kubernetes: no scheduler, no admission, no networks, one container a pod. What it does answer it answers as
//! Kubernetes does. How a machine comes to run it is [`crate::kubeadm`]'s part.

mod bearer;
pub(crate) mod caller;
pub(crate) mod controllers;
pub(crate) mod datastore;
pub(crate) mod handler;
pub(crate) mod images;
pub(crate) mod kinds;
pub(crate) mod kubeconfig;
pub(crate) mod kubelet;
pub(crate) mod logs;
pub(crate) mod objects;
mod patch;
pub(crate) mod pki;
pub(crate) mod rbac;
pub(crate) mod refusal;
pub(crate) mod registration;
mod selector;
pub(crate) mod serve;
mod table;
mod watch;

pub(crate) use datastore::Datastores;

use std::time::Duration;

/// TCP port of the Kubernetes API.
pub(crate) const API_PORT: u16 = 6443;

/// How fast Kubernetes does its rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a node renews its lease and looks for pods.
    pub heartbeat: Duration,
    /// How long a node may be silent before it counts as not ready.
    pub grace: Duration,
    /// How often controllers look at everything.
    pub round: Duration,
    /// The shortest pause before a container is started again; it doubles up to 32 times this.
    pub restart: Duration,
}

impl Timing {
    /// As in a real cluster: heartbeat 10 s, grace 50 s, restart after 10 s (the defaults of Kubernetes 1.34).
    pub const REAL: Self = Self {
        heartbeat: Duration::from_secs(10),
        grace: Duration::from_secs(50),
        round: Duration::from_secs(5),
        restart: Duration::from_secs(10),
    };
    /// For demonstrations and tests on sockets.
    pub const QUICK: Self = Self {
        heartbeat: Duration::from_millis(400),
        grace: Duration::from_secs(4),
        round: Duration::from_millis(100),
        restart: Duration::from_millis(500),
    };
}
