//! What MAAS and Kubernetes say about a cluster, in the engine's own words: the planner's only view of the world.

use ferrogate_model::{SystemId, Timestamp};
use std::{collections::BTreeMap, net::IpAddr};

/// Where a machine is in MAAS, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Ours, nothing installed.
    Allocated,
    /// Being installed.
    Deploying,
    /// Installed.
    Deployed,
    /// MAAS gave up installing it.
    DeployFailed,
    /// On its way back, disks being erased included.
    Releasing,
    /// MAAS gave up taking it back.
    ReleaseFailed,
    /// Somebody works on it (rescue mode, tests, broken): in MAAS's words.
    Other(String),
}

/// A machine that bears the cluster's mark.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Machine {
    pub(crate) id: SystemId,
    pub(crate) hostname: String,
    pub(crate) fqdn: String,
    pub(crate) status: Status,
    /// What MAAS says beside the status.
    pub(crate) message: String,
    pub(crate) locked: bool,
    /// Whether it runs, as MAAS knew last; `None` where MAAS cannot tell or cannot switch it.
    pub(crate) powered: Option<bool>,
    pub(crate) zone: String,
    pub(crate) resource_pool: String,
    pub(crate) architecture: String,
    pub(crate) cpu_count: u32,
    pub(crate) memory_mib: u64,
    /// The disk it starts from, in bytes; all disks together where MAAS does not say which that is.
    pub(crate) disk_bytes: u64,
    pub(crate) tags: Vec<String>,
    /// The address of the boot interface first.
    pub(crate) addresses: Vec<IpAddr>,
    /// The boot interface's address, where it is fixed before the machine is installed.
    pub(crate) fixed_address: Option<IpAddr>,
    /// The subnet of the boot interface.
    pub(crate) subnet: Option<ipnet::IpNet>,
    pub(crate) owner_data: BTreeMap<String, String>,
}

impl Machine {
    /// The address at which other machines reach it.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }

    /// A value of its owner data; empty ones count as absent, because that is how MAAS removes them.
    pub(crate) fn note(&self, key: &str) -> Option<&str> {
        self.owner_data.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A node as Kubernetes lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenNode {
    pub(crate) name: String,
    /// The machine its label names; nodes without are not ours.
    pub(crate) machine: Option<SystemId>,
    /// The pool its label names.
    pub(crate) pool: Option<String>,
    /// Why it is not ready; `None` where it is.
    pub(crate) not_ready: Option<String>,
    /// Since when we have been draining it.
    pub(crate) draining_since: Option<Timestamp>,
    /// Where it is reached inside the site.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) labels: BTreeMap<String, String>,
    /// The pods a drain has to move, as namespace and name; only looked up while it is drained.
    pub(crate) pods: Vec<(String, String)>,
}

/// What the Kubernetes API says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// No control-plane machine runs that could be asked.
    NotYet,
    /// It was asked and did not answer; why.
    Silent(String),
    /// Its nodes.
    Answers(Vec<SeenNode>),
}

impl Api {
    pub(crate) fn nodes(&self) -> &[SeenNode] {
        match self {
            Self::Answers(nodes) => nodes,
            Self::NotYet | Self::Silent(_) => &[],
        }
    }
}

/// The reserved address and name of a cluster with several control-plane nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The DNS record's number in MAAS.
    pub(crate) dns: Option<i64>,
    /// Reserved addresses.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Endpoint {
    pub(crate) fn is_nothing(&self) -> bool {
        self.dns.is_none() && self.addresses.is_empty()
    }
}

/// Everything one pass looks at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Observed {
    /// The machines that bear the cluster's mark, by host name.
    pub(crate) machines: Vec<Machine>,
    /// Of the machines that were given back: those MAAS still works on.
    pub(crate) leaving: Vec<SystemId>,
    /// What may be taken, the smallest first; only looked up where a machine of ours bears no note of what it is for.
    pub(crate) free: Vec<Machine>,
    pub(crate) api: Api,
    pub(crate) endpoint: Endpoint,
}
