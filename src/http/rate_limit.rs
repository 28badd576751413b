//! Limit on the requests to KYCPort that one person can cause.

use std::time::Duration;

/// Rate limit by the generic cell rate algorithm. The state of a person is one time: `full_at`, at
/// which the whole burst is available again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateLimit {
    burst: u32,
    interval: Duration,
}

impl RateLimit {
    /// Allows `burst` consecutive requests, and then one per `interval`.
    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval }
    }

    /// Returns the time from which the next request is allowed.
    pub(crate) fn allowed_from(self, full_at: Duration) -> Duration {
        let ahead = self.interval.saturating_mul(self.burst.saturating_sub(1));
        full_at.saturating_sub(ahead)
    }

    /// Returns `full_at` after a further request. `full_at` must not be in the past.
    pub(crate) fn after_request(self, full_at: Duration) -> Duration {
        full_at.saturating_add(self.interval)
    }
}
