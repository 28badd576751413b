//! How a delivery travels.

use std::time::Duration;

/// How a delivery travels: as it should, unless a fault says otherwise.
pub(in crate::mock) struct Course {
    /// It never leaves, and counts as sent.
    pub(in crate::mock) is_lost: bool,
    /// How often it is sent.
    pub(in crate::mock) copies: u32,
    /// How many of them may be on their way at the same time.
    pub(in crate::mock) at_once: usize,
    pub(in crate::mock) pace: Pace,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            is_lost: false,
            copies: 1,
            at_once: 1,
            pace: Pace::Plain,
        }
    }
}

/// How fast its bytes come, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mock) enum Pace {
    Plain,
    /// The body byte by byte, with this time between.
    Dribble(Duration),
    /// Half of the head, and no more for this time.
    HangInHead(Duration),
    /// The head and half of the body, and no more for this time.
    HangInBody(Duration),
}
