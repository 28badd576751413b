//! What is to be delivered: to whom, when, and what came of it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::sync::watch;
use url::Url;

use super::{
    delivery::{Deliveries, Delivery},
    event::{Event, Manner},
    hold::Hold,
};
use crate::clock::Timestamp;

/// Enough to look back on, little enough to run for days.
const KEPT: usize = 10_000;
/// So much of bodies, in bytes.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// All deliveries of an issuer. What waits is not bounded: nothing is lost.
#[derive(Default)]
pub(in crate::mock) struct Outbox {
    /// Tells of every change.
    news: watch::Sender<()>,
    next: u64,
    endpoints: Vec<EndpointRecord>,
    /// By number, which is the order in which they came to be.
    waiting: BTreeMap<u64, Job>,
    in_flight: BTreeMap<u64, Job>,
    held: BTreeMap<u64, (Arc<Hold>, Job)>,
    log: VecDeque<Delivery>,
    logged_bytes: usize,
}

/// Where a tenant takes its deliveries.
#[derive(Clone)]
pub(in crate::mock) struct EndpointRecord {
    pub(in crate::mock) id: u64,
    pub(in crate::mock) tenant: String,
    pub(in crate::mock) url: Url,
    /// The types it takes; none for all.
    pub(in crate::mock) types: Option<Vec<String>>,
    pub(in crate::mock) is_paused: bool,
}

/// One event on its way to one endpoint.
#[derive(Clone)]
pub(in crate::mock) struct Job {
    pub(in crate::mock) number: u64,
    pub(in crate::mock) endpoint: EndpointRecord,
    pub(in crate::mock) event: Arc<Event>,
    /// Which attempt is next, from 1.
    pub(in crate::mock) attempt: u32,
    /// When it is due; none for at once.
    pub(in crate::mock) due: Option<Timestamp>,
    /// A fault delayed this attempt already.
    pub(in crate::mock) was_delayed: bool,
    /// A test held this attempt already.
    pub(in crate::mock) was_held: bool,
}

impl Job {
    fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_none_or(|due| due <= now)
    }
}

impl Outbox {
    pub(in crate::mock) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
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

    /// All of them, in the order in which they came.
    pub(in crate::mock) fn endpoints(&self) -> &[EndpointRecord] {
        &self.endpoints
    }

    /// Begins anew with these endpoints: what waits and what was delivered is forgotten.
    pub(in crate::mock) fn begin_anew(&mut self, endpoints: Vec<EndpointRecord>) {
        self.endpoints = endpoints;
        self.waiting.clear();
        self.held.clear();
        self.in_flight.clear();
        self.log.clear();
        self.tell();
    }

    /// What waits for it is forgotten.
    pub(in crate::mock) fn unsubscribe(&mut self, endpoint: u64) {
        self.endpoints.retain(|own| own.id != endpoint);
        self.waiting.retain(|_, job| job.endpoint.id != endpoint);
        self.held.retain(|_, (_, job)| job.endpoint.id != endpoint);
        self.tell();
    }

    pub(in crate::mock) fn pause(&mut self, endpoint: u64, is_paused: bool) {
        let own = self.endpoints.iter_mut().find(|own| own.id == endpoint);
        if let Some(own) = own {
            own.is_paused = is_paused;
        }
        self.tell();
    }

    /// Queues an event for every endpoint that takes it, of every tenant that may know.
    pub(in crate::mock) fn put(&mut self, event: &Arc<Event>, may_know: impl Fn(&str) -> bool) {
        let wants = |endpoint: &&EndpointRecord| {
            let types = endpoint.types.as_ref();
            let of_type = matches!(event.manner, Manner::ByHand { .. })
                || types.is_none_or(|types| types.contains(&event.kind));
            of_type && may_know(&endpoint.tenant)
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
        self.tell();
    }

    /// The oldest that is due, for an endpoint with none under way: each endpoint gets them one
    /// after the other.
    pub(in crate::mock) fn take(&mut self, now: Timestamp) -> Option<Job> {
        let can_go = |job: &&Job| {
            let endpoint = job.endpoint.id;
            let is_busy = self.in_flight.values().any(|it| it.endpoint.id == endpoint);
            job.is_due(now) && !is_busy && !self.is_paused(endpoint)
        };
        let number = self.waiting.values().find(can_go)?.number;
        let job = self.waiting.remove(&number)?;
        self.in_flight.insert(number, job.clone());
        self.tell();
        Some(job)
    }

    /// It was not sent, or not to the end: it waits as before.
    pub(in crate::mock) fn give_back(&mut self, number: u64) {
        if let Some(job) = self.in_flight.remove(&number) {
            self.wait(job);
            self.tell();
        }
    }

    /// It is not sent before `due`.
    pub(in crate::mock) fn delay(&mut self, number: u64, due: Timestamp) {
        if let Some(mut job) = self.in_flight.remove(&number) {
            (job.due, job.was_delayed) = (Some(due), true);
            self.wait(job);
        }
        self.tell();
    }

    /// It is not sent before this opens. If that was meanwhile, it waits as before.
    pub(in crate::mock) fn hold(&mut self, number: u64, hold: &Arc<Hold>) {
        if let Some(job) = self.in_flight.remove(&number) {
            if hold.is_open() {
                self.wait(job);
            } else {
                self.held.insert(number, (Arc::clone(hold), job));
            }
        }
        self.tell();
    }

    /// How many wait for this to open.
    pub(in crate::mock) fn held(&self, hold: &Arc<Hold>) -> usize {
        let own = self.held.values().filter(|(by, _)| Arc::ptr_eq(by, hold));
        own.count()
    }

    /// Opens it. What it held is sent in the order that `rank` gives to the places, which are those
    /// of the events.
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
            // The order of the numbers is that of sending.
            let number = numbers.get(rank(place));
            job.number = number.copied().unwrap_or(job.number);
            job.was_held = true;
            self.wait(job);
        }
        self.tell();
    }

    /// It is over, until `again` if that is given.
    pub(in crate::mock) fn finish(&mut self, number: u64, again: Option<Timestamp>) {
        if let (Some(mut job), Some(due)) = (self.in_flight.remove(&number), again) {
            job.attempt = job.attempt.saturating_add(1);
            job.due = Some(due);
            (job.was_delayed, job.was_held) = (false, false);
            self.wait(job);
        }
        self.tell();
    }

    pub(in crate::mock) fn note(&mut self, delivery: Delivery) {
        self.logged_bytes = self.logged_bytes.saturating_add(delivery.body().len());
        self.log.push_back(delivery);
        while self.log.len() > KEPT || self.logged_bytes > KEPT_BYTES {
            let oldest = self.log.pop_front();
            let freed = oldest.map_or(0, |it| it.body().len());
            self.logged_bytes = self.logged_bytes.saturating_sub(freed);
        }
        self.tell();
    }

    /// To all tenants.
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

    /// What is under way for this tenant, or due now.
    pub(in crate::mock) fn unsettled<'a>(
        &'a self,
        tenant: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Job, &'static str)> {
        let in_flight = self.in_flight.values().map(|job| (job, "under way"));
        let waiting = self.waiting.values().filter(move |job| job.is_due(now));
        let waiting = waiting.filter(|job| !self.is_paused(job.endpoint.id));
        let all = in_flight.chain(waiting.map(|job| (job, "due")));
        all.filter(move |(job, _)| job.endpoint.tenant == tenant)
    }

    /// What waits for this tenant, be it due or not.
    pub(in crate::mock) fn waiting(&self, tenant: &str) -> impl Iterator<Item = &Job> {
        let all = self.waiting.values();
        all.filter(move |job| job.endpoint.tenant == tenant)
    }

    /// When the next one is due that is not yet.
    pub(in crate::mock) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let dues = self.waiting.values().filter_map(|job| job.due);
        dues.filter(|due| *due > now).min()
    }

    /// Unless its endpoint was taken away meanwhile.
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

    fn tell(&self) {
        self.news.send_replace(());
    }
}
