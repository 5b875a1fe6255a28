//! Pairing: how an installer that knows only a code becomes the builder of one gateway (specification 4).

use crate::Secret;
use ferrogate_model::release::Release;
use ferrogate_model::{ClusterId, GatewayId, Name, PairingCodeId, Timestamp, UserId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a pairing code is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PairingCodeState {
    /// Can be used.
    Active,
    /// Has been used.
    Used,
    /// Its 24 hours are over.
    Expired,
    /// Withdrawn by a person.
    Revoked,
}

/// A pairing code's record. The code itself is kept only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PairingCode {
    /// Id.
    pub id: PairingCodeId,
    /// Where it is in its life.
    pub state: PairingCodeState,
    /// What it is for, as its maker wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it can no longer be used: 24 hours after it was made.
    pub expires_at: Timestamp,
    /// When it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// The gateway it was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<GatewayId>,
}

/// Makes a pairing code.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PairingCodeCreate {
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Paris, hall 2")]
    pub note: Option<String>,
}

/// A fresh pairing code. The code is shown only here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PairingCodeCreated {
    /// The code's record.
    pub pairing_code: PairingCode,
    /// The code.
    pub code: Secret,
    /// The command to run on a host that reaches this plane and the site's MAAS; it carries the plane's fingerprint
    /// where its certificate comes from a private CA.
    pub command: String,
    /// Fingerprint of the plane's CA, `sha256:…`; absent where the certificate is publicly trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// The MAAS of the site, as the installer knows it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PairedMaas {
    /// API endpoint, ending in `/MAAS`.
    #[schema(example = "http://10.11.12.13:5240/MAAS")]
    pub endpoint: String,
    /// API key; the plane keeps it sealed for the cloud account it will create.
    pub api_key: Secret,
    /// CA certificates (PEM) of a MAAS behind a private CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// The site's way out, as the nodes must use it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// Proxy for `https`, with credentials where it wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_proxy: Option<Secret>,
    /// Proxy for `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_proxy: Option<Secret>,
    /// Destinations reached directly, completed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
}

/// Uses a pairing code. Asked again with the same code, name and `request_key` it answers the same, so that an
/// installer that did not hear the answer can ask again; with any other `request_key` the code counts as used.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PairRequest {
    /// The pairing code.
    pub code: Secret,
    /// A random text (at least 128 bits) that the installer makes before its first try and keeps.
    pub request_key: Secret,
    /// Name of the gateway.
    pub name: Name,
    /// 1 or 3 nodes.
    #[schema(minimum = 1, maximum = 3, example = 1)]
    pub nodes: u32,
    /// The site's MAAS.
    pub maas: PairedMaas,
    /// MAAS domain of the gateway's machines.
    #[schema(example = "maas")]
    pub domain: String,
    /// MAAS availability zone of the gateway's machines.
    #[schema(example = "default")]
    pub zone: String,
    /// MAAS resource pool of the gateway's machines.
    #[schema(example = "default")]
    pub resource_pool: String,
    /// Where the gateway's pods get their addresses.
    #[schema(value_type = String, example = "192.168.0.0/16")]
    pub pod_cidr: IpNet,
    /// Where the gateway's services get their addresses.
    #[schema(value_type = String, example = "10.43.0.0/16")]
    pub service_cidr: IpNet,
    /// The site's way out; reaches every node of the gateway and of its clusters.
    #[serde(default)]
    pub proxy: ProxyConfig,
    /// Version of the installer.
    pub installer_version: String,
}

/// What an installer needs to build the gateway, kept sealed by it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PairResponse {
    /// The gateway, now *Provisioning*.
    pub gateway_id: GatewayId,
    /// The gateway's own cluster.
    pub cluster_id: ClusterId,
    /// Bearer token for `/api/v1/install/{gateway}/…` of this gateway only.
    pub install_token: Secret,
    /// Keys and certificates of the gateway's cluster, in the engine's own format.
    pub materials: Secret,
    /// What to install.
    pub release: Release,
    /// Address of the plane for the nodes.
    #[schema(example = "https://plane.example.com")]
    pub plane_url: String,
    /// CA certificates (PEM) of the plane, where it is behind a private CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plane_ca_pem: Option<String>,
    /// Where the nodes download from: the plane's `/artifacts` or a mirror.
    pub artifacts_url: String,
}
