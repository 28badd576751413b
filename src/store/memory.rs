//! Store in memory, for one process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future};

use super::{
    Acquired, Change, Condition, Entry, Family, LeaseFamily, LeaseKey, LeaseToken, Mark, Owner,
    Properties, RecordId, RecordKey, Settlement, Snapshot, Store, StoreError, StoreFuture, Write,
    Written,
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    observe,
};

/// Default maximum number of sessions.
const DEFAULT_SESSIONS: usize = 100_000;
/// Maximum number of login claims. A further claim evicts the one that ends first.
const LOGIN_CLAIMS: usize = 20_000;
/// Maximum number of remembered events and jobs. Events beyond are refused, not forgotten.
const EVENTS: usize = 100_000;
/// Maximum number of expired records that one write removes, so that no write waits for all that
/// expired in the same minute.
const REMOVED_PER_WRITE: usize = 100;
/// How long a lease that has ended may still be completed by its holder.
const LATE_SETTLEMENT: Duration = Duration::from_secs(3600);

/// Store in memory: for development, for tests, and for a service of one process that may sign
/// everybody out when it restarts. Clones share the same records.
///
/// Each family of records has its own capacity, so that none evicts another. When a family is full,
/// the record that expires first makes room. Events are the exception: a remembered event is never
/// evicted, and a new one is refused as [`StoreError::Full`].
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    max_sessions: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    owners: HashMap<Owner, Owned>,
    expiries: BTreeMap<Slot, BTreeSet<(Timestamp, Owner, RecordId)>>,
    leases: HashMap<LeaseKey, Lease>,
    lease_expiries: BTreeMap<LeaseFamily, BTreeSet<(Timestamp, LeaseKey)>>,
    counters: HashMap<[u8; 16], u64>,
}

/// What has a capacity of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Fence,
    Record(Family),
}

#[derive(Default)]
struct Owned {
    fence: Option<Fence>,
    records: BTreeMap<RecordKey, Kept>,
}

#[derive(Clone, Copy)]
struct Fence {
    mark: Mark,
    expires_at: Timestamp,
}

struct Kept {
    entry: Entry,
    expires_at: Timestamp,
}

struct Lease {
    token: LeaseToken,
    state: LeaseState,
    /// When the record of this lease is removed.
    expires_at: Timestamp,
}

enum LeaseState {
    HeldUntil(Timestamp),
    Done(Bytes),
}

impl MemoryStore {
    /// Makes a store of at most `max_sessions` sessions (at least one) that ages with `clock`.
    /// Default: 100,000 sessions and the machine's clock.
    pub fn new(max_sessions: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                max_sessions: max_sessions.max(1),
                state: Mutex::default(),
            }),
        }
    }

    /// Number of records of a family, including expired ones that have not been removed yet.
    pub fn count(&self, family: Family) -> usize {
        let state = self.lock();
        let expiries = state.expiries.get(&Slot::Record(family));
        expiries.map_or(0, BTreeSet::len)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn capacity(&self, slot: Slot) -> usize {
        match slot {
            Slot::Record(_) => self.inner.max_sessions,
            // A fence outlives the sessions that it guards.
            Slot::Fence => self.inner.max_sessions.saturating_mul(2),
        }
    }

    fn read_now(&self, owner: &Owner, keys: &[RecordKey]) -> Snapshot {
        let now = self.now();
        let state = self.lock();
        match state.owners.get(owner) {
            Some(owned) => owned.snapshot(keys.iter(), now),
            None => Snapshot {
                fence: None,
                entries: vec![None; keys.len()],
            },
        }
    }

    fn write_now(&self, owner: &Owner, writes: &[Write], admitted_at: Option<Mark>) -> Written {
        let now = self.now();
        let mut state = self.lock();
        state.remove_expired(now, REMOVED_PER_WRITE);
        let owned = state.owners.get(owner);
        let fence = owned.and_then(|owned| owned.live_fence(now));
        if let (Some(mark), Some(fence)) = (admitted_at, fence)
            && fence > mark
        {
            return Written::Fenced;
        }
        let holds = |write: &Write| {
            let found = owned.and_then(|owned| owned.live(write.key, now));
            match write.condition {
                Condition::Any => true,
                Condition::Absent => found.is_none(),
                Condition::Present => found.is_some(),
                Condition::Version(version) => found.is_some_and(|it| it.version == version),
            }
        };
        if !writes.iter().all(holds) {
            let keys = writes.iter().map(|write| &write.key);
            return Written::Conflict(match owned {
                Some(owned) => owned.snapshot(keys, now),
                None => Snapshot {
                    fence: None,
                    entries: vec![None; writes.len()],
                },
            });
        }
        let mut longest = now;
        for write in writes {
            match &write.change {
                Change::Keep => {}
                Change::Delete => state.remove(owner, write.key),
                Change::Put {
                    version,
                    body,
                    keep_for,
                } => {
                    let expires_at = now.saturating_add(*keep_for);
                    longest = longest.max(expires_at);
                    let entry = Entry {
                        version: *version,
                        body: body.clone(),
                    };
                    let capacity = self.capacity(Slot::Record(write.key.family));
                    state.insert(owner, write.key, Kept { entry, expires_at }, capacity);
                }
            }
        }
        if admitted_at.is_some() {
            let mark = fence.unwrap_or(Mark(0));
            state.set_fence(owner, mark, longest, self.capacity(Slot::Fence));
        }
        Written::Applied
    }

    fn revoke_now(&self, owner: &Owner, families: &[Family], keep_fence_for: Duration) -> Mark {
        let now = self.now();
        let mut state = self.lock();
        state.remove_expired(now, REMOVED_PER_WRITE);
        let counter = state.counters.entry(owner.namespace).or_default();
        *counter = counter.saturating_add(1);
        let mark = Mark(*counter);
        let keys: Vec<_> = state.owners.get(owner).map_or_else(Vec::new, |owned| {
            let keys = owned.records.keys().copied();
            keys.filter(|key| families.contains(&key.family)).collect()
        });
        for key in keys {
            state.remove(owner, key);
        }
        let expires_at = now.saturating_add(keep_fence_for);
        state.set_fence(owner, mark, expires_at, self.capacity(Slot::Fence));
        mark
    }

    fn list_now(
        &self,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Vec<(RecordId, Entry)> {
        let now = self.now();
        let state = self.lock();
        let Some(owned) = state.owners.get(owner) else {
            return Vec::new();
        };
        let records = owned.records.iter();
        records
            .filter(|(key, kept)| key.family == family && now < kept.expires_at)
            .filter(|(key, _)| after.is_none_or(|after| key.id > after))
            .take(limit)
            .map(|(key, kept)| (key.id, kept.entry.clone()))
            .collect()
    }

    fn acquire_now(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired, StoreError> {
        let now = self.now();
        let mut state = self.lock();
        state.remove_expired(now, REMOVED_PER_WRITE);
        if let Some(lease) = state.leases.get(key).filter(|it| now < it.expires_at) {
            match &lease.state {
                LeaseState::Done(result) => return Ok(Acquired::Done(result.clone())),
                LeaseState::HeldUntil(until) if now < *until && lease.token != token => {
                    return Ok(Acquired::Held(until.since(now)));
                }
                LeaseState::HeldUntil(_) => {}
            }
        }
        state.make_room_for_lease(key)?;
        let until = now.saturating_add(length);
        let lease = Lease {
            token,
            state: LeaseState::HeldUntil(until),
            expires_at: until.saturating_add(LATE_SETTLEMENT),
        };
        state.insert_lease(key, lease);
        let mark = state.counters.get(&key.namespace).copied();
        Ok(Acquired::Granted {
            mark: Mark(mark.unwrap_or_default()),
        })
    }

    fn settle_now(&self, key: &LeaseKey, token: LeaseToken, settlement: Settlement) -> bool {
        let now = self.now();
        let mut state = self.lock();
        let Some(lease) = state.leases.get(key).filter(|it| now < it.expires_at) else {
            return false;
        };
        if lease.token != token {
            return false;
        }
        let is_held = matches!(lease.state, LeaseState::HeldUntil(until) if now < until);
        match settlement {
            Settlement::Done { result, keep_for } => {
                let lease = Lease {
                    token,
                    state: LeaseState::Done(result),
                    expires_at: now.saturating_add(keep_for),
                };
                state.insert_lease(key, lease);
                true
            }
            Settlement::Release if is_held => {
                state.remove_lease(key);
                true
            }
            Settlement::Extend(length) if is_held => {
                let until = now.saturating_add(length);
                let lease = Lease {
                    token,
                    state: LeaseState::HeldUntil(until),
                    expires_at: until.saturating_add(LATE_SETTLEMENT),
                };
                state.insert_lease(key, lease);
                true
            }
            Settlement::Release | Settlement::Extend(_) => false,
        }
    }
}

impl Owned {
    fn live(&self, key: RecordKey, now: Timestamp) -> Option<&Entry> {
        let kept = self.records.get(&key)?;
        (now < kept.expires_at).then_some(&kept.entry)
    }

    fn live_fence(&self, now: Timestamp) -> Option<Mark> {
        let fence = self.fence.filter(|fence| now < fence.expires_at)?;
        Some(fence.mark)
    }

    fn snapshot<'a>(&self, keys: impl Iterator<Item = &'a RecordKey>, now: Timestamp) -> Snapshot {
        Snapshot {
            fence: self.live_fence(now),
            entries: keys.map(|key| self.live(*key, now).cloned()).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.fence.is_none() && self.records.is_empty()
    }
}

impl State {
    fn insert(&mut self, owner: &Owner, key: RecordKey, kept: Kept, capacity: usize) {
        self.remove(owner, key);
        let slot = Slot::Record(key.family);
        while self
            .expiries
            .get(&slot)
            .is_some_and(|it| it.len() >= capacity)
        {
            self.remove_first(slot);
        }
        let expiries = self.expiries.entry(slot).or_default();
        expiries.insert((kept.expires_at, *owner, key.id));
        let owned = self.owners.entry(*owner).or_default();
        owned.records.insert(key, kept);
    }

    fn remove(&mut self, owner: &Owner, key: RecordKey) {
        let Some(owned) = self.owners.get_mut(owner) else {
            return;
        };
        if let Some(kept) = owned.records.remove(&key)
            && let Some(expiries) = self.expiries.get_mut(&Slot::Record(key.family))
        {
            expiries.remove(&(kept.expires_at, *owner, key.id));
        }
        if owned.is_empty() {
            self.owners.remove(owner);
        }
    }

    /// Keeps the fence as long as it is kept already, or longer.
    fn set_fence(&mut self, owner: &Owner, mark: Mark, expires_at: Timestamp, capacity: usize) {
        let owned = self.owners.entry(*owner).or_default();
        let before = owned.fence;
        let expires_at = before.map_or(expires_at, |it| it.expires_at.max(expires_at));
        owned.fence = Some(Fence { mark, expires_at });
        let expiries = self.expiries.entry(Slot::Fence).or_default();
        if let Some(before) = before {
            expiries.remove(&(before.expires_at, *owner, RecordId::ONLY));
        }
        expiries.insert((expires_at, *owner, RecordId::ONLY));
        let is_over = expiries.len() > capacity;
        if is_over {
            self.remove_first(Slot::Fence);
        }
    }

    fn remove_first(&mut self, slot: Slot) {
        let Some(expiries) = self.expiries.get_mut(&slot) else {
            return;
        };
        let Some((_, owner, id)) = expiries.pop_first() else {
            return;
        };
        if let Some(owned) = self.owners.get_mut(&owner) {
            match slot {
                Slot::Fence => owned.fence = None,
                Slot::Record(family) => {
                    owned.records.remove(&RecordKey::new(family, id));
                }
            }
            if owned.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }

    fn remove_expired(&mut self, now: Timestamp, limit: usize) -> usize {
        let mut removed = 0_usize;
        let slots: Vec<_> = self.expiries.keys().copied().collect();
        for slot in slots {
            while removed < limit
                && let Some(expiries) = self.expiries.get(&slot)
                && expiries.first().is_some_and(|(at, ..)| *at <= now)
            {
                self.remove_first(slot);
                removed = removed.saturating_add(1);
            }
        }
        for expiries in self.lease_expiries.values_mut() {
            while removed < limit
                && let Some((at, key)) = expiries.first().copied()
                && at <= now
            {
                expiries.pop_first();
                self.leases.remove(&key);
                removed = removed.saturating_add(1);
            }
        }
        removed
    }

    fn insert_lease(&mut self, key: &LeaseKey, lease: Lease) {
        self.remove_lease(key);
        let expiries = self.lease_expiries.entry(key.family).or_default();
        expiries.insert((lease.expires_at, *key));
        self.leases.insert(*key, lease);
    }

    fn remove_lease(&mut self, key: &LeaseKey) {
        if let Some(lease) = self.leases.remove(key)
            && let btree_map::Entry::Occupied(mut expiries) = self.lease_expiries.entry(key.family)
        {
            expiries.get_mut().remove(&(lease.expires_at, *key));
        }
    }

    /// Losing a login claim is harmless, because KYCPort accepts a code once. Losing an event means
    /// that it is handled again, so it is refused instead.
    fn make_room_for_lease(&mut self, key: &LeaseKey) -> Result<(), StoreError> {
        if self.leases.contains_key(key) {
            return Ok(());
        }
        let Some(expiries) = self.lease_expiries.get_mut(&key.family) else {
            return Ok(());
        };
        match key.family {
            LeaseFamily::Login => {
                while expiries.len() >= LOGIN_CLAIMS
                    && let Some((_, first)) = expiries.pop_first()
                {
                    self.leases.remove(&first);
                }
                Ok(())
            }
            LeaseFamily::Event | LeaseFamily::Job if expiries.len() >= EVENTS => {
                observe::memory_store_full(EVENTS);
                Err(StoreError::Full)
            }
            LeaseFamily::Event | LeaseFamily::Job => Ok(()),
        }
    }
}

impl Store for MemoryStore {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        future::ready(Ok(self.read_now(owner, keys))).boxed()
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<Mark>,
    ) -> StoreFuture<'a, Written> {
        future::lazy(move |_| Ok(self.write_now(owner, writes, admitted_at))).boxed()
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, Mark> {
        future::lazy(move |_| Ok(self.revoke_now(owner, families, keep_fence_for))).boxed()
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        future::lazy(move |_| Ok(self.list_now(owner, family, after, limit))).boxed()
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
        future::lazy(move |_| Ok(self.lock().remove_expired(self.now(), limit))).boxed()
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

/// Shows no record.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("max_sessions", &self.inner.max_sessions)
            .finish_non_exhaustive()
    }
}
