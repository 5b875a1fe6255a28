//! Where a cluster's API servers are, and how the plane proves itself to them.

use crate::{
    app::clusters as app_clusters,
    auth::Principal,
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_engine::materials::ClusterMaterials;
use ferrogate_model::{
    ClusterId, Timestamp,
    cluster::CONTROL_PLANE_POOL,
    fault::chain,
    state::{ClusterState, MachineState},
};
use ferrogate_net::{Connector, Trust};
use ferrogate_store::{Page, clusters::Cluster, machines};
use rustls::ClientConfig;
use secrecy::ExposeSecret as _;
use std::{collections::HashMap, net::IpAddr, sync::Arc, sync::Mutex, time::Duration};

/// Lifetime of the administrator's certificate the plane issues to itself; it cannot be taken back, so it is short.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// After how long a new one is issued.
const CERTIFICATE_RENEWAL: Duration = Duration::from_secs(12 * 3600);
/// So many clusters' certificates are kept at hand.
const MAX_KEPT: usize = 1_024;

/// The way to a cluster.
pub(super) struct Reach {
    pub(super) cluster: Cluster,
    pub(super) members: Vec<IpAddr>,
    pub(super) config: Arc<ClientConfig>,
    pub(super) connector: Arc<dyn Connector>,
}

/// The certificates in use, so that not every request signs one.
#[derive(Debug, Default)]
pub(crate) struct Identities(Mutex<HashMap<ClusterId, (Arc<ClientConfig>, Timestamp)>>);

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
    let connector = context.site.connector(cluster.gateway);
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

impl Identities {
    /// TLS settings with an administrator's certificate of the cluster.
    fn config(&self, cluster: &Cluster, now: Timestamp) -> Outcome<Arc<ClientConfig>> {
        let kept = self.0.lock().expect("nothing panics while it holds this lock").get(&cluster.id).cloned();
        if let Some((config, until)) = kept
            && now < until
        {
            return Ok(config);
        }
        let broken = |cause: String| Failure::internal(format!("cluster {}: {cause}", cluster.id));
        let text = cluster.materials.as_ref().ok_or_else(|| broken("its keys are gone".into()))?;
        let materials: ClusterMaterials = serde_json::from_str(text.expose_secret())
            // serde's words could repeat a part of the keys.
            .map_err(|_| broken("its keys cannot be read".into()))?;
        let identity = materials.admin_identity(now, CERTIFICATE_LIFETIME).map_err(|error| broken(chain(&error)))?;
        let config = Trust::ca(materials.server_ca.certificate_pem)
            .with_identity(identity.certificate_pem, identity.key_pem)
            .client_config(&[b"http/1.1"])
            .map_err(|error| broken(chain(&error)))?;
        let mut kept = self.0.lock().expect("nothing panics while it holds this lock");
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(cluster.id, (Arc::clone(&config), now + CERTIFICATE_RENEWAL));
        Ok(config)
    }
}
