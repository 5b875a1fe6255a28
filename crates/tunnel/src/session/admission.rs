//! How many handshakes the hub takes a second: after a restart a thousand gateways come at once.

use std::time::{Duration, Instant};

/// A bucket of admissions that fills at a steady rate.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    per_second: f64,
    burst: f64,
    left: f64,
    /// When `left` was right.
    at: Instant,
}

impl Admission {
    /// A full bucket: `burst` at once, `per_second` in the long run.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Self { per_second: f64::from(per_second.max(1)), burst, left: burst, at: now }
    }

    /// Takes one admission, or says after how long one will be free.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        let filled = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + filled).min(self.burst);
        self.at = self.at.max(now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - self.left) / self.per_second))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_more_than_the_burst_and_the_rate_are_admitted(
            steps in proptest::collection::vec(0_u64..50, 1..400),
        ) {
            let start = Instant::now();
            let mut admission = Admission::new(10, 5, start);
            let mut now = start;
            let mut admitted = 0_u32;
            for step in steps {
                now += Duration::from_millis(step);
                match admission.admit(now) {
                    Ok(()) => admitted += 1,
                    Err(wait) => prop_assert!(wait <= Duration::from_millis(100)),
                }
                let most = 5.0 + (now - start).as_secs_f64() * 10.0;
                prop_assert!(f64::from(admitted) <= most + 1e-6);
            }
        }
    }

    #[test]
    fn the_wait_it_names_is_long_enough() {
        let start = Instant::now();
        let mut admission = Admission::new(2, 1, start);
        assert!(admission.admit(start).is_ok());
        let wait = admission.admit(start).unwrap_err();
        assert!(admission.admit(start + wait + Duration::from_micros(1)).is_ok());
    }
}
