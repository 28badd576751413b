//! Clocks and timestamps. Only the module `clock` reads the machine's clocks.

pub(crate) mod json;
mod test_clock;
mod timestamp;

pub use test_clock::TestClock;
pub use timestamp::Timestamp;

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// Source of time.
///
/// All code in this crate that depends on time reads the clock of its [`Config`](crate::Config). A
/// test can therefore advance the clock instead of waiting.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the wall-clock time. The SDK compares this time with `exp`, `iat` and stored expiry
    /// times.
    fn now(&self) -> Timestamp;

    /// Returns the monotonic time: the time since an arbitrary start. The monotonic time never
    /// decreases. The SDK measures the age of caches and back-offs with the monotonic time.
    fn monotonic(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

/// Clock of the operating system.
#[derive(Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Creates a clock of the operating system.
    #[expect(
        clippy::disallowed_methods,
        reason = "only this module reads the machine's clocks"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemClock")
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "only this module reads the machine's clocks"
    )]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
