//! The partition between site and plane, and the clock that ends it.

use crate::{host::HostError, netns};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::task::AbortHandle;

/// Whether site and plane are cut off from each other.
#[derive(Debug, Default)]
pub(super) struct Partition {
    state: std::sync::Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    on: bool,
    /// Ends it after a time.
    clock: Option<AbortHandle>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Partition {
    pub(super) fn is_on(&self) -> bool {
        lock(&self.state).on
    }

    /// Begins, or begins anew, and ends by itself where a time is given.
    pub(super) async fn begin(&self, edge: &str, time: Option<Duration>) -> Result<(), HostError> {
        self.forget();
        netns::partition(edge).await?;
        lock(&self.state).on = true;
        if let Some(time) = time {
            let (state, edge) = (std::sync::Arc::clone(&self.state), edge.to_owned());
            let clock = tokio::spawn(async move {
                tokio::time::sleep(time).await;
                match netns::heal(&edge).await {
                    Ok(()) => lock(&state).on = false,
                    Err(error) => tracing::error!(%error, "the partition could not be ended"),
                }
            });
            lock(&self.state).clock = Some(clock.abort_handle());
        }
        Ok(())
    }

    pub(super) async fn end(&self, edge: &str) -> Result<(), HostError> {
        self.forget();
        netns::heal(edge).await?;
        lock(&self.state).on = false;
        Ok(())
    }

    /// Stops the clock.
    pub(super) fn forget(&self) {
        if let Some(clock) = lock(&self.state).clock.take() {
            clock.abort();
        }
    }
}
