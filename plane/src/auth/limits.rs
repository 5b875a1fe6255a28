//! How often something may be tried: a bucket of tries for each key that fills again with time.

pub(crate) use ferrogate_net::places::source;
use jiff::Timestamp;
use std::{collections::HashMap, hash::Hash, net::IpAddr, sync::Mutex, time::Duration};

/// So many keys are remembered; past it, keys whose bucket is full again are forgotten, and then the rest.
const MAX_KEYS: usize = 20_000;

/// Every limit of the plane. In memory: each replica counts for itself.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Sign-ins from one address.
    pub(crate) sign_in_source: Limiter<IpAddr>,
    /// Sign-ins to one account, from wherever.
    pub(crate) sign_in_account: Limiter<String>,
    /// Pairings and set-ups from one address.
    pub(crate) pairing: Limiter<IpAddr>,
    /// Credentials that nobody knows, from one address.
    pub(crate) bad_credentials: Limiter<IpAddr>,
    /// Refusals of strangers that are written into the audit, from one address.
    pub(crate) anonymous_refusals: Limiter<IpAddr>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sign_in_source: Limiter::new(20, Duration::from_secs(15)),
            sign_in_account: Limiter::new(8, Duration::from_secs(30)),
            pairing: Limiter::new(10, Duration::from_secs(30)),
            bad_credentials: Limiter::new(600, Duration::from_millis(200)),
            anonymous_refusals: Limiter::new(100, Duration::from_secs(10)),
        }
    }
}

/// Counts tries for each key.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    tries: f64,
    refill_seconds: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl<K: Eq + Hash + Clone> Limiter<K> {
    /// Allows `tries` at once for each key, and one more each `refill`.
    pub(crate) fn new(tries: u32, refill: Duration) -> Self {
        Self { tries: f64::from(tries), refill_seconds: refill.as_secs_f64(), buckets: Mutex::default() }
    }

    /// Counts one try of `key`.
    ///
    /// # Errors
    /// How long to wait, where the key has used up its tries.
    pub(crate) fn take(&self, key: &K, now: Timestamp) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().expect("nothing panics while it holds this lock");
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.tries);
            if buckets.len() >= MAX_KEYS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key.clone()).or_insert(Bucket { left: self.tries, at: now });
        let left = self.filled(*bucket, now);
        if left >= 1.0 {
            *bucket = Bucket { left: left - 1.0, at: now };
            return Ok(());
        }
        *bucket = Bucket { left, at: now };
        Err(Duration::from_secs_f64(((1.0 - left) * self.refill_seconds).ceil().max(1.0)))
    }

    /// Gives back all tries of `key`, because it turned out to be the right one.
    pub(crate) fn forgive(&self, key: &K) {
        self.buckets.lock().expect("nothing panics while it holds this lock").remove(key);
    }

    fn filled(&self, bucket: Bucket, now: Timestamp) -> f64 {
        let seconds = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        (bucket.left + seconds / self.refill_seconds).min(self.tries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan as _;

    #[test]
    fn the_fourth_try_waits_and_time_heals() {
        let limiter = Limiter::new(3, Duration::from_secs(10));
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        for _ in 0..3 {
            assert_eq!(limiter.take(&"a", now), Ok(()));
        }
        assert_eq!(limiter.take(&"a", now), Err(Duration::from_secs(10)));
        assert_eq!(limiter.take(&"b", now), Ok(()), "another key has its own tries");
        assert_eq!(limiter.take(&"a", now + 9.seconds()), Err(Duration::from_secs(1)));
        assert_eq!(limiter.take(&"a", now + 11.seconds()), Ok(()));
    }

    #[test]
    fn being_right_gives_the_tries_back() {
        let limiter = Limiter::new(1, Duration::from_secs(10));
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        assert_eq!(limiter.take(&1, now), Ok(()));
        limiter.forgive(&1);
        assert_eq!(limiter.take(&1, now), Ok(()));
    }
}
