//! The program `/usr/local/bin/k3s` of simulated machines.

use crate::machine::{Disk, Exit, Machine, Process};
use std::{sync::Arc, time::Duration};

/// How fast Kubernetes does its rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a node renews its lease and looks for pods.
    pub heartbeat: Duration,
    /// How long a node may be silent before it counts as not ready.
    pub grace: Duration,
    /// How often controllers look at everything.
    pub round: Duration,
}

impl Timing {
    /// As in a real cluster: heartbeat 10 s, grace 50 s (the defaults of Kubernetes 1.32 and later).
    pub const REAL: Self =
        Self { heartbeat: Duration::from_secs(10), grace: Duration::from_secs(50), round: Duration::from_secs(5) };
    /// For demonstrations and tests on sockets.
    pub const QUICK: Self = Self {
        heartbeat: Duration::from_millis(400),
        grace: Duration::from_secs(4),
        round: Duration::from_millis(100),
    };
}

#[derive(Debug, Default)]
pub(crate) struct Datastores {}

impl Datastores {
    pub(crate) fn disk_is_gone(&self, _disk: &Disk) {}
}

pub(crate) async fn run(_machine: Arc<Machine>, _path: &str, process: Process) -> Exit {
    process.cancel.cancelled().await;
    Exit::SUCCESS
}
