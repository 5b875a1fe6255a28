//! Which state a pass leaves a cluster in.

use ferrogate_engine::Outcome;
use ferrogate_model::state::ClusterState;
use ferrogate_store::clusters::Cluster;

/// The state after a pass with this outcome.
pub(super) fn after(cluster: &Cluster, outcome: &Outcome) -> ClusterState {
    let from = cluster.state;
    let to = if cluster.absent {
        match outcome {
            Outcome::Converged => ClusterState::Deleted,
            Outcome::Working { .. } | Outcome::Blocked { .. } => ClusterState::Deleting,
        }
    } else {
        // A cluster that was once complete keeps working while something of it is missing or changed.
        let has_been_complete = cluster.observed_generation > 0;
        let is_changed = cluster.generation != cluster.observed_generation;
        match outcome {
            Outcome::Converged => ClusterState::Running,
            Outcome::Working { .. } if !has_been_complete => ClusterState::Provisioning,
            Outcome::Working { .. } if is_changed => ClusterState::Updating,
            Outcome::Blocked { .. } if !has_been_complete => ClusterState::Failed,
            Outcome::Working { .. } | Outcome::Blocked { .. } => ClusterState::Degraded,
        }
    };
    if from.may_become(to) { to } else { from }
}

/// Why it is in that state, for people.
pub(super) fn reason(cluster: &Cluster, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Converged if cluster.absent => "everything was given back".into(),
        Outcome::Converged => "everything asked for is there and healthy".into(),
        Outcome::Working { reason, .. } => reason.clone(),
        Outcome::Blocked { cause, hint: Some(hint) } => format!("{cause}; {hint}"),
        Outcome::Blocked { cause, hint: None } => cause.clone(),
    }
}

#[cfg(test)]
#[path = "states_tests.rs"]
mod tests;
