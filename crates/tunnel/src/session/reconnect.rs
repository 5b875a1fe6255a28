//! When a gateway dials again.

use std::time::{Duration, Instant};

/// The first wait is by chance between zero and this; it doubles with each failure.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(15);
/// The longest wait after a refusal that may heal: somebody has to do something first.
const LONGEST_REFUSED: Duration = Duration::from_secs(30);
/// The longest wait the plane may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// A carrier that lived this long forgets the failures before it.
const STABLE: Duration = Duration::from_secs(60);

/// How a dial, or the carrier it made, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It failed or broke.
    Lost,
    /// The plane, or something before it, refused in a way that may heal.
    Refused {
        /// Not before this much time.
        retry_after: Option<Duration>,
    },
    /// The node was revoked.
    Revoked,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Dial again after this wait.
    DialIn(Duration),
    /// Never again.
    Stop,
}

/// The reconnect policy of one carrier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reconnect {
    failures: u32,
    connected_at: Option<Instant>,
}

impl Reconnect {
    /// The carrier is up.
    pub(crate) const fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// The dial failed or the carrier ended. `chance` is a random number in `[0, 1)`.
    pub(crate) fn ended(&mut self, now: Instant, ended: Ended, chance: f64) -> Next {
        if let Some(since) = self.connected_at.take()
            && now.saturating_duration_since(since) >= STABLE
        {
            self.failures = 0;
        }
        // Doubling ends long before 2^16.
        let doubled = FIRST * 2_u32.pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        match ended {
            Ended::Lost => Next::DialIn(doubled.min(LONGEST).mul_f64(chance)),
            Ended::Refused { retry_after: None } => {
                // Half of it certain: nothing heals in a moment, and a plane that refuses has work enough.
                Next::DialIn(LONGEST_REFUSED.mul_f64(0.5 + chance / 2.0))
            }
            Ended::Refused { retry_after: Some(asked) } => {
                // Spread over as much again (at least a second, at most the usual), so that not all come at once.
                let asked = asked.min(LONGEST_ASKED);
                let spread = asked.clamp(Duration::from_secs(1), LONGEST);
                Next::DialIn(asked + spread.mul_f64(chance))
            }
            Ended::Revoked => Next::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wait(next: Next) -> Duration {
        match next {
            Next::DialIn(wait) => wait,
            Next::Stop => panic!("must not stop"),
        }
    }

    #[test]
    fn waits_double_up_to_fifteen_seconds() {
        let mut policy = Reconnect::default();
        let now = Instant::now();
        let waits: Vec<_> = (0..8).map(|_| wait(policy.ended(now, Ended::Lost, 1.0)).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
    }

    #[test]
    fn only_a_stable_minute_forgets_failures() {
        let mut policy = Reconnect::default();
        let now = Instant::now();
        for _ in 0..10 {
            policy.ended(now, Ended::Lost, 0.5);
        }
        policy.connected(now);
        let flapped = wait(policy.ended(now + Duration::from_secs(59), Ended::Lost, 1.0));
        assert_eq!(flapped, LONGEST);
        policy.connected(now);
        let stable = wait(policy.ended(now + STABLE, Ended::Lost, 1.0));
        assert_eq!(stable, FIRST);
    }

    proptest! {
        #[test]
        fn it_stops_only_when_revoked_and_never_waits_too_long(
            ends in proptest::collection::vec((0_u8..4, 0.0_f64..1.0, 0_u64..1_000_000), 1..60),
        ) {
            let mut policy = Reconnect::default();
            let mut now = Instant::now();
            for (kind, chance, amount) in ends {
                let ended = match kind {
                    0 => Ended::Lost,
                    1 => Ended::Refused { retry_after: None },
                    2 => Ended::Refused { retry_after: Some(Duration::from_millis(amount)) },
                    _ => { policy.connected(now); Ended::Lost }
                };
                now += Duration::from_millis(amount);
                let Next::DialIn(wait) = policy.ended(now, ended, chance) else {
                    return Err(TestCaseError::fail("stopped without being revoked"));
                };
                match ended {
                    Ended::Lost => prop_assert!(wait <= LONGEST),
                    Ended::Refused { retry_after: None } => prop_assert!(wait >= LONGEST && wait <= LONGEST_REFUSED),
                    Ended::Refused { retry_after: Some(asked) } => {
                        prop_assert!(wait >= asked.min(LONGEST_ASKED) && wait <= LONGEST_ASKED + LONGEST);
                    }
                    Ended::Revoked => unreachable!(),
                }
            }
            prop_assert_eq!(policy.ended(now, Ended::Revoked, 0.5), Next::Stop);
        }
    }
}
