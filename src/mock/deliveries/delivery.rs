//! What was delivered and answered, to assert on.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use super::{event::Event, outbox::Job};
use crate::clock::Timestamp;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryOutcome {
    /// With this HTTP status. 2xx is well, a redirect is not followed (K84).
    Answered(u16),
    /// No connection could be made.
    NoConnection,
    /// There was no answer in time (K84).
    TimedOut,
    /// The connection broke before the answer.
    Broken,
    /// It was lost on purpose, and counts as sent.
    Lost,
}

impl DeliveryOutcome {
    /// Whether it need not be sent again.
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Answered(200..=299) | Self::Lost)
    }
}

/// One attempt to deliver one event to one endpoint.
///
/// Debug shows nothing of the body.
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

    /// The event's id, the same in every delivery of it; empty if it was [sent by
    /// hand](super::super::Webhooks::by_hand).
    pub fn event_id(&self) -> &str {
        &self.job.event.id
    }

    /// The event's type.
    pub fn event_type(&self) -> &str {
        &self.job.event.kind
    }

    /// Whom it is about, if it says so.
    pub fn person_id(&self) -> Option<&str> {
        self.job.event.person_id.as_deref()
    }

    /// The event's body, before any fault changed it.
    pub fn body(&self) -> &[u8] {
        &self.job.event.body
    }

    /// The address of the endpoint.
    pub fn url(&self) -> &str {
        self.job.endpoint.url.as_str()
    }

    /// Which attempt it was, from 1.
    pub fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// When it was sent, by the issuer's clock.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// How it ended.
    pub fn outcome(&self) -> DeliveryOutcome {
        self.outcome
    }

    /// The HTTP status of the answer, if there was one.
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

/// The deliveries to a tenant up to the moment of asking, oldest first; of the last 10,000 to all
/// tenants together, and of their last 64 MiB.
#[derive(Debug, Clone)]
pub struct Deliveries(Vec<Delivery>);

impl Deliveries {
    pub(in crate::mock) fn new(all: Vec<Delivery>) -> Self {
        Self(all)
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The latest.
    pub fn last(&self) -> Option<&Delivery> {
        self.0.last()
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.0.iter()
    }

    /// Those of one type of event.
    #[must_use]
    pub fn of_type(&self, event_type: &str) -> Self {
        let all = self.0.iter().filter(|it| it.event_type() == event_type);
        Self(all.cloned().collect())
    }

    /// Those about one person, by their id.
    #[must_use]
    pub fn about(&self, person_id: &str) -> Self {
        let all = self.0.iter().filter(|it| it.person_id() == Some(person_id));
        Self(all.cloned().collect())
    }

    /// Asserts how many there were.
    ///
    /// # Panics
    /// If there were more or fewer, with a line for each.
    #[track_caller]
    pub fn assert_count(&self, expected: usize) -> &Self {
        let count = self.count();
        assert!(
            count == expected,
            "there were {count} deliveries, not {expected}:{}",
            self.lines()
        );
        self
    }

    /// Asserts that there was at least one, and that each event was answered with 2xx in the end.
    ///
    /// # Panics
    /// If not, with a line for each delivery.
    #[track_caller]
    pub fn assert_delivered(&self) -> &Self {
        let is_well = |event: &Delivery| {
            let same = |other: &&Delivery| {
                Arc::ptr_eq(&other.job.event, &event.job.event)
                    && other.job.endpoint.id == event.job.endpoint.id
            };
            self.0.iter().filter(same).any(|it| it.outcome.is_well())
        };
        assert!(
            !self.0.is_empty() && self.0.iter().all(is_well),
            "not everything was delivered:{}",
            self.lines()
        );
        self
    }

    fn lines(&self) -> String {
        let lines: Vec<_> = self.0.iter().map(|it| format!("\n  {it:?}")).collect();
        lines.concat()
    }
}
