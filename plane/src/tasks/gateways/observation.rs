//! How the machines of a gateway are. Looking only: the installer built them, and changes of a gateway are made by the engine
//! when somebody asks for them.

use super::{LOOK_DEADLINE, Presence, maas_access};
use crate::tasks::{TaskContext, TaskError, context};
use ferrogate_engine::{mark, ownership};
use ferrogate_maas::{
    MaasError, MaasFailure,
    types::{self, MachineStatus, Power},
};
use ferrogate_model::{
    Timestamp,
    state::{ClusterState, MachineState},
};
use ferrogate_store::{
    Page, StoreError,
    accounts::{self, AccountState},
    clusters::{self, Cluster, Observed},
    gateways::Gateway,
    machines::{self, Machine},
};

pub(super) async fn step(context: &TaskContext, gateway: &Gateway, presence: &Presence) -> Result<(), TaskError> {
    let maas = maas_access(context, gateway).await?.and_then(|access| access.client_within(LOOK_DEADLINE));
    let before = machines::list(&context.store, gateway.cluster, &Page::first(Page::MAX)).await?.items;
    let kept = before.iter().filter(|row| row.state != MachineState::Releasing);
    let known: Vec<_> = kept.map(|row| row.system_id.clone()).collect();
    let found = match maas {
        Ok(maas) => ownership::machines_of(&maas, &gateway.cluster, &known).await,
        Err(problem) => {
            judge_account(context, gateway, AccountState::Refused, &problem).await?;
            return Ok(());
        }
    };
    let (state, reason) = match &found {
        Ok(_) => (AccountState::Ready, String::new()),
        Err(error) => (account_state(error), context::words(error)),
    };
    judge_account(context, gateway, state, &reason).await?;
    let Ok(found) = found else { return Ok(()) };
    let Some(own) = clusters::get(&context.store, gateway.cluster).await?.filter(|own| own.deleted.is_none()) else {
        return Ok(());
    };
    let now = context.now();
    let rows: Vec<Machine> = found
        .iter()
        .filter(|machine| !matches!(machine.status, MachineStatus::Ready | MachineStatus::New))
        .map(|machine| row(&own, machine, presence, &before, now))
        .collect();
    let mut tx = context.store.begin().await?;
    machines::replace(&mut tx, own.id, &rows).await?;
    if let Some(observed) = judge_cluster(&own, gateway, presence) {
        clusters::record(&mut tx, own.id, &observed, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn account_state(error: &MaasError) -> AccountState {
    match *error.failure {
        MaasFailure::KeyRefused | MaasFailure::NotAllowed | MaasFailure::Hidden { .. } => AccountState::Refused,
        _ => AccountState::Unreachable,
    }
}

/// The gateway's account works as well as its own look at MAAS did.
async fn judge_account(
    context: &TaskContext,
    gateway: &Gateway,
    state: AccountState,
    reason: &str,
) -> Result<(), StoreError> {
    let Some(account) = accounts::get(&context.store, gateway.account).await?.filter(|found| found.deleted.is_none())
    else {
        return Ok(());
    };
    if account.state != state || account.reason != reason {
        accounts::set_state(&context.store, account.id, state, reason, context.now()).await?;
    }
    Ok(())
}

/// The state of the gateway's own cluster, where it changes.
fn judge_cluster(own: &Cluster, gateway: &Gateway, presence: &Presence) -> Option<Observed> {
    let is_whole = presence.nodes.connected.len() >= usize::try_from(gateway.desired_nodes).unwrap_or(usize::MAX);
    let reason = if is_whole { "every node is connected".to_owned() } else { presence.nodes.shortfall() };
    let to = match own.state {
        ClusterState::Running if !is_whole => ClusterState::Degraded,
        ClusterState::Degraded if is_whole => ClusterState::Running,
        // Others are missed than before.
        ClusterState::Degraded if own.reason != reason => ClusterState::Degraded,
        _ => return None,
    };
    Some(Observed {
        from: own.state,
        to,
        reason,
        memory: own.memory.clone(),
        api_endpoint: None,
        generation: own.generation,
        converged: is_whole,
    })
}

/// An installed machine whose node is not connected: it never was, or it was and is lost. What MAAS knows of its power tells
/// people where to look.
fn not_connected(machine: &types::Machine, node: Option<&str>, presence: &Presence) -> (MachineState, String) {
    let power = match machine.power_state {
        Power::Off => "; MAAS says its power is off",
        Power::On => "; MAAS says its power is on",
        Power::Error | Power::Unknown => "",
    };
    let is_node = |name: &str| node == Some(name) || machine.hostname == name;
    match presence.nodes.disconnected.iter().find(|(name, _)| is_node(name)) {
        Some((_, Some(seen))) => {
            let why = format!("its gateway is not connected to the plane, it was last heard at {seen:.0}{power}");
            (MachineState::Failed, why)
        }
        Some((_, None)) | None => {
            (MachineState::Joining, format!("its gateway has not connected to the plane yet{power}"))
        }
    }
}

fn row(own: &Cluster, machine: &types::Machine, presence: &Presence, before: &[Machine], now: Timestamp) -> Machine {
    let node = machine.owner_data.get(mark::NODE).cloned();
    let is_connected = node.as_ref().is_some_and(|node| presence.nodes.connected.contains(node))
        || presence.nodes.connected.contains(&machine.hostname);
    let (state, reason) = match machine.status {
        MachineStatus::Allocated => (MachineState::Allocating, String::new()),
        MachineStatus::Deploying => (MachineState::Deploying, String::new()),
        MachineStatus::Deployed if is_connected => (MachineState::Running, String::new()),
        MachineStatus::Deployed => not_connected(machine, node.as_deref(), presence),
        MachineStatus::Releasing | MachineStatus::DiskErasing => (MachineState::Releasing, String::new()),
        _ => (MachineState::Failed, format!("it is `{}` in MAAS", machine.status_name)),
    };
    let known = before.iter().find(|row| row.system_id == machine.system_id && row.state == state);
    Machine {
        cluster: own.id,
        system_id: machine.system_id.clone(),
        hostname: machine.hostname.clone(),
        fqdn: machine.fqdn.clone(),
        addresses: machine.ip_addresses.clone(),
        zone: machine.zone.name.clone(),
        pool: machine.owner_data.get(mark::POOL).cloned().unwrap_or_default(),
        node,
        state,
        reason,
        since: known.map_or(now, |row| row.since),
        updated: now,
    }
}
