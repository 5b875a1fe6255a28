//! The reconcilers: what compares what should be with what MAAS, Kubernetes and the hub say, and acts.
//!
//! Rules that hold for all of them:
//! - They run by a timer and by a nudge, and a run takes no input but the id of a thing: whoever changes something writes it
//!   down and nudges; what changed is found by looking.
//! - Every run is idempotent and may end at any line, by a crash or by the plane's shutdown.
//! - A failed run is tried again, ever later (with jitter); one that panics harms nothing but itself.
//! - Of several replicas one works on a thing at a time (a lease), and what it writes is refused by the store when somebody
//!   changed the thing meanwhile.
//! - What each did last is kept for operators in [`TaskStatuses`].

mod builder;
mod clusters;
mod context;
mod error;
mod gateways;
mod housekeeping;
mod lease;
mod runner;
mod status;

pub use builder::{Builder, EngineBuilder, MaasAccess};
pub use clusters::Clusters;
pub use context::TaskContext;
pub use error::TaskError;
pub use gateways::Gateways;
pub use housekeeping::Housekeeping;
pub use runner::{Done, Key, Reconciler, run};
pub use status::{ItemStatus, Phase, TaskStatus, TaskStatuses};

use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Starts every reconciler; they end when `closing` is cancelled, and `tracker` waits for them.
pub fn spawn(context: &Arc<TaskContext>, tracker: &TaskTracker, closing: &CancellationToken) -> Arc<TaskStatuses> {
    let statuses = Arc::new(TaskStatuses::default());
    let reconcilers: [Arc<dyn Reconciler>; 3] = [
        Arc::new(Clusters::new(Arc::clone(context))),
        Arc::new(Gateways::new(Arc::clone(context))),
        Arc::new(Housekeeping::new(Arc::clone(context))),
    ];
    for reconciler in reconcilers {
        let (clock, nudges) = (Arc::clone(&context.clock), context.nudge.subscribe());
        tracker.spawn(run(reconciler, clock, nudges, Arc::clone(&statuses), closing.clone()));
    }
    tracker.spawn(context::listen(Arc::clone(context), closing.clone()));
    statuses
}
