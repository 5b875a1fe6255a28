//! Writing down what was found, all of it or nothing.

use super::{progress, states};
use crate::tasks::{TaskContext, TaskError};
use ferrogate_engine::{Memory, Outcome, Pass};
use ferrogate_model::{
    EventId, Timestamp,
    state::{ClusterState, Severity},
};
use ferrogate_store::{
    StoreError, Tx,
    clusters::{self, Cluster, Observed},
    events::{self, Event},
    machines::{self, Machine},
    tokens,
};

/// The cluster waits, and why.
pub(super) async fn waiting(context: &TaskContext, cluster: &Cluster, reason: &str) -> Result<(), TaskError> {
    let now = context.now();
    if cluster.reason == reason {
        return Ok(());
    }
    let mut tx = context.store.begin().await?;
    clusters::record(&mut tx, cluster.id, &unchanged(cluster, cluster.state, reason), now).await?;
    progress::waiting(&mut tx, cluster, reason, now).await?;
    tx.commit().await?;
    Ok(())
}

/// The cluster's turn has come.
pub(super) async fn begun(context: &TaskContext, cluster: &mut Cluster) -> Result<(), TaskError> {
    let now = context.now();
    let reason = "looking for machines";
    let mut tx = context.store.begin().await?;
    clusters::record(&mut tx, cluster.id, &unchanged(cluster, ClusterState::Provisioning, reason), now).await?;
    progress::begun(&mut tx, cluster, now).await?;
    let told = [event(cluster, Severity::Info, "Provisioning", "its machines are being chosen and installed", now)];
    events::append_in(&mut tx, &told).await?;
    tx.commit().await?;
    context.events_added(&told);
    cluster.state = ClusterState::Provisioning;
    reason.clone_into(&mut cluster.reason);
    Ok(())
}

/// What a pass found; returns it in words.
pub(super) async fn found(
    context: &TaskContext,
    cluster: &Cluster,
    pass: &Pass,
    memory: &Memory,
) -> Result<String, TaskError> {
    let now = context.now();
    let to = states::after(cluster, &pass.outcome);
    let reason = states::reason(cluster, &pass.outcome);
    let memory = serde_json::to_value(memory).map_err(|error| TaskError::document("memory", &error))?;
    let observed = Observed {
        from: cluster.state,
        to,
        reason: reason.clone(),
        memory,
        api_endpoint: pass.api_endpoint.clone(),
        generation: cluster.generation,
        converged: pass.is_converged() && !cluster.absent,
    };
    let mut told: Vec<Event> =
        pass.events.iter().map(|seen| event(cluster, seen.severity, &seen.reason, &seen.message, now)).collect();
    told.extend(state_event(cluster, to, &pass.outcome, &reason, now));

    let mut tx = context.store.begin().await?;
    if let Err(stale) = clusters::record(&mut tx, cluster.id, &observed, now).await {
        tx.rollback().await?;
        // The state is somebody else's by now, but the machines are as they were seen, and what happened has happened.
        if matches!(stale, StoreError::Changed { .. }) {
            told.retain(|event| event.reason != to.as_str());
            let mut tx = context.store.begin().await?;
            seen(&mut tx, cluster, pass, &told, now).await?;
            tx.commit().await?;
            context.events_added(&told);
        }
        return Err(stale.into());
    }
    progress::found(&mut tx, cluster, pass, &reason, now).await?;
    if to == ClusterState::Deleted {
        clusters::forget_secrets(&mut tx, cluster.id).await?;
        tokens::revoke_for_cluster(&mut tx, cluster.id, now).await?;
    }
    seen(&mut tx, cluster, pass, &told, now).await?;
    tx.commit().await?;
    context.events_added(&told);
    if to != cluster.state {
        // A place in the queue became free, or a gateway waits for its last cluster to be gone.
        context.nudge();
    }
    Ok(format!("{to}: {reason}"))
}

async fn seen(tx: &mut Tx, cluster: &Cluster, pass: &Pass, told: &[Event], now: Timestamp) -> Result<(), StoreError> {
    let rows: Vec<Machine> = pass
        .machines
        .iter()
        .map(|machine| Machine {
            cluster: cluster.id,
            system_id: machine.system_id.clone(),
            hostname: machine.hostname.clone(),
            fqdn: machine.fqdn.clone(),
            addresses: machine.addresses.clone(),
            zone: machine.zone.clone(),
            pool: machine.pool.clone().unwrap_or_default(),
            node: machine.node.clone(),
            state: machine.state,
            reason: machine.reason.clone(),
            since: machine.since,
            updated: now,
        })
        .collect();
    machines::replace(tx, cluster.id, &rows).await?;
    events::append_in(tx, told).await
}

fn unchanged(cluster: &Cluster, to: ClusterState, reason: &str) -> Observed {
    Observed {
        from: cluster.state,
        to,
        reason: reason.to_owned(),
        memory: cluster.memory.clone(),
        api_endpoint: None,
        generation: cluster.generation,
        converged: false,
    }
}

/// What is told when the state changes.
fn state_event(cluster: &Cluster, to: ClusterState, outcome: &Outcome, reason: &str, now: Timestamp) -> Option<Event> {
    if to == cluster.state {
        return None;
    }
    let severity = match to {
        ClusterState::Failed => Severity::Error,
        ClusterState::Degraded => Severity::Warning,
        ClusterState::Queued
        | ClusterState::Provisioning
        | ClusterState::Running
        | ClusterState::Updating
        | ClusterState::Deleting
        | ClusterState::Deleted => Severity::Info,
    };
    // The engine tells of every new cause itself.
    let is_told = matches!(outcome, Outcome::Blocked { .. }) && severity == Severity::Error;
    let message = if is_told { "it cannot go on until the cause is removed; it keeps trying" } else { reason };
    Some(event(cluster, severity, to.as_str(), message, now))
}

fn event(cluster: &Cluster, severity: Severity, reason: &str, message: &str, now: Timestamp) -> Event {
    Event {
        id: EventId::new(),
        tenant: cluster.tenant,
        subject: cluster.id.into(),
        severity,
        reason: reason.to_owned(),
        message: message.to_owned(),
        at: now,
    }
}
