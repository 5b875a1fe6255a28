//! A machine's slot in the rack.

use super::{running::Running, screen::Screen};
use std::sync::Arc;

/// One machine's slot in the rack.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) screen: Screen,
    /// One hand at the switch at a time.
    pub(super) switch: Arc<tokio::sync::Mutex<()>>,
    pub(super) running: Option<Running>,
    pub(super) never_boots: bool,
    /// The CPU of this computer for a machine that is being started.
    pub(super) starting_on: Option<usize>,
}

impl Slot {
    /// The CPU of this computer that it takes, running or about to.
    pub(super) fn cpu(&self) -> Option<usize> {
        let running = self.running.as_ref().filter(|running| running.is_on());
        self.starting_on.or_else(|| running.and_then(|running| running.host_cpu))
    }
}
