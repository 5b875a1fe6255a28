//! The records of a gateway that is gone.

use super::STEPS;
use crate::tasks::{
    Ground, TaskError,
    gateways::{event, registration::entry},
};
use ferrogate_api::OperationKind;
use ferrogate_model::{
    Timestamp,
    state::{ClusterState, GatewayState, OperationState, Severity},
};
use ferrogate_store::{
    Page, StoreError, Subject, Tx, accounts, audit,
    clusters::{self, Cluster, Observed},
    events, gateway_nodes,
    gateways::{self, Gateway},
    machines, operations,
};
use ferrogate_tunnel::DisconnectReason;
use std::fmt;

/// How a deletion came to its end, and what is known for certain.
#[derive(Debug)]
pub(super) enum End {
    /// There was no record of a cluster.
    Nothing,
    /// No node ever connected.
    NeverConnected,
    /// Seen in MAAS: nothing bears the mark, and every machine is free.
    Verified { machines: String },
    /// MAAS said that it takes them back, and the tunnel ended, as it must.
    TunnelGone { machines: String },
    /// MAAS's answer was lost with the tunnel, which has not come back.
    Unanswered { machines: String },
    /// The site was not reached, and somebody asked for it nevertheless.
    Abandoned { machines: String },
}

impl End {
    /// Whether a person should look.
    const fn severity(&self) -> Severity {
        match self {
            Self::Nothing | Self::Verified { .. } | Self::TunnelGone { .. } => Severity::Info,
            Self::NeverConnected | Self::Unanswered { .. } | Self::Abandoned { .. } => Severity::Warning,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("it had no machines"),
            Self::NeverConnected => f.write_str(
                "no node ever connected, so the plane took nothing; machines an installer may have taken are given back by \
                 `ferrogate install cleanup`",
            ),
            Self::Verified { machines } if machines.is_empty() => f.write_str("nothing in MAAS bears its mark"),
            Self::Verified { machines } => write!(f, "{machines} are free in MAAS again, and nothing bears its mark"),
            Self::TunnelGone { machines } => {
                write!(f, "MAAS took back {machines}; the tunnel ended with them, as it must")
            }
            Self::Unanswered { machines } => write!(
                f,
                "{machines} were given back, but the tunnel ended before MAAS answered; check that they are Ready in MAAS"
            ),
            Self::Abandoned { machines } => write!(
                f,
                "{machines} were not given back, because the gateway was not reached: release them in MAAS, or run \
                 `ferrogate install cleanup`"
            ),
        }
    }
}

/// Closes every record of the gateway, in one step.
pub(super) async fn finish(
    ground: &Ground,
    gateway: &Gateway,
    own: Option<&Cluster>,
    how: End,
) -> Result<(), TaskError> {
    let now = ground.now();
    let reason = how.to_string();
    let mut tx = ground.store.begin().await?;
    let (from, to) = (GatewayState::Deleting, GatewayState::Deleted);
    gateways::transition(&mut tx, gateway.id, from, to, &reason, now).await?;
    gateways::forget_secrets(&mut tx, gateway.id).await?;
    if let Some(own) = own {
        close_cluster(&mut tx, own, &reason, now).await?;
    }
    let accounts = accounts::list(&mut tx, gateway.tenant, Some(gateway.id), &Page::first(Page::MAX)).await?;
    for account in accounts.items {
        accounts::delete(&mut tx, account.id, now).await?;
        audit::append_in(&mut tx, &entry(ground, gateway.tenant, account.id.into(), "account.delete", now)).await?;
    }
    let nodes = gateway_nodes::revoke_all(&mut tx, gateway.id, now).await?;
    close_operations(&mut tx, gateway, &reason, now).await?;
    let told = [event(gateway, how.severity(), to.as_str(), reason, now)];
    events::append_in(&mut tx, &told).await?;
    tx.commit().await?;
    ground.events_added(&told);
    for node in nodes {
        ground.sites.disconnect(node, DisconnectReason::Revoked);
    }
    Ok(())
}

async fn close_cluster(tx: &mut Tx, own: &Cluster, reason: &str, now: Timestamp) -> Result<(), StoreError> {
    clusters::request_deletion(&mut *tx, own.id, reason, now).await?;
    let observed = Observed {
        // The line above made sure of it.
        from: ClusterState::Deleting,
        to: ClusterState::Deleted,
        reason: reason.to_owned(),
        memory: serde_json::json!({}),
        api_endpoint: None,
        generation: own.generation,
        converged: false,
    };
    clusters::record(&mut *tx, own.id, &observed, now).await?;
    clusters::forget_secrets(&mut *tx, own.id).await?;
    machines::replace(tx, own.id, &[]).await
}

async fn close_operations(tx: &mut Tx, gateway: &Gateway, reason: &str, now: Timestamp) -> Result<(), StoreError> {
    for operation in operations::open_on(&mut *tx, &Subject::from(gateway.id)).await? {
        let is_deletion = operation.kind == OperationKind::DeleteGateway.as_str();
        let state = if is_deletion { OperationState::Succeeded } else { OperationState::Cancelled };
        operations::transition(&mut *tx, operation.id, state, reason, now).await?;
        if is_deletion {
            for (seq, name) in (1..).zip(STEPS) {
                let detail = if name == "verify" { reason } else { "" };
                operations::set_step(&mut *tx, operation.id, seq, name, OperationState::Succeeded, detail, now).await?;
            }
        }
    }
    Ok(())
}
