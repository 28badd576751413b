//! Recorded deliveries, on which tests make assertions.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use super::{event::Event, job::Job};
use crate::clock::Timestamp;

/// Outcome of a delivery attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryOutcome {
    /// The endpoint responded with this HTTP status. 2xx is success. The mock follows no redirects
    /// (K84).
    Answered(u16),
    /// The mock could not connect to the endpoint.
    NoConnection,
    /// The endpoint did not respond within the time limit (K84).
    TimedOut,
    /// The connection closed before the endpoint responded.
    Broken,
    /// A fault dropped the delivery. The mock treats the delivery as sent.
    Lost,
}

impl DeliveryOutcome {
    /// Returns whether the attempt succeeded. After a success, the mock does not send the event
    /// again.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Answered(200..=299) | Self::Lost)
    }
}

/// Attempt to deliver one event to one endpoint.
///
/// `Debug` does not show the body.
#[derive(Clone)]
pub struct Delivery {
    job: Job,
    at: Timestamp,
    outcome: DeliveryOutcome,
}

impl Delivery {
    pub(in crate::mock) fn new(job: &Job, at: Timestamp, outcome: DeliveryOutcome) -> Self {
        Self {
            job: job.clone(),
            at,
            outcome,
        }
    }

    /// Returns the event ID. All attempts to deliver an event have the same event ID. The event ID
    /// is empty for a [manual delivery](super::super::Webhooks::manual).
    pub fn event_id(&self) -> &str {
        &self.job.event.id
    }

    /// Returns the event type.
    pub fn event_type(&self) -> &str {
        &self.job.event.kind
    }

    /// Returns the ID of the person in the event, if any.
    pub fn person_id(&self) -> Option<&str> {
        self.job.event.person_id.as_deref()
    }

    /// Returns the event's body, without the changes of faults.
    pub fn body(&self) -> &[u8] {
        &self.job.event.body
    }

    /// Returns the URL of the endpoint.
    pub fn url(&self) -> &str {
        self.job.endpoint.url.as_str()
    }

    /// Returns the number of the attempt, starting at 1.
    pub fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// Returns the time of the attempt, by the issuer's clock.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns the outcome of the attempt.
    pub fn outcome(&self) -> DeliveryOutcome {
        self.outcome
    }

    /// Returns the HTTP status of the response, if any.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            DeliveryOutcome::Answered(status) => Some(status),
            _ => None,
        }
    }

    pub(in crate::mock) fn tenant(&self) -> &str {
        &self.job.endpoint.tenant
    }

    pub(in crate::mock) fn event(&self) -> &Arc<Event> {
        &self.job.event
    }
}

impl Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} to {}, attempt {} -> {:?}",
            self.event_type(),
            self.event_id(),
            self.job.endpoint.url.path(),
            self.attempt(),
            self.outcome
        )
    }
}

/// Snapshot of the deliveries to a tenant, oldest first.
///
/// The mock keeps the last 10,000 deliveries to all tenants, and at most 64 MiB of bodies.
#[derive(Debug, Clone)]
pub struct Deliveries(Vec<Delivery>);

impl Deliveries {
    pub(in crate::mock) fn new(all: Vec<Delivery>) -> Self {
        Self(all)
    }

    /// Returns the number of deliveries.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the latest delivery.
    pub fn last(&self) -> Option<&Delivery> {
        self.0.last()
    }

    /// Returns an iterator over the deliveries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.0.iter()
    }

    /// Returns the deliveries of one event type.
    #[must_use]
    pub fn of_type(&self, event_type: &str) -> Self {
        let all = self.0.iter().filter(|it| it.event_type() == event_type);
        Self(all.cloned().collect())
    }

    /// Returns the deliveries about the person with this ID.
    #[must_use]
    pub fn about(&self, person_id: &str) -> Self {
        let all = self.0.iter().filter(|it| it.person_id() == Some(person_id));
        Self(all.cloned().collect())
    }

    /// Asserts the number of deliveries.
    ///
    /// # Panics
    /// Panics if the number differs. The message lists every delivery.
    #[track_caller]
    pub fn assert_count(&self, expected: usize) -> &Self {
        let count = self.count();
        assert!(
            count == expected,
            "expected {expected} deliveries, found {count}:{}",
            self.lines()
        );
        self
    }

    /// Asserts that the list contains a delivery, and that at least one attempt of each event
    /// succeeded.
    ///
    /// # Panics
    /// Panics if the assertion fails. The message lists every delivery.
    #[track_caller]
    pub fn assert_delivered(&self) -> &Self {
        let is_delivered = |event: &Delivery| {
            let same = |other: &&Delivery| {
                Arc::ptr_eq(&other.job.event, &event.job.event)
                    && other.job.endpoint.id == event.job.endpoint.id
            };
            self.0.iter().filter(same).any(|it| it.outcome.is_success())
        };
        assert!(
            !self.0.is_empty() && self.0.iter().all(is_delivered),
            "not every event was delivered:{}",
            self.lines()
        );
        self
    }

    fn lines(&self) -> String {
        let lines: Vec<_> = self.0.iter().map(|it| format!("\n  {it:?}")).collect();
        lines.concat()
    }
}
