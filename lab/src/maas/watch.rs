//! What tests see of the simulated MAAS: each call, a gate every call passes, and snapshots of its objects.

use super::{
    metadata,
    state::{Machine, State},
};
use crate::backend::Power;
use async_trait::async_trait;
use ferrogate_model::{SystemId, Timestamp};
use std::{collections::BTreeMap, fmt, net::IpAddr};

/// One request to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Number, from 1, in the order in which the requests arrived.
    pub number: u64,
    /// HTTP method.
    pub method: String,
    /// Path, with `/MAAS/api/2.0`.
    pub path: String,
    /// The operation (`op`), if any.
    pub op: Option<String>,
    /// Who asked; nobody where the request bears no valid signature.
    pub user: Option<String>,
    /// The answer's status; none while it is not answered, and where the connection was made to break.
    pub status: Option<u16>,
    /// When it arrived.
    pub at: Timestamp,
}

/// What a gate decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Break the connection without an answer.
    Drop,
}

/// A place where a test can hold every call: before it takes effect, and after it took effect but before the answer is
/// sent. A client that is killed while a gate holds its call is a client that crashed there.
#[async_trait]
pub trait Gate: Send + Sync + std::fmt::Debug {
    /// The request has arrived and done nothing yet.
    async fn before(&self, call: &Call) -> Verdict;
    /// The request has taken effect; `call.status` is the answer that will be sent.
    async fn after(&self, call: &Call) -> Verdict;
}

/// What a machine is like right now.
#[derive(Clone, PartialEq)]
pub struct MachineSnapshot {
    /// MAAS's id.
    pub system_id: SystemId,
    /// Host name without domain.
    pub hostname: String,
    /// Host name with domain.
    pub fqdn: String,
    /// State in MAAS's words, such as `Deployed` or `Failed deployment`.
    pub status: &'static str,
    /// The zone's name.
    pub zone: String,
    /// The resource pool's name.
    pub pool: String,
    /// Who has it.
    pub owner: Option<String>,
    /// The mark given when it was allocated; empty where there is none.
    pub agent_name: String,
    /// Owner data (workload annotations).
    pub owner_data: BTreeMap<String, String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it has power, as MAAS believes.
    pub power: Power,
    /// Whether it is locked.
    pub locked: bool,
    /// What it was deployed with, decoded from base64.
    pub user_data: Option<Vec<u8>>,
    /// How often it was allocated.
    pub allocations: u32,
    /// How often a deployment began.
    pub deploys: u32,
    /// How often it was released.
    pub releases: u32,
}

impl fmt::Debug for MachineSnapshot {
    /// Everything but the user data, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineSnapshot")
            .field("system_id", &self.system_id)
            .field("fqdn", &self.fqdn)
            .field("status", &self.status)
            .field("zone", &self.zone)
            .field("pool", &self.pool)
            .field("owner", &self.owner)
            .field("agent_name", &self.agent_name)
            .field("owner_data", &self.owner_data)
            .field("addresses", &self.addresses)
            .field("power", &self.power)
            .field("locked", &self.locked)
            .field("user_data_bytes", &self.user_data.as_ref().map(Vec::len))
            .field("allocations", &self.allocations)
            .field("deploys", &self.deploys)
            .field("releases", &self.releases)
            .finish_non_exhaustive()
    }
}

/// An address that somebody reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpSnapshot {
    /// The address.
    pub ip: IpAddr,
    /// Who reserved it; nobody for addresses that MAAS gave to machines or names.
    pub owner: Option<String>,
    /// The machine it belongs to.
    pub machine: Option<SystemId>,
    /// Whether a user reserved it (`ipaddresses` op=reserve).
    pub reserved: bool,
}

/// A name the site's DNS answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRecord {
    /// Full name without final dot.
    pub fqdn: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a machine is like.
pub(crate) fn snapshot(state: &State, machine: &Machine) -> MachineSnapshot {
    MachineSnapshot {
        system_id: machine.system_id.clone(),
        hostname: machine.hostname.clone(),
        fqdn: state.fqdn(machine),
        status: machine.status.name(),
        zone: state.zone(machine.zone).map(|zone| zone.name.clone()).unwrap_or_default(),
        pool: state.pool(machine.pool).map(|pool| pool.name.clone()).unwrap_or_default(),
        owner: state.user_name(machine.owner).map(str::to_owned),
        agent_name: machine.agent_name.clone(),
        owner_data: machine.owner_data.clone(),
        addresses: machine.addresses().collect(),
        power: machine.power,
        locked: machine.locked,
        user_data: machine.user_data.as_deref().map(metadata::decode),
        allocations: machine.allocations,
        deploys: machine.deploys,
        releases: machine.releases,
    }
}

/// Every address in use.
pub(crate) fn addresses(state: &State) -> Vec<IpSnapshot> {
    let links = state.machines.iter().flat_map(|machine| {
        let owned = |ip| IpSnapshot { ip, owner: None, machine: Some(machine.system_id.clone()), reserved: false };
        machine.addresses().map(owned)
    });
    let others = state.addresses.iter().map(|address| IpSnapshot {
        ip: address.ip,
        owner: state.user_name(address.owner).map(str::to_owned),
        machine: None,
        reserved: address.owner.is_some(),
    });
    let mut all: Vec<_> = links.chain(others).collect();
    all.sort_by_key(|snapshot| snapshot.ip);
    all
}
