//! What a node is told of its cluster.

use crate::materials::ClusterMaterials;
use ferrogate_model::{
    ClusterId, Name, allow::AllowRule, cluster::ClusterSpec, proxy::ProxySettings, release::Release,
};
use url::Url;

/// What a cluster is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterKind {
    /// A gateway's own cluster: nothing runs on it but the gateway.
    Gateway,
    /// A cluster that people work with.
    Tenant,
}

/// What the nodes of a gateway need beside Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayPayload {
    /// Base address of the plane the gateway connects to.
    pub plane_url: Url,
    /// What the plane may reach through the gateway.
    pub allow: Vec<AllowRule>,
}

/// One cluster, as far as its nodes have to know it.
#[derive(Clone, Debug)]
pub struct NodeConfiguration {
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
}
