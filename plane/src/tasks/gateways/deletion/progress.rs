//! What the deletion of a gateway must remember across a restart, kept with the record of the gateway's own cluster.

use super::decision::Call;
use crate::tasks::{TaskContext, TaskError};
use ferrogate_model::{SystemId, Timestamp};
use ferrogate_store::clusters::{self, Cluster};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DeletionProgress {
    /// The one call that gives every machine back was made, or was about to be.
    pub(super) release: Option<ReleaseRequest>,
    /// Since when no node has been connected, while one is needed.
    pub(super) away_since: Option<Timestamp>,
    /// Since when something else has been in the way: what MAAS says, or that it says nothing.
    pub(super) hindered_since: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReleaseRequest {
    /// When.
    pub(super) at: Timestamp,
    /// Which machines.
    pub(super) machines: Vec<HeldMachine>,
    /// What is known of the call.
    pub(super) call: Call,
}

/// A machine that is being given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldMachine {
    /// MAAS's id.
    pub(super) system_id: SystemId,
    /// MAAS's name.
    pub(super) hostname: String,
}

impl DeletionProgress {
    pub(super) fn of(own: &Cluster) -> Self {
        own.memory.get("deletion").and_then(|note| serde_json::from_value(note.clone()).ok()).unwrap_or_default()
    }

    pub(super) async fn keep(&self, context: &TaskContext, own: &Cluster) -> Result<(), TaskError> {
        let note = serde_json::to_value(self).map_err(|error| TaskError::document("note", &error))?;
        let memory = serde_json::json!({ "deletion": note });
        Ok(clusters::set_memory(&context.store, own.id, &memory).await?)
    }
}

pub(super) fn names(machines: &[HeldMachine]) -> String {
    machines.iter().map(|machine| machine.hostname.as_str()).collect::<Vec<_>>().join(", ")
}
