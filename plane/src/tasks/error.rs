//! Why a run of a reconciler did not get to its end.

use ferrogate_join::MaterialsError;
use ferrogate_store::StoreError;

/// Why a run of a reconciler did not get to its end. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The store failed, or something was changed under the run.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cluster's certificates could not be made or read.
    #[error(transparent)]
    Materials(#[from] MaterialsError),
    /// A stored document is not what it should be.
    #[error("the stored {what} cannot be read: {problem}")]
    Document {
        /// Which.
        what: &'static str,
        /// What is wrong with it, without its content.
        problem: String,
    },
    /// The run took too long and was ended.
    #[error("it did not end within {seconds} s")]
    TooLong {
        /// The limit.
        seconds: u64,
    },
}

impl TaskError {
    pub(super) fn document(what: &'static str, problem: &impl ToString) -> Self {
        Self::Document { what, problem: problem.to_string() }
    }

    /// Whether somebody changed the thing meanwhile, so that looking again at once is right.
    pub(super) const fn is_stale(&self) -> bool {
        matches!(self, Self::Store(StoreError::Changed { .. }))
    }
}
