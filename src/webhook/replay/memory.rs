//! A replay store for one instance.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::{self, Debug},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::store::{Begun, LeaseToken, ReplayStore, ReplayStoreUnavailable, Settled};
use crate::{
    clock::{Clock, SystemClock},
    observe,
    webhook::event::EventKey,
};

/// How many events are kept if nothing else is said.
const DEFAULT_CAPACITY: usize = 100_000;
/// How long a lease that nobody ended or took over is kept, so that its holder may still complete.
const LATE: Duration = Duration::from_secs(3600);

/// A replay store in memory, for **one instance**: for development, for tests, and for a service
/// that runs once. Another instance, or the same one after a restart, knows nothing of what this
/// one handled. Clones share what they know.
///
/// It is bounded. When it is full of events that may not be forgotten yet, it is
/// [not available](ReplayStoreUnavailable): to forget one would let it in again. With the default
/// bound and retention that is a thousand events an hour, for four days. Leases and retention run
/// on the monotonic clock, which nobody sets back.
#[derive(Clone)]
pub struct MemoryReplayStore {
    clock: Arc<dyn Clock>,
    capacity: usize,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<EventKey, Entry>,
    /// When each entry may be forgotten.
    by_end: BTreeSet<(Duration, EventKey)>,
}

struct Entry {
    token: LeaseToken,
    state: State,
    forget_at: Duration,
}

#[derive(Clone, Copy)]
enum State {
    LeasedUntil(Duration),
    Done,
}

impl MemoryReplayStore {
    /// A store of `capacity` events at most, one at least, that ages with `clock`.
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            capacity: capacity.max(1),
            shelf: Arc::default(),
        }
    }

    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether no event is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryReplayStore {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY, Arc::new(SystemClock::new()))
    }
}

impl Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ReplayStore for MemoryReplayStore {
    async fn begin(
        &self,
        key: &EventKey,
        lease: Duration,
    ) -> Result<Begun, ReplayStoreUnavailable> {
        let now = self.clock.monotonic();
        let mut shelf = self.lock();
        shelf.forget_expired(now);
        match shelf.entries.get(key).map(|entry| entry.state) {
            Some(State::Done) => return Ok(Begun::Done),
            Some(State::LeasedUntil(end)) if now < end => {
                return Ok(Begun::InFlight(end.saturating_sub(now)));
            }
            Some(State::LeasedUntil(_)) => {}
            None => shelf.make_room(self.capacity, now)?,
        }
        let token = LeaseToken::random();
        let end = now.saturating_add(lease);
        shelf.put(
            key,
            Entry {
                token: token.clone(),
                state: State::LeasedUntil(end),
                forget_at: end.saturating_add(LATE),
            },
        );
        Ok(Begun::Acquired(token))
    }

    async fn complete(
        &self,
        key: &EventKey,
        token: &LeaseToken,
        retention: Duration,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let now = self.clock.monotonic();
        let mut shelf = self.lock();
        if !shelf.is_held_by(key, token) {
            return Ok(Settled::Lost);
        }
        shelf.put(
            key,
            Entry {
                token: token.clone(),
                state: State::Done,
                forget_at: now.saturating_add(retention),
            },
        );
        Ok(Settled::Applied)
    }

    async fn release(
        &self,
        key: &EventKey,
        token: &LeaseToken,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let mut shelf = self.lock();
        let done = matches!(
            shelf.entries.get(key),
            Some(Entry {
                state: State::Done,
                ..
            })
        );
        if done || !shelf.is_held_by(key, token) {
            return Ok(Settled::Lost);
        }
        shelf.remove(key);
        Ok(Settled::Applied)
    }
}

impl Shelf {
    fn is_held_by(&self, key: &EventKey, token: &LeaseToken) -> bool {
        let entry = self.entries.get(key);
        entry.is_some_and(|entry| entry.token == *token)
    }

    fn put(&mut self, key: &EventKey, entry: Entry) {
        self.remove(key);
        self.by_end.insert((entry.forget_at, key.clone()));
        self.entries.insert(key.clone(), entry);
    }

    fn remove(&mut self, key: &EventKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_end.remove(&(entry.forget_at, key.clone()));
        }
    }

    fn forget_expired(&mut self, now: Duration) {
        while self.by_end.first().is_some_and(|(end, _)| *end <= now) {
            if let Some((_, key)) = self.by_end.pop_first() {
                self.entries.remove(&key);
            }
        }
    }

    /// For one more. Leases that have ended go before the store says that it is full.
    fn make_room(&mut self, capacity: usize, now: Duration) -> Result<(), ReplayStoreUnavailable> {
        if self.entries.len() < capacity {
            return Ok(());
        }
        self.entries
            .retain(|_, entry| !matches!(entry.state, State::LeasedUntil(end) if end <= now));
        let entries = &self.entries;
        self.by_end.retain(|(_, key)| entries.contains_key(key));
        if self.entries.len() < capacity {
            return Ok(());
        }
        observe::replay_store_full(capacity);
        Err(ReplayStoreUnavailable)
    }
}
