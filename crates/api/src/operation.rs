//! Long work that can be followed.

use crate::SubjectKind;
use ferrogate_model::state::OperationState;
use ferrogate_model::{OperationId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// An installer builds a gateway.
    InstallGateway,
    /// A gateway is deleted.
    DeleteGateway,
    /// A gateway is deleted whatever becomes of its machines.
    ForceDeleteGateway,
    /// A cluster is created.
    CreateCluster,
    /// A cluster is changed.
    UpdateCluster,
    /// A cluster is deleted.
    DeleteCluster,
}

impl OperationKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::InstallGateway,
        Self::DeleteGateway,
        Self::ForceDeleteGateway,
        Self::CreateCluster,
        Self::UpdateCluster,
        Self::DeleteCluster,
    ];

    /// The word on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InstallGateway => "install_gateway",
            Self::DeleteGateway => "delete_gateway",
            Self::ForceDeleteGateway => "force_delete_gateway",
            Self::CreateCluster => "create_cluster",
            Self::UpdateCluster => "update_cluster",
            Self::DeleteCluster => "delete_cluster",
        }
    }
}

/// Long work on one object, with its steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Id.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// What kind of object it works on.
    pub subject_kind: SubjectKind,
    /// Id of the object.
    pub subject_id: String,
    /// The object's name.
    pub subject: String,
    /// State.
    pub state: OperationState,
    /// Why it is in that state, for people.
    pub reason: String,
    /// Who asked for it.
    pub created_by: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Its steps, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// One step of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Name, such as `machines`.
    pub name: String,
    /// State.
    pub state: OperationState,
    /// In words.
    pub detail: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}
