//! In-memory store for one process.

mod leases;
mod records;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt as _, future};

use super::{
    Acquired, Change, Condition, Entry, Family, LeaseKey, LeaseToken, Owner, Properties, RecordId,
    RecordKey, RevocationMark, Settlement, Snapshot, Store, StoreError, StoreFuture, Write,
    Written,
};
use crate::clock::{Clock, SystemClock};
use leases::Leases;
use records::{Capacity, Kept, Records};

/// Default maximum number of sessions.
const DEFAULT_SESSIONS: usize = 100_000;
/// Maximum number of expired records that one write removes. The limit keeps a write fast even if
/// many records expired in the same minute.
const REMOVED_PER_WRITE: usize = 100;

/// Time on the monotonic clock in microseconds. Changes of the wall clock do not affect lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

/// In-memory store for development and tests, and for services of one process. A restart signs
/// everyone out. All clones share the records.
///
/// Each family of records has a separate capacity. No family therefore evicts records of another
/// family. When a family is full, the store evicts the record of the family that expires first. The
/// store never evicts an event: it rejects a new event with [`StoreError::Full`].
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    capacity: Capacity,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: Records,
    leases: Leases,
    /// Revocation counter of each namespace.
    counters: HashMap<[u8; 16], u64>,
}

impl MemoryStore {
    /// Creates a store for at most `max_sessions` sessions (minimum: 1). Lifetimes run on the
    /// monotonic time of `clock`. The [`Default`] store has 100,000 sessions and the machine's
    /// clock.
    ///
    /// The store also keeps the latest verification results and the revocations of at most 100,000
    /// people. If `max_sessions` is higher than 100,000, the maximum is `max_sessions` people.
    pub fn new(max_sessions: usize, clock: impl Clock) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock: Arc::new(clock),
                capacity: Capacity::of(max_sessions.max(1)),
                state: Mutex::default(),
            }),
        }
    }

    /// Returns the number of records in a family, including expired records that the store has not
    /// removed yet.
    pub fn count(&self, family: Family) -> usize {
        self.lock().records.count(family)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment::START.plus(self.inner.clock.monotonic())
    }

    /// Locks the state, reads the clock, and removes some expired records. Reads the clock under
    /// the lock. Later changes therefore have later times.
    fn change(&self) -> (MutexGuard<'_, State>, Moment) {
        let mut state = self.lock();
        let now = self.now();
        state.remove_expired(now, REMOVED_PER_WRITE);
        (state, now)
    }

    fn read_now(&self, owner: &Owner, keys: &[RecordKey]) -> Snapshot {
        let now = self.now();
        self.lock().records.snapshot(owner, keys.iter(), now)
    }

    fn write_now(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Written {
        let (mut state, now) = self.change();
        let records = &mut state.records;
        let fence = records.fence(owner, now);
        let lowest = fence.or_else(|| records.evicted_fence(owner));
        if admitted_at.is_some_and(|mark| lowest > Some(mark)) {
            return Written::Fenced;
        }
        let holds = |write: &Write| {
            let found = records.live(owner, write.key, now);
            match write.condition {
                Condition::Any => true,
                Condition::Absent => found.is_none(),
                Condition::Present => found.is_some(),
                Condition::Version(version) => found.is_some_and(|it| it.version == version),
            }
        };
        if !writes.iter().all(holds) {
            let keys = writes.iter().map(|write| &write.key);
            return Written::Conflict(records.snapshot(owner, keys, now));
        }
        let mut longest = now;
        for write in writes {
            match &write.change {
                Change::Keep => {}
                Change::Delete => records.remove(owner, write.key),
                Change::Put {
                    version,
                    body,
                    keep_for,
                } => {
                    let expires_at = now.plus(*keep_for);
                    longest = longest.max(expires_at);
                    let entry = Entry {
                        version: *version,
                        body: body.clone(),
                    };
                    let kept = Kept { entry, expires_at };
                    records.insert(owner, write.key, kept, self.inner.capacity);
                }
            }
        }
        if admitted_at.is_some() {
            // Store an evicted fence (the lowest valid mark) again. If the fence were not stored,
            // the next write would store the fence 0.
            let mark = lowest.unwrap_or(RevocationMark(0));
            records.set_fence(owner, mark, longest, self.inner.capacity);
        }
        Written::Applied
    }

    fn revoke_now(
        &self,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> RevocationMark {
        let (mut state, now) = self.change();
        let counter = state.counters.entry(owner.namespace).or_default();
        *counter = counter.saturating_add(1);
        let mark = RevocationMark(*counter);
        let records = &mut state.records;
        records.remove_families(owner, families);
        let expires_at = now.plus(keep_fence_for);
        records.set_fence(owner, mark, expires_at, self.inner.capacity);
        mark
    }

    fn acquire_now(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired, StoreError> {
        let (mut state, now) = self.change();
        let counter = state.counters.get(&key.namespace).copied();
        let mark = RevocationMark(counter.unwrap_or_default());
        state.leases.acquire(key, token, length, now, mark)
    }

    fn settle_now(&self, key: &LeaseKey, token: LeaseToken, settlement: Settlement) -> bool {
        let mut state = self.lock();
        let now = self.now();
        state.leases.settle(key, token, settlement, now)
    }

    fn sweep_now(&self, limit: usize) -> usize {
        let mut state = self.lock();
        let now = self.now();
        state.remove_expired(now, limit)
    }
}

impl State {
    fn remove_expired(&mut self, now: Moment, limit: usize) -> usize {
        let removed = self.records.remove_expired(now, limit);
        let left = limit.saturating_sub(removed);
        removed.saturating_add(self.leases.remove_expired(now, left))
    }
}

impl Moment {
    const START: Self = Self(0);

    fn plus(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// Returns the duration from `now` until this moment.
    fn after(self, now: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(now.0))
    }
}

impl Store for MemoryStore {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        future::lazy(move |_| Ok(self.read_now(owner, keys))).boxed()
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        future::lazy(move |_| Ok(self.write_now(owner, writes, admitted_at))).boxed()
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
        future::lazy(move |_| Ok(self.revoke_now(owner, families, keep_fence_for))).boxed()
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        future::lazy(move |_| {
            let now = self.now();
            Ok(self.lock().records.list(owner, family, after, limit, now))
        })
        .boxed()
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        future::lazy(move |_| self.acquire_now(key, token, length)).boxed()
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        future::lazy(move |_| Ok(self.settle_now(key, token, settlement))).boxed()
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        future::lazy(move |_| Ok(self.sweep_now(limit))).boxed()
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        future::ready(Ok(())).boxed()
    }

    fn properties(&self) -> Properties {
        Properties::new("memory", false, false)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(DEFAULT_SESSIONS, Arc::new(SystemClock::new()))
    }
}

/// `Debug` shows no records.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("max_sessions", &self.inner.capacity.records)
            .finish_non_exhaustive()
    }
}
