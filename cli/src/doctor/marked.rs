//! What in a MAAS bears a mark of ours, and of which cluster. Looking only.
//!
//! A mark is positive: the cluster's id in a machine's owner data, or in the `agent_name` that it was allocated with, or the
//! end of a DNS name that is made of the id. MAAS filters by `agent_name` but does not show it, so it is asked only about
//! ids that are known from somewhere, and a list is not believed that shows what cannot bear the mark: then something in between
//! has dropped the filter.

use ferrogate_engine::{mark, ownership};
use ferrogate_maas::types::{DnsResource, Machine, MachineStatus};
use ferrogate_maas::{Client, DnsResourceFilter, MaasError, MaasFailure, MachineFilter};
use ferrogate_model::{ClusterId, SystemId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Everything that bears the mark of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Marked {
    /// The cluster that the mark names.
    pub(crate) cluster: ClusterId,
    /// Its name, where the mark has it.
    pub(crate) name: String,
    /// Machines.
    pub(crate) machines: Vec<MarkedMachine>,
    /// DNS names with the addresses reserved for them.
    pub(crate) names: Vec<MarkedName>,
}

/// A machine that bears a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MarkedMachine {
    /// MAAS's id.
    pub(crate) system_id: SystemId,
    /// Its host name.
    pub(crate) hostname: String,
    /// Its state in MAAS, in MAAS's words.
    pub(crate) status: String,
    /// Where the mark stands.
    pub(crate) mark: MarkedBy,
    /// It is on its way back already.
    pub(crate) is_leaving: bool,
    /// Nobody may release it until it is unlocked in MAAS.
    pub(crate) is_locked: bool,
}

/// Where a mark stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MarkedBy {
    /// In the machine's owner data.
    OwnerData,
    /// In the call that took it; nothing else was written yet.
    AgentName,
}

/// A DNS name that bears a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MarkedName {
    /// MAAS's number.
    pub(crate) id: i64,
    /// The whole name.
    pub(crate) fqdn: String,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// By cluster.
    pub(crate) marked: BTreeMap<ClusterId, Marked>,
    /// DNS names of the form that we give, of clusters that nothing names: they may be ours, or not.
    pub(crate) names_like_ours: Vec<String>,
}

/// Looks for marks; `candidates` are ids that are known from elsewhere.
pub(crate) async fn find(maas: &Client, candidates: &BTreeSet<ClusterId>) -> Result<Found, MaasError> {
    let machines = maas.machines(&MachineFilter::default()).await?;
    let mut found: BTreeMap<ClusterId, Marked> = BTreeMap::new();
    for machine in &machines {
        if let Some(cluster) = written(machine).filter(|_| !is_free(machine)) {
            let marked = found.entry(cluster).or_insert_with(|| nothing(cluster));
            if let Some(name) = machine.owner_data.get(mark::CLUSTER_NAME) {
                marked.name.clone_from(name);
            }
            marked.machines.push(shown(machine, MarkedBy::OwnerData));
        }
    }
    let ids: BTreeSet<_> = candidates.iter().chain(found.keys()).copied().collect();
    for &cluster in &ids {
        for machine in allocated(maas, cluster).await? {
            let marked = found.entry(cluster).or_insert_with(|| nothing(cluster));
            if marked.machines.iter().all(|known| known.system_id != machine.system_id) {
                marked.machines.push(shown(&machine, MarkedBy::AgentName));
            }
        }
    }
    let mut names_like_ours = Vec::new();
    for resource in maas.dns_resources(&DnsResourceFilter::default()).await? {
        let Some(end) = end_of(&resource) else { continue };
        match ids.iter().find(|cluster| end_of_id(cluster) == end) {
            Some(&cluster) => {
                let name = MarkedName { id: resource.id, addresses: resource.addresses(), fqdn: resource.fqdn };
                found.entry(cluster).or_insert_with(|| nothing(cluster)).names.push(name);
            }
            None => names_like_ours.push(resource.fqdn),
        }
    }
    Ok(Found { marked: found, names_like_ours })
}

/// The machines that were taken for a cluster, by the engine's own rule; none where MAAS's list cannot be believed.
async fn allocated(maas: &Client, cluster: ClusterId) -> Result<Vec<Machine>, MaasError> {
    match ownership::machines_of(maas, &cluster, &[]).await {
        Err(error) if matches!(*error.failure, MaasFailure::NotAsked { .. }) => Ok(Vec::new()),
        list => list,
    }
}

const fn nothing(cluster: ClusterId) -> Marked {
    Marked { cluster, name: String::new(), machines: Vec::new(), names: Vec::new() }
}

/// The cluster in a machine's owner data.
fn written(machine: &Machine) -> Option<ClusterId> {
    machine.owner_data.get(mark::CLUSTER)?.parse().ok()
}

const fn is_free(machine: &Machine) -> bool {
    matches!(machine.status, MachineStatus::Ready | MachineStatus::New)
}

fn shown(machine: &Machine, by: MarkedBy) -> MarkedMachine {
    MarkedMachine {
        system_id: machine.system_id.clone(),
        hostname: machine.hostname.clone(),
        status: machine.status_name.clone(),
        mark: by,
        is_leaving: matches!(machine.status, MachineStatus::Releasing | MachineStatus::DiskErasing),
        is_locked: machine.locked,
    }
}

/// The part of an id that is in the DNS names of its cluster.
fn end_of_id(cluster: &ClusterId) -> String {
    let name = "x".parse().expect("a letter is a name");
    let fqdn = mark::endpoint_fqdn(cluster, &name, "x");
    fqdn.trim_start_matches("x-").trim_end_matches(".x").to_owned()
}

/// The part of a DNS name where the id's end would be.
fn end_of(resource: &DnsResource) -> Option<&str> {
    let (_, end) = resource.fqdn.split('.').next()?.rsplit_once('-')?;
    let is_hex = end.len() == 12 && end.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (is_hex && resource.id >= 0).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_our_form_is_told_from_others() {
        let cluster = ClusterId::new();
        let resource = |id: i64, fqdn: &str| DnsResource {
            id,
            fqdn: fqdn.to_owned(),
            ip_addresses: None,
            address_ttl: None,
            resource_records: Vec::new(),
        };
        let fqdn = mark::endpoint_fqdn(&cluster, &"web-shop".parse().unwrap(), "lab.example.com");
        assert_eq!(end_of(&resource(3, &fqdn)), Some(end_of_id(&cluster).as_str()));
        assert_eq!(end_of(&resource(-1, &fqdn)), None, "a computed name");
        assert_eq!(end_of(&resource(3, "web-shop.lab.example.com")), None);
        assert_eq!(end_of(&resource(3, "web-0123456789aB.maas")), None);
    }
}
