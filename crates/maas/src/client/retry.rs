//! When a call that changes nothing is made once more.

use crate::error::{MaasError, MaasFailure};
use ferrogate_model::{Explain as _, Retry};
use rand::Rng as _;
use std::time::Duration;

/// How often a call is repeated before its error is handed on.
const REPEATS: u32 = 3;
/// The longest first pause; it doubles each time.
const FIRST: Duration = Duration::from_millis(400);

/// How long to wait before repeat number `attempt` (from 0), or `None` where repeating cannot help.
pub(super) fn pause(error: &MaasError, attempt: u32) -> Option<Duration> {
    let passing = match &*error.failure {
        MaasFailure::Http(error) => error.retry() != Retry::No,
        MaasFailure::Unavailable(_) | MaasFailure::Collided | MaasFailure::Internal => true,
        // A gateway's page may pass; a login page of a proxy does not.
        MaasFailure::Intercepted { status, .. } => (502..=504).contains(status),
        _ => false,
    };
    if !passing || attempt >= REPEATS {
        return None;
    }
    // Full jitter: clients that failed together do not return together.
    let longest = FIRST.saturating_mul(1 << attempt);
    Some(longest.mul_f64(rand::rng().random::<f64>()))
}
