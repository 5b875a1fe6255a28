//! Cloud accounts: a MAAS and a key to it, reached through a gateway.

use crate::Secret;
use ferrogate_model::{AccountId, GatewayId, Name, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether an account worked when it was last tried. An account that a gateway is built with is tried every few seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum AccountState {
    /// Not tried yet.
    Unknown,
    /// MAAS answered, and knows the key.
    Ready,
    /// MAAS answered, and refused the key or shows it less than there is.
    Refused,
    /// MAAS was not reached, or gave an answer that cannot be used.
    Unreachable,
}

/// A cloud account (specification 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Id.
    pub id: AccountId,
    /// Name.
    pub name: Name,
    /// The gateway it is reached through.
    pub gateway_id: GatewayId,
    /// The gateway's name.
    pub gateway: Name,
    /// MAAS endpoint, ending in `/MAAS`.
    pub endpoint: String,
    /// Whether it was created with its gateway.
    pub auto_created: bool,
    /// Clusters that use it.
    pub clusters: u32,
    /// Whether it worked when it was last tried.
    pub state: AccountState,
    /// Why it did not; empty where there is nothing to say.
    pub reason: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Registers a cloud account. Saved only if MAAS accepts the key through the gateway.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountCreate {
    /// Name.
    pub name: Name,
    /// Id or name of the gateway.
    #[schema(example = "maas-pcg-1")]
    pub gateway: String,
    /// MAAS endpoint.
    #[schema(example = "http://10.11.12.13:5240/MAAS")]
    pub endpoint: String,
    /// API key of MAAS.
    pub api_key: Secret,
    /// CA certificates (PEM) of a MAAS behind a private CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// Changes a cloud account; what is absent stays. Saved only if MAAS accepts the result.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountUpdate {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// New endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// New API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// New CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// What MAAS offers, read live (specification 6.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountProperties {
    /// MAAS's version.
    pub maas_version: String,
    /// Whose key it is.
    pub maas_user: String,
    /// Availability zones with their Ready machines.
    pub zones: Vec<ZoneCount>,
    /// Resource pools with their Ready machines.
    pub resource_pools: Vec<PoolCount>,
    /// Domains; the default one first.
    pub domains: Vec<String>,
    /// Subnets as `name cidr`.
    pub subnets: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Operating system images, such as `ubuntu/noble amd64`.
    pub images: Vec<String>,
    /// Machines that are Ready and not locked.
    pub ready_machines: u32,
}

/// A zone and its Ready machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneCount {
    /// Name.
    pub name: String,
    /// Ready machines in it.
    pub ready_machines: u32,
}

/// A resource pool and its Ready machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolCount {
    /// Name.
    pub name: String,
    /// Ready machines in it.
    pub ready_machines: u32,
}
