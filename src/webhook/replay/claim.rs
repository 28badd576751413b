//! An event that somebody has.

use std::time::Duration;

use super::store::LeaseToken;
use crate::webhook::event::EventKey;

/// An event that a handler has, for as long as its lease runs: what it needs to settle it in a
/// transaction of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    key: EventKey,
    token: LeaseToken,
    retention: Duration,
}

impl Claim {
    /// The claim on the event `key` that `token` holds, and how long the event is to be remembered
    /// once it is done.
    pub fn new(key: EventKey, token: LeaseToken, retention: Duration) -> Self {
        Self {
            key,
            token,
            retention,
        }
    }

    /// Which event.
    pub fn key(&self) -> &EventKey {
        &self.key
    }

    /// Who has it.
    pub fn token(&self) -> &LeaseToken {
        &self.token
    }

    /// How long it is remembered that the event took effect.
    pub fn retention(&self) -> Duration {
        self.retention
    }
}
