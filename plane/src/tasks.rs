//! The reconcilers: what compares what should be with what MAAS, Kubernetes and the hub say, and acts.
//!
//! Rules that hold for all of them:
//! - They run by a timer and by a nudge, and a run takes no input but the id of a thing: whoever changes something writes it
//!   down and nudges; what changed is found by looking.
//! - Every run is idempotent and may end at any line, by a crash or by the plane's shutdown.
//! - A failed run is tried again, ever later (with jitter); one that panics harms nothing but itself.
//! - Of several replicas one works on a thing at a time (a lease), and what it writes is refused by the store when somebody
//!   changed the thing meanwhile.
//! - What each did last is kept for operators on the [`Board`].

mod board;
mod builder;
mod clusters;
mod error;
mod gateways;
mod ground;
mod housekeeping;
mod lease;
mod runner;

pub use board::{Board, ItemStatus, Phase, TaskStatus};
pub use builder::{Builder, EngineBuilder, Site};
pub use clusters::Clusters;
pub use error::TaskError;
pub use gateways::Gateways;
pub use ground::Ground;
pub use housekeeping::Housekeeping;
pub use runner::{Done, Key, Reconciler, run};

use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Starts every reconciler; they end when `closing` is cancelled, and `tracker` waits for them.
pub fn spawn(ground: &Arc<Ground>, tracker: &TaskTracker, closing: &CancellationToken) -> Arc<Board> {
    let board = Arc::new(Board::default());
    let reconcilers: [Arc<dyn Reconciler>; 3] = [
        Arc::new(Clusters::new(Arc::clone(ground))),
        Arc::new(Gateways::new(Arc::clone(ground))),
        Arc::new(Housekeeping::new(Arc::clone(ground))),
    ];
    for reconciler in reconcilers {
        let (clock, nudges) = (Arc::clone(&ground.clock), ground.nudge.subscribe());
        tracker.spawn(run(reconciler, clock, nudges, Arc::clone(&board), closing.clone()));
    }
    tracker.spawn(ground::listen(Arc::clone(ground), closing.clone()));
    board
}
