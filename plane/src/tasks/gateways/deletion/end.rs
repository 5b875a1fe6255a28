//! The records of a gateway that is gone.

use super::{STEPS, is_deletion, progress::HeldMachine};
use crate::{
    app::audit::by_plane,
    tasks::{TaskContext, TaskError, gateways::event},
};
use ferrogate_engine::mark;
use ferrogate_model::{
    OrphanId, Timestamp,
    state::{ClusterState, GatewayState, OperationState, Severity},
};
use ferrogate_store::{
    Page, StoreError, Subject, Tx, accounts, audit,
    clusters::{self, Cluster, Observed},
    events, gateway_nodes,
    gateways::{self, Gateway},
    machines, operations,
    orphans::{self, Orphan, OrphanKind},
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
    /// Whether they were given back is not known, or they were not, and somebody ended it nevertheless.
    Abandoned {
        /// Why, in words.
        why: String,
        /// What may be held still.
        machines: Vec<HeldMachine>,
        /// Whether the name and the address of its API may be there still, too.
        may_have_name: bool,
        /// Who.
        by: String,
    },
}

impl End {
    /// Whether a person should look.
    const fn severity(&self) -> Severity {
        match self {
            Self::Nothing | Self::Verified { .. } | Self::TunnelGone { .. } => Severity::Info,
            Self::NeverConnected | Self::Abandoned { .. } => Severity::Warning,
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
            Self::Abandoned { why, .. } => write!(
                f,
                "it was ended by force: {why}. What may be left behind in MAAS is recorded, see `ferrogate get orphans`; \
                 `ferrogate doctor leaks` finds and releases it"
            ),
        }
    }
}

/// Closes every record of the gateway, in one step.
pub(super) async fn finish(
    context: &TaskContext,
    gateway: &Gateway,
    own: Option<&Cluster>,
    how: End,
) -> Result<(), TaskError> {
    let now = context.now();
    let reason = how.to_string();
    let mut tx = context.store.begin().await?;
    let (from, to) = (gateway.state, GatewayState::Deleted);
    if let (End::Abandoned { why, machines, may_have_name, by }, Some(own)) = (&how, own) {
        let account = accounts::get(&mut tx, gateway.account).await?;
        let endpoint = account.map(|account| account.endpoint).unwrap_or_default();
        let left = LeftBehind { gateway, own, endpoint, why, by, now };
        for orphan in left.records(machines, *may_have_name) {
            orphans::insert(&mut tx, &orphan).await?;
        }
    }
    gateways::transition(&mut tx, gateway.id, from, to, &reason, now).await?;
    gateways::forget_secrets(&mut tx, gateway.id).await?;
    if let Some(own) = own {
        close_cluster(&mut tx, own, &reason, now).await?;
    }
    let accounts = accounts::list(&mut tx, gateway.tenant, Some(gateway.id), &Page::first(Page::MAX)).await?;
    for account in accounts.items {
        accounts::delete(&mut tx, account.id, now).await?;
        let deleted = by_plane(&context.replica, gateway.tenant, account.id.into(), "account.delete", now);
        audit::append_in(&mut tx, &deleted).await?;
    }
    let nodes = gateway_nodes::revoke_all(&mut tx, gateway.id, now).await?;
    close_operations(&mut tx, gateway, &reason, now).await?;
    let told = [event(gateway, how.severity(), to.as_str(), reason, now)];
    events::append_in(&mut tx, &told).await?;
    tx.commit().await?;
    context.events_added(&told);
    for node in nodes {
        context.site_network.disconnect(node, DisconnectReason::Revoked);
    }
    Ok(())
}

/// What may be left behind, as it is recorded: it must be found again when nothing else remembers the gateway.
struct LeftBehind<'a> {
    gateway: &'a Gateway,
    own: &'a Cluster,
    endpoint: String,
    why: &'a str,
    by: &'a str,
    now: Timestamp,
}

impl LeftBehind<'_> {
    fn records(&self, machines: &[HeldMachine], may_have_name: bool) -> Vec<Orphan> {
        let machine =
            |left: &HeldMachine| self.record(OrphanKind::Machine, left.system_id.to_string(), left.hostname.clone());
        let mut all: Vec<_> = machines.iter().map(machine).collect();
        if may_have_name {
            let fqdn = mark::endpoint_fqdn(&self.own.id, &self.own.name, &self.own.spec.domain);
            all.push(self.record(OrphanKind::DnsName, fqdn, String::new()));
        }
        all
    }

    fn record(&self, kind: OrphanKind, name: String, hostname: String) -> Orphan {
        Orphan {
            id: OrphanId::new(),
            tenant: self.gateway.tenant,
            gateway: self.gateway.id,
            gateway_name: self.gateway.name.clone(),
            cluster: self.own.id,
            maas_endpoint: self.endpoint.clone(),
            kind,
            name,
            hostname,
            reason: self.why.to_owned(),
            recorded_by: self.by.to_owned(),
            recorded: self.now,
        }
    }
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
        let is_deletion = is_deletion(&operation);
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
