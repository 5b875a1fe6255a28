//! Whether a cluster may be worked on now.

use crate::tasks::{TaskContext, TaskError, gateways::is_connected_elsewhere};
use ferrogate_model::state::{ClusterState, GatewayState};
use ferrogate_store::{
    Page,
    clusters::{self, Cluster, ClusterKind},
    gateways::Gateway,
};

/// How many clusters of one gateway are created at once: more would make all of them slow, and MAAS too.
const CREATED_AT_ONCE: usize = 4;

/// The answer.
#[derive(Debug)]
pub(super) enum Admission {
    /// Yes, through this gateway.
    Admitted(Box<Gateway>),
    /// No; why, for people.
    Waiting(String),
    /// Another replica holds the gateway's connections.
    Elsewhere,
}

pub(super) async fn decide(
    context: &TaskContext,
    cluster: &Cluster,
    gateway: Option<Gateway>,
) -> Result<Admission, TaskError> {
    let Some(gateway) = gateway.filter(|gateway| gateway.deleted.is_none()) else {
        return Ok(Admission::Waiting("its gateway is deleted, so its machines cannot be reached".into()));
    };
    let name = &gateway.name;
    if cluster.state == ClusterState::Queued {
        let reason = match gateway.state {
            GatewayState::Running => None,
            GatewayState::Updating => Some(format!("waits until gateway `{name}` has been updated")),
            GatewayState::Pending | GatewayState::Provisioning => {
                Some(format!("waits until gateway `{name}` has been installed"))
            }
            GatewayState::Deleting | GatewayState::DeletionStuck | GatewayState::Deleted => {
                Some(format!("gateway `{name}` is being deleted"))
            }
            GatewayState::Failed => Some(format!("gateway `{name}` has failed: {}", gateway.reason)),
        };
        if let Some(reason) = reason {
            return Ok(Admission::Waiting(reason));
        }
    }
    if context.site_network.nodes(gateway.id).is_empty() {
        if is_connected_elsewhere(context, gateway.id).await? {
            return Ok(Admission::Elsewhere);
        }
        let since = gateway.last_seen.map(|seen| format!("; it was last seen at {seen:.0}")).unwrap_or_default();
        return Ok(Admission::Waiting(format!("gateway `{name}` is not connected{since}")));
    }
    if cluster.state == ClusterState::Queued
        && let Some(reason) = queue(context, cluster).await?
    {
        return Ok(Admission::Waiting(reason));
    }
    Ok(Admission::Admitted(Box::new(gateway)))
}

/// Why the cluster must still wait in its gateway's queue; `None` when it is its turn. First come, first served.
async fn queue(context: &TaskContext, cluster: &Cluster) -> Result<Option<String>, TaskError> {
    let (mut ahead, mut under_way) = (0_usize, 0_usize);
    let mut page = Page::first(Page::MAX);
    loop {
        let list = clusters::pulses(&context.store, Some(cluster.gateway), ClusterKind::Tenant, &page).await?;
        for pulse in &list.items {
            match pulse.state {
                ClusterState::Provisioning => under_way += 1,
                ClusterState::Queued if pulse.id < cluster.id => ahead += 1,
                _ => {}
            }
        }
        match list.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    if ahead + under_way < CREATED_AT_ONCE {
        return Ok(None);
    }
    Ok(Some(format!("waits for its turn: {under_way} clusters are being created and {ahead} wait before it")))
}
