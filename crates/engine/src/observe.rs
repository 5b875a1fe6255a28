//! Looking at MAAS and Kubernetes.

use crate::{
    desired::Desired,
    engine::Engine,
    kube::{self, Node},
    mark,
    memory::{Cooling, Memory},
    observed::{Api, Endpoint, Machine, Observed, SeenNode, Status},
    ownership,
    plan::fit,
};
use ferrogate_join::names::{MACHINE_LABEL, POOL_LABEL};
use ferrogate_maas::{
    Client, DnsResourceFilter, MaasError, MachineFilter,
    types::{self, MachineStatus, Power},
};
use ferrogate_model::{SystemId, Timestamp, cluster::CONTROL_PLANE_POOL, fault};
use std::{collections::BTreeMap, net::IpAddr};

/// The world as it is, and a client of the cluster's API where there is one to ask.
pub(crate) async fn observe(
    engine: &Engine,
    desired: &Desired,
    memory: &Memory,
    now: Timestamp,
) -> Result<(Observed, Option<kube::Client>), MaasError> {
    let mut machines: Vec<Machine> = marked(engine, desired, &memory.kept()).await?.iter().map(machine).collect();
    machines.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
    let leaving = leaving(engine, memory, &machines).await?;
    let is_unnoted = |machine: &Machine| machine.status == Status::Allocated && machine.note(mark::POOL).is_none();
    let free = if !desired.absent && machines.iter().any(is_unnoted) {
        free(engine.maas(), &memory.cooling, now).await?
    } else {
        Vec::new()
    };
    let endpoint = if desired.absent || desired.configuration.spec.control_plane.count > 1 {
        endpoint(engine, desired).await?
    } else {
        Endpoint::default()
    };
    if desired.absent {
        engine.clients().forget(&desired.configuration.cluster);
        return Ok((Observed { machines, leaving, free, api: Api::NotYet, endpoint }, None));
    }
    let members = servers(&machines);
    let (api, client) = if members.is_empty() {
        (Api::NotYet, None)
    } else {
        match ask(engine, desired, members, now).await {
            Ok((client, nodes)) => (Api::Answers(nodes), Some(client)),
            Err(error) => (Api::Silent(fault::chain(&*error)), None),
        }
    };
    Ok((Observed { machines, leaving, free, api, endpoint }, client))
}

/// The machines that are the cluster's, freshly listed and each checked; `known` as [`ownership::machines_of`] has it.
pub(crate) async fn marked(
    engine: &Engine,
    desired: &Desired,
    known: &[SystemId],
) -> Result<Vec<types::Machine>, MaasError> {
    ownership::machines_of(engine.maas(), &desired.configuration.cluster, known).await
}

/// The machines that are free, as MAAS lists them.
pub(crate) async fn free_records(maas: &Client) -> Result<Vec<types::Machine>, MaasError> {
    let mut free = maas.machines(&MachineFilter { status: Some("ready".into()), ..MachineFilter::default() }).await?;
    // Whatever the list shows: only what is free can be had.
    free.retain(|machine| machine.status == MachineStatus::Ready && !machine.locked);
    Ok(free)
}

/// The machines that may be taken, the smallest first: free, and not left alone for a while.
pub(crate) async fn free(
    maas: &Client,
    cooling: &BTreeMap<SystemId, Cooling>,
    now: Timestamp,
) -> Result<Vec<Machine>, MaasError> {
    let mut free: Vec<Machine> = free_records(maas).await?.iter().map(machine).collect();
    free.retain(|machine| cooling.get(&machine.id).is_none_or(|cooling| cooling.until <= now));
    fit::smallest_first(&mut free);
    Ok(free)
}

/// Of the machines that were given back: those MAAS is not done with.
async fn leaving(engine: &Engine, memory: &Memory, marked: &[Machine]) -> Result<Vec<SystemId>, MaasError> {
    let ids: Vec<SystemId> =
        memory.releasing.keys().filter(|id| !marked.iter().any(|machine| machine.id == **id)).cloned().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut machines = engine.maas().machines(&MachineFilter { ids: ids.clone(), ..MachineFilter::default() }).await?;
    // A list that shows more than was asked for says nothing about the others.
    machines.retain(|machine| ids.contains(&machine.system_id));
    let busy = |machine: &types::Machine| matches!(status(machine), Status::Releasing | Status::ReleaseFailed);
    Ok(machines.into_iter().filter(busy).map(|machine| machine.system_id).collect())
}

/// What is reserved under the name that is ours.
async fn endpoint(engine: &Engine, desired: &Desired) -> Result<Endpoint, MaasError> {
    let fqdn = mark::endpoint_fqdn(
        &desired.configuration.cluster,
        &desired.configuration.name,
        &desired.configuration.spec.domain,
    );
    let filter = DnsResourceFilter { fqdn: Some(fqdn.clone()), ..DnsResourceFilter::default() };
    let found = engine.maas().dns_resources(&filter).await?;
    let Some(resource) = found.into_iter().find(|resource| resource.fqdn == fqdn && resource.id >= 0) else {
        return Ok(Endpoint::default());
    };
    Ok(Endpoint { addresses: resource.addresses(), dns: Some(resource.id) })
}

/// Addresses of the servers that are installed, those that were members first.
fn servers(machines: &[Machine]) -> Vec<IpAddr> {
    let installed = |machine: &&Machine| machine.status == Status::Deployed;
    let mut servers: Vec<&Machine> = machines
        .iter()
        .filter(installed)
        .filter(|machine| machine.note(mark::POOL) == Some(CONTROL_PLANE_POOL))
        .collect();
    if servers.is_empty() {
        // Nobody wrote down what they are for: one of them may be the server.
        servers = machines.iter().filter(installed).filter(|machine| machine.note(mark::POOL).is_none()).collect();
    }
    servers.sort_by_key(|machine| machine.note(mark::JOINED).is_none());
    servers.into_iter().filter_map(Machine::address).collect()
}

/// Asks the cluster for its nodes, and for the pods of those that are drained.
async fn ask(
    engine: &Engine,
    desired: &Desired,
    members: Vec<IpAddr>,
    now: Timestamp,
) -> Result<(kube::Client, Vec<SeenNode>), Box<dyn std::error::Error + Send + Sync>> {
    let client = engine.clients().get(engine.network(), desired, members, now)?;
    let mut seen = Vec::new();
    for node in client.nodes().await? {
        let mut node = seen_node(&node);
        if node.draining_since.is_some() {
            let pods = client.pods_on(&node.name).await?;
            let leaving = pods.into_iter().filter(kube::Pod::must_leave);
            node.pods = leaving.map(|pod| (pod.metadata.namespace, pod.metadata.name)).collect();
        }
        seen.push(node);
    }
    Ok((client, seen))
}

fn seen_node(node: &Node) -> SeenNode {
    let label = |key: &str| node.metadata.labels.get(key).cloned();
    SeenNode {
        name: node.metadata.name.clone(),
        machine: label(MACHINE_LABEL).map(SystemId),
        pool: label(POOL_LABEL),
        not_ready: node.ready().err(),
        draining_since: node.metadata.annotations.get(kube::DRAINING_SINCE).and_then(|since| since.parse().ok()),
        addresses: node
            .status
            .addresses
            .iter()
            .filter(|address| address.kind == "InternalIP")
            .filter_map(|address| address.address.parse().ok())
            .collect(),
        labels: node.metadata.labels.clone(),
        pods: Vec::new(),
    }
}

/// A machine in the planner's words.
pub(crate) fn machine(machine: &types::Machine) -> Machine {
    let boot_links = || machine.boot_interface.iter().flat_map(|interface| &interface.links);
    let boot_address = boot_links().find_map(|link| link.ip_address);
    let mut addresses: Vec<IpAddr> = boot_address.into_iter().collect();
    addresses.extend(machine.ip_addresses.iter().filter(|address| Some(**address) != boot_address));
    if machine.ip_addresses.is_empty() {
        // The links of a machine may still show what it had before.
        addresses.clear();
    }
    let mut owner_data = machine.workload_annotations.clone();
    owner_data.extend(machine.owner_data.clone());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "disk sizes are positive and below 2^63"
    )]
    let all_disks = (machine.storage.max(0.0) * 1e6) as u64;
    Machine {
        id: machine.system_id.clone(),
        hostname: machine.hostname.clone(),
        fqdn: machine.fqdn.clone(),
        status: status(machine),
        message: said(machine),
        locked: machine.locked,
        powered: match machine.power_state {
            _ if machine.power_type == "manual" => None,
            Power::On => Some(true),
            Power::Off => Some(false),
            Power::Error | Power::Unknown => None,
        },
        zone: machine.zone.name.clone(),
        resource_pool: machine.pool.as_ref().map(|pool| pool.name.clone()).unwrap_or_default(),
        architecture: machine.architecture.clone(),
        cpu_count: machine.cpu_count,
        memory_mib: machine.memory,
        disk_bytes: machine.boot_disk.as_ref().map_or(all_disks, |disk| disk.size),
        tags: machine.tag_names.clone(),
        addresses,
        fixed_address: boot_links().find(|link| link.mode == "static").and_then(|link| link.ip_address),
        subnet: boot_links().find_map(|link| link.subnet.as_ref()).map(|subnet| subnet.cidr),
        owner_data,
    }
}

fn status(machine: &types::Machine) -> Status {
    match machine.status {
        MachineStatus::Allocated | MachineStatus::Reserved => Status::Allocated,
        MachineStatus::Deploying => Status::Deploying,
        MachineStatus::Deployed => Status::Deployed,
        MachineStatus::FailedDeployment => Status::DeployFailed,
        MachineStatus::Releasing | MachineStatus::DiskErasing => Status::Releasing,
        MachineStatus::FailedReleasing | MachineStatus::FailedDiskErasing => Status::ReleaseFailed,
        MachineStatus::New
        | MachineStatus::Ready
        | MachineStatus::Commissioning
        | MachineStatus::FailedCommissioning
        | MachineStatus::Missing
        | MachineStatus::Retired
        | MachineStatus::Broken
        | MachineStatus::RescueMode
        | MachineStatus::Testing
        | MachineStatus::FailedTesting
        | MachineStatus::Other(_) => Status::Other(machine.status_name.clone()),
    }
}

/// MAAS's newest words about a machine, where they say more than its status does.
fn said(machine: &types::Machine) -> String {
    let message = machine.status_message.clone().unwrap_or_default();
    if !machine.error_description.is_empty() {
        machine.error_description.clone()
    } else if message == machine.status_name {
        String::new()
    } else {
        message
    }
}
