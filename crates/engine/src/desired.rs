//! What a cluster should be: the engine's only input beside what it observes.

use ferrogate_join::{ClusterKind, ClusterMaterials, GatewayPayload, NodeConfiguration};
use ferrogate_model::{ClusterId, Name, cluster::ClusterSpec, proxy::ProxySettings, release::Release};
use url::Url;

/// One cluster as it should be.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The cluster; its text form is part of the mark on every machine.
    pub cluster: ClusterId,
    /// The cluster's name, for people.
    pub name: Name,
    /// What the cluster is for.
    pub kind: ClusterKind,
    /// Pools, ranges, domain and the like.
    pub spec: ClusterSpec,
    /// The exact files that nodes install.
    pub release: Release,
    /// Certificate authorities, tokens and keys, made before the first machine boots.
    pub materials: ClusterMaterials,
    /// Where nodes download from, such as `https://plane.example.com/artifacts/`; paths of the release are below it.
    pub artifacts_url: Url,
    /// The CA (PEM) that signed the certificate behind `artifacts_url` and the plane; `None` trusts the nodes' own roots.
    pub plane_ca_pem: Option<String>,
    /// The site's proxies; `no_proxy` is completed with what this cluster adds.
    pub proxy: ProxySettings,
    /// Present on a gateway's own cluster.
    pub gateway: Option<GatewayPayload>,
    /// Whether the cluster should be gone: everything that bears its mark is given back.
    pub absent: bool,
}

impl Desired {
    /// What the cluster's nodes are told of it.
    #[must_use]
    pub fn node_configuration(&self) -> NodeConfiguration {
        NodeConfiguration {
            cluster: self.cluster,
            name: self.name.clone(),
            kind: self.kind,
            spec: self.spec.clone(),
            release: self.release.clone(),
            materials: self.materials.clone(),
            artifacts_url: self.artifacts_url.clone(),
            plane_ca_pem: self.plane_ca_pem.clone(),
            proxy: self.proxy.clone(),
            gateway: self.gateway.clone(),
        }
    }
}
