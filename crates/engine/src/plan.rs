//! The difference between what should be and what is, as actions: a pure function, so that every situation can be tested.

mod absent;
mod builder;
pub(crate) mod fit;
mod leave;
mod members;
mod nodes;
mod present;
mod repair;
pub(crate) mod words;

#[cfg(test)]
mod tests;

use crate::{
    desired::Desired,
    limits::Limits,
    memory::Memory,
    observed::Observed,
    pass::{Event, MachineView},
};
use ferrogate_join::Role;
use ferrogate_model::{Name, SystemId, Timestamp};
use std::{collections::BTreeMap, net::IpAddr};

/// One thing to do. All actions of a plan may be carried out at the same time and in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Take a machine for a pool, from the first of these zones that has one; no zones means any. Which one is decided for
    /// all pools together.
    Allocate { pool: Name, zones: Vec<String> },
    /// Write owner data.
    Note { machine: SystemId, notes: BTreeMap<String, String> },
    /// Install a machine.
    Deploy { machine: SystemId, pool: Name, node: Name, role: Role, notes: BTreeMap<String, String> },
    /// Give a machine back, its node first where it has one; `cool` keeps it from being taken again for a while.
    Release { machine: SystemId, why: String, cool: bool, node: Option<String> },
    /// Remove a node whose machine is not ours any more, or is about to be installed anew.
    DeleteNode { node: String, why: String },
    /// Keep new pods away from a node.
    Cordon { node: String },
    /// Let pods come to a node again.
    Uncordon { node: String },
    /// Ask a pod to leave.
    Evict { namespace: String, pod: String },
    /// Set labels of a node.
    Label { node: String, labels: BTreeMap<String, String> },
    /// Switch a machine on or off, and why.
    Switch { machine: SystemId, on: bool, why: String },
    /// Reserve the address and name of the API.
    ReserveEndpoint { subnet: ipnet::IpNet, fqdn: String },
    /// Give the address and name back.
    ReleaseEndpoint,
}

/// Something that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// In words.
    pub(crate) reason: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Whether it ends by itself, if only by its deadline; else it waits for something else of the cluster.
    pub(crate) moving: bool,
}

/// Something only a person can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// What is in the way.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

/// What a pass will do, and what it will say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    /// The most telling first.
    pub(crate) waits: Vec<Wait>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) machines: Vec<MachineView>,
    pub(crate) events: Vec<Event>,
    pub(crate) memory: Memory,
    pub(crate) api_endpoint: Option<String>,
    pub(crate) api_members: Vec<IpAddr>,
    /// Further names and addresses of the API, for certificates.
    pub(crate) api_names: Vec<String>,
}

/// What to do.
pub(crate) fn plan(desired: &Desired, observed: &Observed, memory: &Memory, limits: &Limits, now: Timestamp) -> Plan {
    if desired.absent {
        absent::plan(observed, memory, limits, now)
    } else {
        present::plan(desired, observed, memory, limits, now)
    }
}
