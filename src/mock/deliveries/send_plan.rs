//! Plan of how a delivery is sent.

use std::time::Duration;

/// Plan of how a delivery is sent. Faults change it.
pub(in crate::mock) struct SendPlan {
    /// Whether the delivery is dropped but recorded as sent.
    pub(in crate::mock) is_lost: bool,
    /// Number of copies to send.
    pub(in crate::mock) copies: u32,
    /// Maximum number of copies that are sent concurrently.
    pub(in crate::mock) concurrency: usize,
    pub(in crate::mock) pace: Pace,
}

impl Default for SendPlan {
    fn default() -> Self {
        Self {
            is_lost: false,
            copies: 1,
            concurrency: 1,
            pace: Pace::Plain,
        }
    }
}

/// Speed at which a delivery is sent, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mock) enum Pace {
    Plain,
    /// Sends the body one byte at a time, with this pause between bytes.
    Dribble(Duration),
    /// Sends half of the request head, then nothing for this time.
    HangInHead(Duration),
    /// Sends the head and half of the body, then nothing for this time.
    HangInBody(Duration),
}
