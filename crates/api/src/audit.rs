//! Who did what, or tried to (specification 8.2).

use ferrogate_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an audited request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditResult {
    /// Done or accepted.
    Allowed,
    /// Not permitted, or not signed in.
    Refused,
    /// Permitted, but failed.
    Failed,
}

/// One request that changed something, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Id; sorts by time.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// `user`, `token`, `installer`, `gateway`, `system` or `anonymous`.
    pub actor_kind: String,
    /// Id of the actor, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// Name of the actor.
    pub actor: String,
    /// Address the request came from.
    pub from_ip: String,
    /// What was asked, such as `cluster.create`.
    pub action: String,
    /// Path or id of the object.
    pub subject: String,
    /// How it ended.
    pub result: AuditResult,
    /// HTTP status and problem code.
    pub detail: String,
    /// The request's id.
    pub request_id: String,
}
