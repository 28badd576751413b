//! All log events, spans and metrics of this crate. All events are in one module. A test can
//! therefore compare the events with [the manual](crate::guide::operations).
//!
//! Each function reports one kind of event: the function logs and counts the event. The arguments
//! of a function are codes of a closed set, numbers, or pseudonyms of a [`LogKey`]. No function
//! accepts URLs, queries, bodies or ids of people.

#[cfg(feature = "web")]
mod assurances;
mod calls;
#[cfg(feature = "web")]
mod deliveries;
#[cfg(feature = "web")]
mod log_key;
#[cfg(feature = "web")]
mod logins;
#[cfg(feature = "metrics")]
mod meters;
#[cfg(feature = "web")]
mod requests;
mod secrets;
#[cfg(feature = "web")]
mod sessions;
#[cfg(feature = "web")]
mod setup;
mod stores;
mod tokens;

#[cfg(feature = "web")]
pub(crate) use assurances::*;
pub(crate) use calls::*;
#[cfg(feature = "web")]
pub(crate) use deliveries::*;
#[cfg(feature = "web")]
pub(crate) use log_key::{LogKey, Pseudonym};
#[cfg(feature = "web")]
pub(crate) use logins::*;
#[cfg(feature = "metrics")]
pub(crate) use meters::describe;
#[cfg(feature = "web")]
pub(crate) use requests::*;
pub(crate) use secrets::*;
#[cfg(feature = "web")]
pub(crate) use sessions::*;
#[cfg(feature = "web")]
pub(crate) use setup::*;
pub(crate) use stores::*;
pub(crate) use tokens::*;

/// Increments a counter if the feature `metrics` is enabled: `count!(METER, label, …)`. All label
/// values are codes.
macro_rules! count {
    ($meter:ident $(, $value:expr)*) => {
        #[cfg(feature = "metrics")]
        crate::observe::meters::$meter.count([$($value),*]);
    };
}

/// Records the time since the stopwatch was started: `time!(METER, stopwatch, label, …)`.
macro_rules! time {
    ($meter:ident, $since:expr $(, $value:expr)*) => {
        #[cfg(feature = "metrics")]
        crate::observe::meters::$meter.note($since.elapsed(), [$($value),*]);
        #[cfg(not(feature = "metrics"))]
        let _ = $since;
    };
}

use {count, time};

/// Start time of a measurement. Without the feature `metrics`, the stopwatch reads no clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(#[cfg(feature = "metrics")] std::time::Instant);

impl Stopwatch {
    #[cfg_attr(
        feature = "metrics",
        expect(
            clippy::disallowed_methods,
            reason = "durations are reported in metrics, and no decision depends on them"
        )
    )]
    pub(crate) fn start() -> Self {
        Self(
            #[cfg(feature = "metrics")]
            std::time::Instant::now(),
        )
    }

    #[cfg(feature = "metrics")]
    fn elapsed(self) -> std::time::Duration {
        self.0.elapsed()
    }
}

/// Error that has a code of a closed set.
pub(crate) trait Reason: std::fmt::Display {
    /// Returns the code of the error.
    fn reason(&self) -> &'static str;

    /// Returns whether the error is a rejection, which a retry would not change. After any other
    /// error, the result is unknown.
    fn is_rejection(&self) -> bool {
        false
    }
}
