//! What the crate tells whoever runs it. Every event, every span and every metric has its one place
//! here, so that the lists in [the manual](crate::guide::operations) are whole, and stay so.
//!
//! One function for each thing that happens; it logs and counts. What is handed in is a code out of
//! a closed set, a number, or a [`LogKey`]'s name for somebody: never an address, a query, a body,
//! or who somebody is.

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

/// Counts one more, if the feature is on: `count!(METER, label, …)`. The values are codes.
macro_rules! count {
    ($meter:ident $(, $value:expr)*) => {
        #[cfg(feature = "metrics")]
        crate::observe::meters::$meter.count([$($value),*]);
    };
}

/// Notes how long it took since the stopwatch was started: `time!(METER, stopwatch, label, …)`.
macro_rules! time {
    ($meter:ident, $since:expr $(, $value:expr)*) => {
        #[cfg(feature = "metrics")]
        crate::observe::meters::$meter.note($since.elapsed(), [$($value),*]);
        #[cfg(not(feature = "metrics"))]
        let _ = $since;
    };
}

use {count, time};

/// Since when something goes on. Without the feature `metrics` it looks at no clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(#[cfg(feature = "metrics")] std::time::Instant);

impl Stopwatch {
    #[cfg_attr(
        feature = "metrics",
        expect(
            clippy::disallowed_methods,
            reason = "how long something took is for whoever watches, and decides nothing"
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

/// An error that can be told by a code out of a closed set.
pub(crate) trait Reason: std::fmt::Display {
    /// The code.
    fn reason(&self) -> &'static str;

    /// Whether it is a no, which asking again does not change; everything else is "not known".
    fn is_a_no(&self) -> bool {
        false
    }
}
