//! Time as an argument. Nothing but [`SystemClock`] may ask the computer what time it is.

use jiff::Timestamp;

/// Where "now" comes from. Production uses [`SystemClock`]; tests hand in a clock they move themselves.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The current point in time, UTC.
    fn now(&self) -> Timestamp;
}

/// The computer's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
