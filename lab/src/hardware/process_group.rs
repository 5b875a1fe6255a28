//! A machine's process with everything it started.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// Kills a machine with all its processes. It has not been waited for, so the id is still its own.
pub(super) fn kill_group(child: &Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = group
        && let Err(error) = kill_process_group(group, Signal::KILL)
    {
        tracing::warn!(%error, "a machine's processes cannot be killed");
    }
}
