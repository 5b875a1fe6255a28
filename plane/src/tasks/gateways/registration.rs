//! The first connection of a new gateway: it is *Running*.

use super::{Presence, event};
use crate::tasks::{TaskContext, TaskError};
use ferrogate_api::OperationKind;
use ferrogate_model::state::{ClusterState, GatewayState, OperationState, Severity};
use ferrogate_store::{
    Subject,
    clusters::{self, Observed},
    events,
    gateways::{self, Gateway},
    operations,
};

/// Makes a gateway *Running* when its first node has connected; tells whether that happened now. Ends its installation when
/// all have.
pub(super) async fn step(context: &TaskContext, gateway: &Gateway, presence: &Presence) -> Result<bool, TaskError> {
    if presence.nodes.connected.is_empty() {
        return Ok(false);
    }
    let is_new = matches!(gateway.state, GatewayState::Pending | GatewayState::Provisioning);
    if is_new {
        begin(context, gateway, presence).await?;
    }
    if is_new || gateway.state == GatewayState::Running {
        end_installation(context, gateway, presence).await?;
    }
    Ok(is_new)
}

async fn begin(context: &TaskContext, gateway: &Gateway, presence: &Presence) -> Result<(), TaskError> {
    let now = context.now();
    let mut tx = context.store.begin().await?;
    let told = [event(
        gateway,
        Severity::Info,
        GatewayState::Running.as_str(),
        format!("its first node, {}, has connected", presence.nodes.connected.join(", ")),
        now,
    )];
    if gateway.state == GatewayState::Pending {
        let (from, to) = (GatewayState::Pending, GatewayState::Provisioning);
        gateways::transition(&mut tx, gateway.id, from, to, "", now).await?;
    }
    let (from, to) = (GatewayState::Provisioning, GatewayState::Running);
    gateways::transition(&mut tx, gateway.id, from, to, "its nodes are registered", now).await?;
    events::append_in(&mut tx, &told).await?;
    tx.commit().await?;
    context.events_added(&told);
    // Clusters may be waiting for it.
    context.nudge();
    Ok(())
}

/// When every node is there, the installation is over and the gateway's own cluster is taken over.
async fn end_installation(context: &TaskContext, gateway: &Gateway, presence: &Presence) -> Result<(), TaskError> {
    if presence.nodes.connected.len() < usize::try_from(gateway.desired_nodes).unwrap_or(usize::MAX) {
        return Ok(());
    }
    let now = context.now();
    let subject = Subject::from(gateway.id);
    let installing = operations::open_on(&context.store, &subject).await?;
    let installing: Vec<_> =
        installing.into_iter().filter(|open| open.kind == OperationKind::InstallGateway.as_str()).collect();
    let cluster = clusters::get(&context.store, gateway.cluster).await?;
    let young = cluster.filter(|own| matches!(own.state, ClusterState::Queued | ClusterState::Provisioning));
    if installing.is_empty() && young.is_none() {
        return Ok(());
    }
    let mut tx = context.store.begin().await?;
    for operation in installing {
        let why = "every node is connected";
        operations::transition(&mut tx, operation.id, OperationState::Succeeded, why, now).await?;
    }
    if let Some(own) = young {
        let mut from = own.state;
        for to in [ClusterState::Provisioning, ClusterState::Running] {
            let observed = Observed {
                from,
                to,
                reason: "every node is connected".into(),
                memory: own.memory.clone(),
                api_endpoint: None,
                generation: own.generation,
                converged: true,
            };
            clusters::record(&mut tx, own.id, &observed, now).await?;
            from = to;
        }
    }
    tx.commit().await?;
    Ok(())
}
