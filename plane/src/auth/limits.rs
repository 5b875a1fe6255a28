//! How often something may be tried: so many tries at once for each key, and one more each time an interval has passed. The
//! arithmetic is `governor`'s; how much is remembered is decided here.

use ferrogate_model::Clock;
pub(crate) use ferrogate_net::connection_limit::source;
use governor::{Quota, RateLimiter, clock, middleware::NoOpMiddleware, nanos::Nanos, state::StateStore};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// So many keys have a bucket of their own.
const MAX_KEYS: usize = 20_000;
/// So many buckets are there for all other keys together.
const SHARED: usize = 4_096;
/// Least time between two looks for buckets that are full again.
const SWEEP: Duration = Duration::from_secs(1);

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

impl Limits {
    /// The limits, by this clock.
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            sign_in_source: Limiter::new(20, Duration::from_secs(15), clock),
            sign_in_account: Limiter::new(8, Duration::from_secs(30), clock),
            pairing: Limiter::new(10, Duration::from_secs(30), clock),
            bad_credentials: Limiter::new(600, Duration::from_millis(200), clock),
            anonymous_refusals: Limiter::new(100, Duration::from_secs(10), clock),
        }
    }
}

/// Counts tries for each key.
#[derive(Debug)]
pub(crate) struct Limiter<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, Buckets<K>, Time, NoOpMiddleware<Duration>>,
    buckets: Buckets<K>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// Allows `tries` at once for each key, and one more each `refill`.
    pub(crate) fn new(tries: u32, refill: Duration, clock: &Arc<dyn Clock>) -> Self {
        let quota = Quota::with_period(refill).expect("an interval is longer than nothing");
        let quota = quota.allow_burst(NonZeroU32::new(tries).expect("something may be tried at least once"));
        let time = Time(Arc::clone(clock));
        let buckets = Buckets::new(time.clone());
        Self { limiter: RateLimiter::new(quota, buckets.clone(), time), buckets }
    }

    /// Counts one try of `key`.
    ///
    /// # Errors
    /// How long to wait, where the key has used up its tries.
    pub(crate) fn take(&self, key: &K) -> Result<(), Duration> {
        let time = self.limiter.clock();
        self.limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(clock::Clock::now(time));
            Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(Duration::from_secs(1))
        })
    }

    /// Gives back all tries of `key`, because it turned out to be the right one.
    pub(crate) fn forgive(&self, key: &K) {
        self.buckets.all().own.remove(key);
    }
}

/// The plane's clock, as `governor` reads one.
#[derive(Clone, Debug)]
struct Time(Arc<dyn Clock>);

impl clock::Clock for Time {
    type Instant = Duration;

    fn now(&self) -> Duration {
        // Since 1970; a clock that is set back makes waits longer, never shorter.
        self.0.now().as_duration().try_into().unwrap_or_default()
    }
}

/// What is remembered of the keys, in bounded memory.
///
/// A bucket that is full again is as good as none and is forgotten. Where all are in use, further keys share buckets by
/// chance (a hash that nobody outside can foretell). So whoever comes from many addresses makes nothing be forgotten of
/// anybody, and limits others only so far as they share a bucket.
#[derive(Debug)]
struct Buckets<K>(Arc<(Mutex<All<K>>, Time)>);

#[derive(Debug)]
struct All<K> {
    own: HashMap<K, Nanos>,
    shared: Vec<Option<Nanos>>,
    hasher: RandomState,
    began: Duration,
    swept: Duration,
}

impl<K> Clone for Buckets<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Buckets<K> {
    fn new(time: Time) -> Self {
        let now = clock::Clock::now(&time);
        let all = All { own: HashMap::new(), shared: Vec::new(), hasher: RandomState::new(), began: now, swept: now };
        Self(Arc::new((Mutex::new(all), time)))
    }

    fn all(&self) -> MutexGuard<'_, All<K>> {
        self.0.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl<K: Hash + Eq> All<K> {
    /// Whether this key has, or can have, a bucket of its own.
    fn has_room(&mut self, key: &K, now: Duration) -> bool {
        if self.own.len() < MAX_KEYS || self.own.contains_key(key) {
            return true;
        }
        if now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            // What `governor` keeps of a key is when its bucket will be full, counted from when the limiter was made.
            let full = Nanos::from(now.saturating_sub(self.began));
            self.own.retain(|_, until| *until > full);
        }
        self.own.len() < MAX_KEYS
    }
}

impl<K: Hash + Eq + Clone> StateStore for Buckets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let now = clock::Clock::now(&self.0.1);
        let mut all = self.all();
        if all.has_room(key, now) {
            let (allowed, until) = measure(all.own.get(key).copied())?;
            all.own.insert(key.clone(), until);
            return Ok(allowed);
        }
        let hash = usize::try_from(all.hasher.hash_one(key) % SHARED as u64).unwrap_or_default();
        if all.shared.is_empty() {
            all.shared = vec![None; SHARED];
        }
        let (allowed, until) = measure(all.shared[hash])?;
        all.shared[hash] = Some(until);
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrogate_model::Timestamp;

    #[derive(Debug)]
    struct TestClock(Mutex<Timestamp>);

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    fn limiter<K: Hash + Eq + Clone>(tries: u32) -> (Limiter<K>, impl Fn(u64)) {
        let test = Arc::new(TestClock(Mutex::new("2026-11-23T08:00:00Z".parse().unwrap())));
        let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&test);
        let limiter = Limiter::new(tries, Duration::from_secs(10), &clock);
        (limiter, move |seconds| *test.0.lock().unwrap() += Duration::from_secs(seconds))
    }

    #[test]
    fn the_fourth_try_waits_and_time_heals() {
        let (limiter, pass) = limiter(3);
        for _ in 0..3 {
            assert_eq!(limiter.take(&"a"), Ok(()));
        }
        assert_eq!(limiter.take(&"a"), Err(Duration::from_secs(10)));
        assert_eq!(limiter.take(&"b"), Ok(()), "another key has its own tries");
        pass(9);
        assert_eq!(limiter.take(&"a"), Err(Duration::from_secs(1)));
        pass(2);
        assert_eq!(limiter.take(&"a"), Ok(()));
    }

    #[test]
    fn being_right_gives_the_tries_back() {
        let (limiter, _) = limiter(1);
        assert_eq!(limiter.take(&1), Ok(()));
        limiter.forgive(&1);
        assert_eq!(limiter.take(&1), Ok(()));
    }

    #[test]
    fn whoever_has_many_keys_makes_nothing_be_forgotten_of_another() {
        let (limiter, pass) = limiter(2);
        let (victim, most) = (u64::MAX, MAX_KEYS as u64);
        assert_eq!((limiter.take(&victim), limiter.take(&victim)), (Ok(()), Ok(())));
        let refused = (0..most * 3).filter(|key| limiter.take(key).is_err()).count();
        assert!(refused > 0, "keys beyond the bound share what is left");
        assert!(limiter.take(&victim).is_err(), "its tries came back");
        let remembered = limiter.buckets.all();
        assert_eq!((remembered.own.len(), remembered.shared.len()), (MAX_KEYS, SHARED));
        drop(remembered);

        pass(20);
        assert_eq!(limiter.take(&(most * 4)), Ok(()), "buckets that are full again make room");
        assert_eq!(limiter.buckets.all().own.len(), 1);
    }
}
