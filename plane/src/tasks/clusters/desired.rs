//! What the engine is told of a cluster.

use crate::tasks::{TaskContext, TaskError, context};
use ferrogate_engine::Desired;
use ferrogate_join::{ClusterKind, ClusterMaterials, NodeConfiguration};
use ferrogate_maas::Endpoint;
use ferrogate_store::{
    accounts::Account,
    clusters::{self, Cluster},
    gateways::Gateway,
};
use secrecy::{ExposeSecret, SecretString};

/// The cluster's certificates and tokens; made, and kept, before anything else happens.
pub(super) async fn materials(context: &TaskContext, cluster: &Cluster) -> Result<ClusterMaterials, TaskError> {
    if let Some(stored) = &cluster.materials {
        return serde_json::from_str(stored.expose_secret())
            .map_err(|error| TaskError::document("cluster materials", &error.classify_for_log()));
    }
    let now = context.now();
    let materials = ClusterMaterials::generate(cluster.name.as_str(), now)?;
    let text = serde_json::to_string(&materials)
        .map_err(|error| TaskError::document("cluster materials", &error.classify_for_log()))?;
    clusters::set_materials(&context.store, cluster.id, &SecretString::from(text), now).await?;
    Ok(materials)
}

/// The cluster as it should be.
pub(super) fn of(
    context: &TaskContext,
    cluster: &Cluster,
    gateway: &Gateway,
    account: &Account,
    materials: ClusterMaterials,
) -> Result<Desired, TaskError> {
    let mut proxy = context::proxy(cluster.settings.as_ref().or(gateway.proxy.as_ref()))?;
    let maas = Endpoint::parse(&account.endpoint).map(|(endpoint, _)| endpoint.host()).unwrap_or_default();
    proxy.no_proxy = proxy.no_proxy.completed(cluster.spec.pod_cidr, cluster.spec.service_cidr, &[], &maas);
    Ok(Desired {
        configuration: NodeConfiguration {
            cluster: cluster.id,
            name: cluster.name.clone(),
            kind: ClusterKind::Tenant,
            spec: cluster.spec.clone(),
            release: cluster.release.clone(),
            materials,
            artifacts_url: context.artifacts_url.clone(),
            plane_ca_pem: context.plane_ca_pem.clone(),
            proxy,
            gateway: None,
        },
        absent: cluster.absent,
    })
}

/// A JSON error without any of the document in it.
trait ClassifyForLog {
    fn classify_for_log(&self) -> String;
}

impl ClassifyForLog for serde_json::Error {
    fn classify_for_log(&self) -> String {
        format!("{:?} error at line {} column {}", self.classify(), self.line(), self.column())
    }
}
