//! Where a cluster's API servers are.

use crate::{
    app::clusters as app_clusters,
    auth::Principal,
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_model::{
    ClusterId,
    cluster::CONTROL_PLANE_POOL,
    state::{ClusterState, MachineState},
};
use ferrogate_net::Connector;
use ferrogate_store::{Page, clusters::Cluster, machines};
use rustls::ClientConfig;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// The way to a cluster.
pub(super) struct Reach {
    pub(super) cluster: Cluster,
    pub(super) members: Vec<IpAddr>,
    pub(super) config: Arc<ClientConfig>,
    pub(super) connector: Arc<dyn Connector>,
}

/// Finds the way to a cluster of the caller's tenant.
pub(super) async fn find(context: &Context, who: &Principal, cluster: &str) -> Outcome<Reach> {
    let cluster = app_clusters::reachable(context, who, cluster).await?;
    if cluster.deleted.is_some() {
        return Err(Failure::not_found("cluster", cluster.name));
    }
    let members = members(context, cluster.id).await?;
    if members.is_empty() {
        let detail = format!("cluster `{}` is {} and has no control-plane machine yet", cluster.name, cluster.state);
        let failure = Failure::new(503, "cluster_not_ready", detail);
        let wait = if cluster.state == ClusterState::Failed { 60 } else { 10 };
        return Err(failure.retry_after(Duration::from_secs(wait)));
    }
    let config = context.identities.config(&cluster, context.now())?;
    let connector = context.site_network.connector(cluster.gateway);
    Ok(Reach { cluster, members, config, connector })
}

/// Addresses of the control plane, those of healthy members first.
async fn members(context: &Context, cluster: ClusterId) -> Outcome<Vec<IpAddr>> {
    let list = machines::list(&context.store, cluster, &Page::first(Page::MAX)).await?;
    let mut control: Vec<_> = list.items.into_iter().filter(|machine| machine.pool == CONTROL_PLANE_POOL).collect();
    let rank = |state| match state {
        MachineState::Running => Some(0),
        MachineState::Joining => Some(1),
        MachineState::Draining => Some(2),
        MachineState::Allocating | MachineState::Deploying | MachineState::Releasing | MachineState::Failed => None,
    };
    control.retain(|machine| rank(machine.state).is_some());
    control.sort_by_key(|machine| rank(machine.state));
    Ok(control.into_iter().flat_map(|machine| machine.addresses).collect())
}
