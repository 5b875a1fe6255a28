//! Gateways and their nodes.

use ferrogate_model::state::{GatewayHealth, GatewayState};
use ferrogate_model::{AccountId, ClusterId, GatewayId, Name, NodeId, OrphanId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A gateway (specification 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gateway {
    /// Id.
    pub id: GatewayId,
    /// Name.
    pub name: Name,
    /// Cloud type; always `maas`.
    #[schema(example = "maas")]
    pub cloud_type: String,
    /// State.
    pub state: GatewayState,
    /// Why it is in that state, for people.
    pub reason: String,
    /// Health.
    pub health: GatewayHealth,
    /// Which nodes are missed and since when, for people; empty while all are there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub health_reason: String,
    /// How many nodes it should have.
    pub desired_nodes: u32,
    /// How many nodes are connected.
    pub connected_nodes: u32,
    /// Version its nodes run.
    pub version: String,
    /// The gateway's own cluster.
    pub cluster_id: ClusterId,
    /// The cloud account that was created with it: its own MAAS and the key to it.
    pub account_id: AccountId,
    /// MAAS endpoint of its site, as that account has it.
    pub maas_endpoint: String,
    /// When it was paired.
    pub created_at: Timestamp,
    /// When a node was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
}

/// A node of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayNode {
    /// Id.
    pub id: NodeId,
    /// Name of the machine.
    pub name: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// Fingerprint of its public key.
    pub key_fingerprint: String,
    /// Version it runs.
    pub version: String,
    /// When it registered its key.
    pub registered_at: Timestamp,
    /// When it was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
    /// When its key was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Open carriers.
    pub carriers: u32,
    /// Open streams.
    pub streams: u32,
    /// Dials its allow-list refused since it started.
    pub refused_dials: u64,
}

/// Ends a gateway whose deletion is stuck, whatever is left behind in MAAS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayForceDelete {
    /// The gateway's name once more.
    pub confirm_name: String,
}

/// What kind of thing in MAAS an orphan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrphanKind {
    /// A machine.
    Machine,
    /// A DNS name, with the address that was reserved for it.
    DnsName,
}

/// Something that may have been left behind in a MAAS when a gateway was deleted by force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orphan {
    /// Id.
    pub id: OrphanId,
    /// What kind of thing it is.
    pub kind: OrphanKind,
    /// What MAAS calls it: a machine's system id, a whole DNS name.
    pub name: String,
    /// A machine's host name; otherwise empty.
    pub hostname: String,
    /// Address of the MAAS it is in.
    pub maas_endpoint: String,
    /// The gateway that is gone.
    pub gateway_id: GatewayId,
    /// What it was called.
    pub gateway: Name,
    /// The cluster that the mark on it names.
    pub cluster_id: ClusterId,
    /// Why it may be there still.
    pub reason: String,
    /// Who forced the deletion.
    pub recorded_by: String,
    /// When.
    pub recorded_at: Timestamp,
}
