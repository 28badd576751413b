//! Pause of the requests to an endpoint that has rate-limited this client.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Clock;

/// Pause after a 429 without `Retry-After`.
pub(crate) const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// Maximum pause after a 429. A longer `Retry-After` must not block an endpoint for its whole time.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Pause of the requests to one endpoint.
pub(crate) struct Pause {
    clock: Arc<dyn Clock>,
    /// Monotonic time at which the pause ends.
    until: Mutex<Duration>,
}

impl Pause {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            until: Mutex::default(),
        }
    }

    /// Returns the remaining time of the pause.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let remaining = until.saturating_sub(self.clock.monotonic());
        (!remaining.is_zero()).then_some(remaining)
    }

    /// Starts a pause after a 429 with this `Retry-After`.
    pub(crate) fn start(&self, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(DEFAULT_PAUSE).min(MAX_PAUSE);
        let until = self.clock.monotonic().saturating_add(pause);
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pause(…)")
    }
}
