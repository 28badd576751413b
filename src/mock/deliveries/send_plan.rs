//! Plan that states how the mock sends a delivery.

use std::time::Duration;

/// Plan that states how the mock sends a delivery. A fault can change the plan.
pub(in crate::mock) struct SendPlan {
    /// Whether the mock drops the delivery but records it as sent.
    pub(in crate::mock) is_lost: bool,
    /// Number of copies to send.
    pub(in crate::mock) copies: u32,
    /// Maximum number of copies that the mock sends concurrently.
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

/// Speed at which the mock sends a delivery, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mock) enum Pace {
    Plain,
    /// Sends the body one byte at a time, with this pause between bytes.
    Dribble(Duration),
    /// Sends half of the request headers, then waits for this time.
    HangInHead(Duration),
    /// Sends the headers and half of the body, then waits for this time.
    HangInBody(Duration),
}
