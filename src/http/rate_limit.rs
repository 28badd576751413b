//! Limits on the requests to KYCPort that one person can cause.

use std::{
    borrow::Borrow,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Clock, expiring_map::ExpiringMap};

/// Maximum number of keys whose rate a [`RateLimiter`] remembers.
const MAX_KEYS: usize = 10_000;

/// Rate limit by the generic cell rate algorithm. The caller stores one time per person, `full_at`.
/// At `full_at`, the whole burst is available again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateLimit {
    burst: u32,
    interval: Duration,
}

impl RateLimit {
    /// Creates a limit of `burst` consecutive requests, and then one request per `interval`.
    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval }
    }

    /// Returns the time from which the next request is allowed.
    pub(crate) fn allowed_from(self, full_at: Duration) -> Duration {
        let ahead = self.interval.saturating_mul(self.burst.saturating_sub(1));
        full_at.saturating_sub(ahead)
    }

    /// Returns the new `full_at` after a further request. The old `full_at` must not be in the
    /// past.
    pub(crate) fn after_request(self, full_at: Duration) -> Duration {
        full_at.saturating_add(self.interval)
    }
}

/// Rate limiter with a separate rate for each key, such as a person or a case. Clones share the
/// rates. The rate limiter remembers at most 10,000 keys.
#[derive(Clone)]
pub(crate) struct RateLimiter<K> {
    rate: RateLimit,
    clock: Arc<dyn Clock>,
    full_at: Arc<Mutex<ExpiringMap<K, Duration, MAX_KEYS>>>,
}

impl<K: Hash + Eq> RateLimiter<K> {
    pub(crate) fn new(rate: RateLimit, clock: Arc<dyn Clock>) -> Self {
        Self {
            rate,
            clock,
            full_at: Arc::default(),
        }
    }

    /// Counts one request for `key`. If the limit is reached, returns the time after which the
    /// limit allows a request for `key`.
    pub(crate) fn take<Q>(&self, key: &Q) -> Result<(), Duration>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let now = self.clock.monotonic();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let before = full_at.get(now, key).map_or(now, |at| now.max(*at));
        let wait = self.rate.allowed_from(before).saturating_sub(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        let after = self.rate.after_request(before);
        full_at.insert(now, key.to_owned(), after, after);
        Ok(())
    }
}

impl<K> fmt::Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RateLimiter(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{RateLimit, RateLimiter};
    use crate::clock::TestClock;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn limiter() -> (RateLimiter<String>, TestClock) {
        let clock = TestClock::new();
        clock.freeze();
        let rate = RateLimit::new(3, INTERVAL);
        (RateLimiter::new(rate, Arc::new(clock.clone())), clock)
    }

    #[test]
    fn each_key_has_a_burst_and_then_one_request_per_interval() {
        let (limiter, clock) = limiter();
        for _ in 0..3 {
            limiter.take("eve").unwrap();
        }
        assert_eq!(limiter.take("eve"), Err(INTERVAL));
        limiter.take("ada").unwrap();
        clock.advance(INTERVAL);
        limiter.take("eve").unwrap();
        assert_eq!(limiter.take("eve"), Err(INTERVAL));
        clock.advance(3 * INTERVAL);
        for _ in 0..3 {
            limiter.take("eve").unwrap();
        }
        assert_eq!(limiter.take("eve"), Err(INTERVAL));
    }
}
