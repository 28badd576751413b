//! Webhook endpoints, and jobs of the outbox.

use std::sync::Arc;

use url::Url;

use super::event::Event;
use crate::clock::Timestamp;

/// Webhook endpoint of a tenant.
#[derive(Clone)]
pub(in crate::mock) struct EndpointRecord {
    pub(in crate::mock) id: u64,
    pub(in crate::mock) tenant: String,
    pub(in crate::mock) url: Url,
    /// Event types that the endpoint receives. `None` means all types.
    pub(in crate::mock) types: Option<Vec<String>>,
    pub(in crate::mock) is_paused: bool,
}

/// Pending delivery of one event to one endpoint.
#[derive(Clone)]
pub(in crate::mock) struct Job {
    pub(in crate::mock) number: u64,
    pub(in crate::mock) endpoint: EndpointRecord,
    pub(in crate::mock) event: Arc<Event>,
    /// Number of the next attempt, starting at 1.
    pub(in crate::mock) attempt: u32,
    /// Time of the next attempt. `None` means immediately.
    pub(in crate::mock) due: Option<Timestamp>,
    /// Whether a fault has already delayed this attempt.
    pub(in crate::mock) was_delayed: bool,
    /// Whether a test has already held this attempt.
    pub(in crate::mock) was_held: bool,
}

impl Job {
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_none_or(|due| due <= now)
    }
}
