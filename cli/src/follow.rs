//! Waiting for an operation, with its progress shown.

use crate::exit::{Exit, Failure, Result};
use crate::print;
use ferrogate_api::{ApiError, Client, Operation};
use ferrogate_model::state::OperationState;
use ferrogate_model::{Explain, OperationId, Retry};
use std::time::Duration;
use tokio::time::Instant;

const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Follows an operation to its end. Each new state or detail of a step is a line on standard error.
pub(crate) async fn operation(client: &Client, id: OperationId, deadline: Duration) -> Result<Operation> {
    let end = Instant::now() + deadline;
    let mut shown: Vec<(OperationState, String)> = Vec::new();
    loop {
        match client.operation(id).await {
            Ok(operation) => {
                for (index, step) in operation.steps.iter().enumerate() {
                    let now = (step.state, step.detail.clone());
                    if shown.get(index) != Some(&now) {
                        print::note(format!("  {:<9}  {:<20} {}", step.state, step.name, step.detail).trim_end());
                        if index < shown.len() { shown[index] = now } else { shown.push(now) }
                    }
                }
                match operation.state {
                    OperationState::Succeeded => return Ok(operation),
                    OperationState::Failed | OperationState::Cancelled => {
                        return Err(Failure::failed(format!(
                            "{} {}: {}",
                            operation.kind.as_str(),
                            operation.state,
                            operation.reason
                        ))
                        .with_hint(format!("see `ferrogate describe operation {id}`")));
                    }
                    OperationState::Queued | OperationState::Running => {}
                }
            }
            Err(error) if may_pass(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= end {
            return Err(Failure::new(
                Exit::TimedOut,
                format!("operation {id} did not end within {} s; it goes on", deadline.as_secs()),
            )
            .with_hint(format!("follow it with `ferrogate get operation {id} --watch`")));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// A plane that restarts meanwhile is no reason to give up.
fn may_pass(error: &ApiError) -> bool {
    matches!(error, ApiError::Unreachable { .. }) || error.retry() == Retry::Later
}
