//! Outbox: pending deliveries, held deliveries, and the log of attempts.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::sync::watch;
use url::Url;

use super::{
    delivery::{Deliveries, Delivery},
    event::{Event, SendMode},
    hold::Hold,
    job::{EndpointRecord, Job},
};
use crate::clock::Timestamp;

/// Maximum number of deliveries in the log. The limit bounds the memory of a mock that runs for
/// days.
const MAX_LOG: usize = 10_000;
/// Maximum size of the bodies in the log, in bytes.
const MAX_LOG_BYTES: usize = 64 * 1024 * 1024;

/// All deliveries of an issuer. The queue has no size limit, so the mock loses no delivery.
#[derive(Default)]
pub(in crate::mock) struct Outbox {
    /// Channel that notifies receivers of every change of the outbox.
    changes: watch::Sender<()>,
    next: u64,
    endpoints: Vec<EndpointRecord>,
    /// Queued deliveries by number. The outbox numbers deliveries in the order of the events.
    waiting: BTreeMap<u64, Job>,
    in_flight: BTreeMap<u64, Job>,
    held: BTreeMap<u64, (Arc<Hold>, Job)>,
    log: VecDeque<Delivery>,
    logged_bytes: usize,
}

impl Outbox {
    pub(in crate::mock) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(in crate::mock) fn subscribe(
        &mut self,
        tenant: &str,
        url: Url,
        types: Option<Vec<String>>,
    ) -> u64 {
        let id = self.number();
        self.endpoints.push(EndpointRecord {
            id,
            tenant: tenant.to_owned(),
            url,
            types,
            is_paused: false,
        });
        id
    }

    /// Returns all endpoints in the order of subscription.
    pub(in crate::mock) fn endpoints(&self) -> &[EndpointRecord] {
        &self.endpoints
    }

    /// Replaces the endpoints and removes all queued deliveries and the log.
    pub(in crate::mock) fn reset(&mut self, endpoints: Vec<EndpointRecord>) {
        self.endpoints = endpoints;
        self.waiting.clear();
        self.held.clear();
        self.in_flight.clear();
        self.log.clear();
        self.notify();
    }

    /// Removes an endpoint and its queued deliveries.
    pub(in crate::mock) fn unsubscribe(&mut self, endpoint: u64) {
        self.endpoints.retain(|own| own.id != endpoint);
        self.waiting.retain(|_, job| job.endpoint.id != endpoint);
        self.held.retain(|_, (_, job)| job.endpoint.id != endpoint);
        self.notify();
    }

    pub(in crate::mock) fn pause(&mut self, endpoint: u64, is_paused: bool) {
        let own = self.endpoints.iter_mut().find(|own| own.id == endpoint);
        if let Some(own) = own {
            own.is_paused = is_paused;
        }
        self.notify();
    }

    /// Queues an event for each endpoint that is subscribed to its type. `receives` states whether
    /// a tenant receives the event.
    pub(in crate::mock) fn queue(&mut self, event: &Arc<Event>, receives: impl Fn(&str) -> bool) {
        let wants = |endpoint: &&EndpointRecord| {
            let types = endpoint.types.as_ref();
            let of_type = matches!(event.mode, SendMode::Manual { .. })
                || types.is_none_or(|types| types.contains(&event.kind));
            of_type && receives(&endpoint.tenant)
        };
        let endpoints: Vec<_> = self.endpoints.iter().filter(wants).cloned().collect();
        for endpoint in endpoints {
            let number = self.number();
            let job = Job {
                number,
                endpoint,
                event: Arc::clone(event),
                attempt: 1,
                due: None,
                was_delayed: false,
                was_held: false,
            };
            self.waiting.insert(number, job);
        }
        self.notify();
    }

    /// Takes the oldest due delivery whose endpoint has no delivery in progress. The mock sends one
    /// delivery at a time to each endpoint.
    pub(in crate::mock) fn take(&mut self, now: Timestamp) -> Option<Job> {
        let can_go = |job: &&Job| {
            let endpoint = job.endpoint.id;
            let is_busy = self.in_flight.values().any(|it| it.endpoint.id == endpoint);
            job.is_due(now) && !is_busy && !self.is_paused(endpoint)
        };
        let number = self.waiting.values().find(can_go)?.number;
        let job = self.waiting.remove(&number)?;
        self.in_flight.insert(number, job.clone());
        self.notify();
        Some(job)
    }

    /// Queues a delivery again after an incomplete attempt.
    pub(in crate::mock) fn requeue(&mut self, number: u64) {
        if let Some(job) = self.in_flight.remove(&number) {
            self.wait(job);
            self.notify();
        }
    }

    /// Postpones a delivery until `due`.
    pub(in crate::mock) fn delay(&mut self, number: u64, due: Timestamp) {
        if let Some(mut job) = self.in_flight.remove(&number) {
            (job.due, job.was_delayed) = (Some(due), true);
            self.wait(job);
        }
        self.notify();
    }

    /// Keeps a delivery until [`release`](Self::release) opens `hold`. If `hold` is already open,
    /// queues the delivery again.
    pub(in crate::mock) fn hold(&mut self, number: u64, hold: &Arc<Hold>) {
        if let Some(job) = self.in_flight.remove(&number) {
            if hold.is_open() {
                self.wait(job);
            } else {
                self.held.insert(number, (Arc::clone(hold), job));
            }
        }
        self.notify();
    }

    /// Returns the number of deliveries that `hold` holds.
    pub(in crate::mock) fn held(&self, hold: &Arc<Hold>) -> usize {
        let own = self.held.values().filter(|(by, _)| Arc::ptr_eq(by, hold));
        own.count()
    }

    /// Opens `hold` and queues its deliveries. `rank` receives the position of a delivery in the
    /// order of events and returns its position in the order of sending.
    pub(in crate::mock) fn release(&mut self, hold: &Arc<Hold>, rank: impl Fn(usize) -> usize) {
        hold.open();
        let all = std::mem::take(&mut self.held);
        let (own, others) = all
            .into_iter()
            .partition(|(_, (by, _))| Arc::ptr_eq(by, hold));
        self.held = others;
        let own: BTreeMap<u64, (Arc<Hold>, Job)> = own;
        let numbers: Vec<u64> = own.keys().copied().collect();
        for (place, (_, mut job)) in own.into_values().enumerate() {
            // The mock sends deliveries in the order of their numbers.
            let number = numbers.get(rank(place));
            job.number = number.copied().unwrap_or(job.number);
            job.was_held = true;
            self.wait(job);
        }
        self.notify();
    }

    /// Ends an attempt. If `again` is a time, queues the next attempt for this time.
    pub(in crate::mock) fn finish(&mut self, number: u64, again: Option<Timestamp>) {
        if let (Some(mut job), Some(due)) = (self.in_flight.remove(&number), again) {
            job.attempt = job.attempt.saturating_add(1);
            job.due = Some(due);
            (job.was_delayed, job.was_held) = (false, false);
            self.wait(job);
        }
        self.notify();
    }

    pub(in crate::mock) fn log_delivery(&mut self, delivery: Delivery) {
        self.logged_bytes = self.logged_bytes.saturating_add(delivery.body().len());
        self.log.push_back(delivery);
        while self.log.len() > MAX_LOG || self.logged_bytes > MAX_LOG_BYTES {
            let oldest = self.log.pop_front();
            let freed = oldest.map_or(0, |it| it.body().len());
            self.logged_bytes = self.logged_bytes.saturating_sub(freed);
        }
        self.notify();
    }

    /// Returns all logged deliveries, for every tenant.
    pub(in crate::mock) fn all_deliveries(&self) -> Deliveries {
        Deliveries::new(self.log.iter().cloned().collect())
    }

    pub(in crate::mock) fn deliveries(&self, tenant: &str) -> Deliveries {
        let own = self.log.iter().filter(|it| it.tenant() == tenant);
        Deliveries::new(own.cloned().collect())
    }

    pub(in crate::mock) fn forget_deliveries(&mut self, tenant: &str) {
        self.log.retain(|it| it.tenant() != tenant);
        let left = self.log.iter().map(|it| it.body().len());
        self.logged_bytes = left.sum();
    }

    /// Returns the tenant's deliveries that are in progress or due now.
    pub(in crate::mock) fn unsettled<'a>(
        &'a self,
        tenant: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Job, &'static str)> {
        let in_flight = self.in_flight.values().map(|job| (job, "in progress"));
        let waiting = self.waiting.values().filter(move |job| job.is_due(now));
        let waiting = waiting.filter(|job| !self.is_paused(job.endpoint.id));
        let all = in_flight.chain(waiting.map(|job| (job, "due")));
        all.filter(move |(job, _)| job.endpoint.tenant == tenant)
    }

    /// Returns the tenant's queued deliveries, including deliveries that are not due yet.
    pub(in crate::mock) fn waiting(&self, tenant: &str) -> impl Iterator<Item = &Job> {
        let all = self.waiting.values();
        all.filter(move |job| job.endpoint.tenant == tenant)
    }

    /// Returns the earliest time after `now` at which a delivery becomes due.
    pub(in crate::mock) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let dues = self.waiting.values().filter_map(|job| job.due);
        dues.filter(|due| *due > now).min()
    }

    /// Queues a delivery if its endpoint still exists.
    fn wait(&mut self, job: Job) {
        if self.endpoints.iter().any(|own| own.id == job.endpoint.id) {
            self.waiting.insert(job.number, job);
        }
    }

    fn is_paused(&self, endpoint: u64) -> bool {
        let mut paused = self.endpoints.iter().filter(|own| own.is_paused);
        paused.any(|own| own.id == endpoint)
    }

    fn number(&mut self) -> u64 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn notify(&self) {
        self.changes.send_replace(());
    }
}
