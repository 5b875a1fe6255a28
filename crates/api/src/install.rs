//! What an installer may ask of the plane after pairing, with its install token.

use crate::Secret;
use ferrogate_model::state::{GatewayHealth, GatewayState, OperationState};
use ferrogate_model::{GatewayId, Name, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for a token with which one machine may register its key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentTokenCreate {
    /// The machine's host name.
    pub node_name: Name,
}

/// A one-time enrolment token, shown only here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentTokenCreated {
    /// The token.
    pub token: Secret,
    /// When it can no longer be used.
    pub expires_at: Timestamp,
}

/// Tells the plane how far the installer is; shown on the gateway's page.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallProgress {
    /// The step.
    #[schema(example = "machines")]
    pub step: String,
    /// How it stands.
    pub state: OperationState,
    /// In words.
    #[serde(default)]
    #[schema(example = "node02 is being installed by MAAS")]
    pub detail: String,
}

/// How the gateway stands, for the installer that waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstallStatus {
    /// The gateway.
    pub gateway_id: GatewayId,
    /// Its name.
    pub name: Name,
    /// Its state.
    pub state: GatewayState,
    /// Its health.
    pub health: GatewayHealth,
    /// Why it is in that state, for people.
    pub reason: String,
    /// Names of the nodes that are connected.
    pub connected_nodes: Vec<String>,
    /// How many nodes there should be.
    pub desired_nodes: u32,
}
