//! What happened, for people.

use ferrogate_model::state::Severity;
use ferrogate_model::{EventId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// What kind of object an event, operation or audit entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A gateway.
    Gateway,
    /// A cluster.
    Cluster,
    /// A cloud account.
    Account,
    /// A user.
    User,
    /// A tenant.
    Tenant,
    /// An API token.
    Token,
    /// A session.
    Session,
    /// A pairing code.
    PairingCode,
    /// The plane itself.
    Plane,
}

impl SubjectKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Gateway,
        Self::Cluster,
        Self::Account,
        Self::User,
        Self::Tenant,
        Self::Token,
        Self::Session,
        Self::PairingCode,
        Self::Plane,
    ];

    /// The word on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Cluster => "cluster",
            Self::Account => "account",
            Self::User => "user",
            Self::Tenant => "tenant",
            Self::Token => "token",
            Self::Session => "session",
            Self::PairingCode => "pairing_code",
            Self::Plane => "plane",
        }
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that happened to an object (specification 8.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Id; sorts by time. Also the id of the server-sent event.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What kind of object.
    pub subject_kind: SubjectKind,
    /// Id of the object.
    pub subject_id: String,
    /// Name of the object.
    pub subject: String,
    /// How serious.
    pub severity: Severity,
    /// One word in CamelCase, as in Kubernetes.
    #[schema(example = "MachineDeployed")]
    pub reason: String,
    /// In words.
    #[schema(example = "node02 runs Ubuntu 24.04 and starts Kubernetes")]
    pub message: String,
}
