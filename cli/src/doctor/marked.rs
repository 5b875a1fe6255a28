//! What in a MAAS bears a mark of ours, and of which cluster. Looking only.
//!
//! A mark is positive: the cluster's id in a machine's owner data, or in the `agent_name` that it was allocated with, or the
//! end of a DNS name that is made of the id. MAAS filters by `agent_name` but does not show it, so it is asked only about
//! ids that are known from somewhere, and a list is not believed that shows free machines or another cluster's: then something
//! in between has dropped the filter.

use ferrogate_engine::mark;
use ferrogate_maas::types::{DnsResource, Machine, MachineStatus};
use ferrogate_maas::{Client, DnsResourceFilter, MaasError, MachineFilter};
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

/// The machines that were taken for a cluster and bear nothing else yet, where MAAS's list can be believed.
async fn allocated(maas: &Client, cluster: ClusterId) -> Result<Vec<Machine>, MaasError> {
    let list = maas.machines(&MachineFilter::agent(mark::agent_name(&cluster))).await?;
    Ok(believed(cluster, list))
}

/// A list that was asked for by a mark; empty where it holds what cannot bear the mark. Only a machine that is no more than
/// allocated may be without the written mark: it is written before anything is installed.
fn believed(cluster: ClusterId, list: Vec<Machine>) -> Vec<Machine> {
    let is_filtered = list.iter().all(|machine| !is_free(machine) && written(machine).is_none_or(|id| id == cluster));
    if !is_filtered {
        return Vec::new();
    }
    let may_be = |machine: &Machine| written(machine).is_some() || machine.status == MachineStatus::Allocated;
    list.into_iter().filter(may_be).collect()
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

    fn machine(id: &str, status: u8, status_name: &str, cluster: Option<ClusterId>) -> Machine {
        let mut owner_data = serde_json::json!({});
        if let Some(cluster) = cluster {
            owner_data["ferrogate-cluster"] = cluster.to_string().into();
        }
        serde_json::from_value(serde_json::json!({
            "system_id": id, "hostname": id, "fqdn": format!("{id}.maas"), "status": status, "status_name": status_name,
            "owner_data": owner_data, "zone": {"id": 1, "name": "default"}, "domain": {"id": 0, "name": "maas"}, "power_state": "on", "locked": false,
        }))
        .unwrap()
    }

    #[test]
    fn a_list_with_what_cannot_bear_the_mark_is_not_believed() {
        let (ours, other) = (ClusterId::new(), ClusterId::new());
        let (allocated, deployed, ready) = ((10, "Allocated"), (6, "Deployed"), (4, "Ready"));
        let make = |id, (status, name), cluster| machine(id, status, name, cluster);
        let count = |list| believed(ours, list).len();
        assert_eq!(count(vec![make("a", allocated, None), make("b", deployed, Some(ours))]), 2);
        assert_eq!(count(vec![make("a", allocated, None), make("b", deployed, Some(other))]), 0, "another cluster's");
        assert_eq!(count(vec![make("a", allocated, None), make("b", ready, None)]), 0, "a free machine");
        assert_eq!(count(vec![make("b", deployed, None)]), 0, "a deployed machine has the written mark");
    }

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
