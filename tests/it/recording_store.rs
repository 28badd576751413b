//! Store with faults. The store also remembers the writes. A test can therefore inspect and change
//! records directly.

use std::{
    collections::BTreeSet,
    fmt::{self, Debug},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(crate) use kycport::store::Operation as Op;
use kycport::{
    ConfigBuilder, KycTier, MemoryStore, RunningApp,
    mock::{MockIssuer, Person},
    store::{
        Acquired, Change, Condition, Entry, Family, FaultyStore, LeaseFamily, LeaseKey, LeaseToken,
        Owner, PausePoint, Properties, RecordId, RecordKey, RevocationMark, Settlement, Snapshot,
        Store, StoreError, StoreFuture, Target, When, Write, Written,
    },
};
use serde_json::Value;

use crate::support::tenant_app;

/// Operations that this store counts, and that a test can fail or pause: all operations except
/// sweeps.
const ALL: [Op; 7] = [
    Op::Read,
    Op::Write,
    Op::Revoke,
    Op::List,
    Op::Acquire,
    Op::Settle,
    Op::Check,
];

/// Record kind of an operation: a family of records or a family of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Record(Family),
    Lease(LeaseFamily),
}

pub(crate) const SESSION: Kind = Kind::Record(Family::Session);
pub(crate) const ACTIVITY: Kind = Kind::Record(Family::Activity);
pub(crate) const TOKENS: Kind = Kind::Record(Family::Tokens);
pub(crate) const REFRESH_LEASE: Kind = Kind::Record(Family::RefreshLease);
pub(crate) const ASSURANCE: Kind = Kind::Record(Family::Assurance);
pub(crate) const LOGIN_KEY: Kind = Kind::Record(Family::LoginKey);
pub(crate) const LOGIN: Kind = Kind::Lease(LeaseFamily::Login);
pub(crate) const EVENT: Kind = Kind::Lease(LeaseFamily::Event);

impl Kind {
    /// Returns the target for `op` on this record kind.
    fn of(self, op: Op) -> Target {
        match self {
            Self::Record(family) => op.of(family),
            Self::Lease(family) => op.of_lease(family),
        }
    }
}

/// Store with faults. The store also records the writes. Clones share their state.
#[derive(Clone)]
pub(crate) struct RecordingStore {
    faulty: FaultyStore,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    written: BTreeSet<(Owner, RecordKey)>,
    leases: BTreeSet<LeaseKey>,
    lifetimes: Vec<(Kind, Duration)>,
    /// Gates of this store. The store keeps each gate, so operations still wait after the test has
    /// dropped its gate.
    gates: Vec<Arc<Gate>>,
}

/// Gate of a store. Operations wait at the gate until the test opens the gate.
#[derive(Debug)]
pub(crate) struct Gate(PausePoint);

impl Gate {
    /// Waits until an operation has reached the gate, at most 20 s.
    pub(crate) async fn reached(&self) {
        let limit = Duration::from_secs(20);
        let reached = tokio::time::timeout(limit, self.0.reached()).await;
        reached.expect("no operation reached the gate within 20 s");
    }

    /// Lets one operation pass.
    pub(crate) fn let_one(&self) {
        self.0.resume_one();
    }

    /// Opens the gate for all current and later operations.
    pub(crate) fn open(&self) {
        self.0.resume();
    }
}

impl RecordingStore {
    pub(crate) fn over(inner: impl Store) -> Self {
        Self {
            faulty: FaultyStore::new(inner),
            state: Arc::default(),
        }
    }

    /// Makes every operation fail from now on.
    pub(crate) fn fail(&self) {
        for op in ALL {
            self.fail_with(op, StoreError::Unreachable);
        }
    }

    /// Makes one operation fail with this error.
    pub(crate) fn fail_with(&self, op: Op, error: StoreError) {
        self.faulty.fail(op, When::Before, error);
    }

    /// Makes the next `op` on this record kind fail.
    pub(crate) fn fail_on(&self, op: Op, kind: Kind) {
        let error = StoreError::Unreachable;
        self.faulty.fail(kind.of(op), When::Before, error);
    }

    /// Makes the next `times` operations on this record kind fail.
    pub(crate) fn fail_times(&self, op: Op, kind: Kind, times: usize) {
        let error = StoreError::Unreachable;
        self.faulty
            .fail_next(times, kind.of(op), When::Before, error);
    }

    /// Makes the store perform the next operation on this record kind and lose the response.
    pub(crate) fn lose_answer(&self, op: Op, kind: Kind) {
        let error = StoreError::Timeout;
        self.faulty.fail_next(1, kind.of(op), When::After, error);
    }

    /// Makes every operation wait without end.
    pub(crate) fn hang(&self) {
        for op in ALL {
            self.hold_with(op);
        }
    }

    /// Makes one operation on this record kind wait before the store performs it.
    pub(crate) fn hold(&self, op: Op, kind: Kind) -> Arc<Gate> {
        self.gate(kind.of(op), When::Before)
    }

    /// Makes one operation wait before the store performs it.
    pub(crate) fn hold_with(&self, op: Op) -> Arc<Gate> {
        self.gate(op, When::Before)
    }

    /// Makes one operation on this record kind wait after the store has performed it and before the
    /// response.
    pub(crate) fn hold_after(&self, op: Op, kind: Kind) -> Arc<Gate> {
        self.gate(kind.of(op), When::After)
    }

    fn gate(&self, target: impl Into<Target>, when: When) -> Arc<Gate> {
        let gate = Arc::new(Gate(self.faulty.hang(target, when)));
        self.lock().gates.push(Arc::clone(&gate));
        gate
    }

    /// Delays the responses to the next `n` operations on this record kind until the store has
    /// performed all `n` operations.
    pub(crate) fn let_meet(&self, op: Op, kind: Kind, n: usize) {
        self.faulty.gather_next(n, kind.of(op), When::After);
    }

    /// Hides all fences, like an engine that has lost its last writes. A fence is the lowest mark
    /// that is still valid.
    pub(crate) fn lose_fences(&self) {
        self.faulty.lose_fences();
    }

    /// Removes all faults. Operations that wait at a gate continue to wait.
    pub(crate) fn heal(&self) {
        self.faulty.remove_faults();
    }

    /// Returns the number of operations on this record kind since [`forget`](Self::forget).
    pub(crate) fn count(&self, op: Op) -> usize {
        self.faulty.counts().of(op)
    }

    /// Returns the number of all operations since the last [`forget`](Self::forget).
    pub(crate) fn operations(&self) -> usize {
        ALL.map(|op| self.count(op)).iter().sum()
    }

    /// Returns the number of operations that change the store.
    pub(crate) fn writes(&self) -> usize {
        [Op::Write, Op::Revoke, Op::Acquire, Op::Settle]
            .map(|op| self.count(op))
            .iter()
            .sum()
    }

    pub(crate) fn forget(&self) {
        self.faulty.reset_counts();
    }

    /// Returns the number of live records that were written through this store.
    pub(crate) async fn len(&self) -> usize {
        self.entries(|_| true).await.len()
    }

    /// Returns the lifetimes with which callers have written records or leases of this record kind.
    pub(crate) fn lifetimes(&self, kind: Kind) -> Vec<Duration> {
        let state = self.lock();
        let of_kind = state.lifetimes.iter().filter(|(own, _)| *own == kind);
        of_kind.map(|(_, lifetime)| *lifetime).collect()
    }

    /// Returns the number of different leases that callers tried to acquire.
    pub(crate) fn leases(&self, family: LeaseFamily) -> usize {
        let state = self.lock();
        let of_family = state.leases.iter().filter(|key| key.family == family);
        of_family.count()
    }

    /// Returns the live records of this record kind as JSON. Panics if the records are encrypted.
    pub(crate) async fn records(&self, kind: Kind) -> Vec<Value> {
        let found = self.entries(|key| Kind::Record(key.family) == kind).await;
        let bodies = found.iter().map(|(_, _, entry)| &entry.body[1..]);
        bodies
            .map(|body| serde_json::from_slice(body).unwrap())
            .collect()
    }

    /// Returns the stored bytes of the live records of this record kind.
    pub(crate) async fn bodies(&self, kind: Kind) -> Vec<Vec<u8>> {
        let found = self.entries(|key| Kind::Record(key.family) == kind).await;
        found
            .into_iter()
            .map(|(_, _, entry)| entry.body.to_vec())
            .collect()
    }

    /// Changes the JSON of all records of this kind directly in the store.
    pub(crate) async fn rewrite(&self, kind: Kind, change: impl Fn(&mut Value)) {
        self.replace(kind, |body| {
            let mut value = serde_json::from_slice(&body[1..]).unwrap();
            change(&mut value);
            [&body[..1], &serde_json::to_vec(&value).unwrap()].concat()
        })
        .await;
    }

    /// Changes the bytes of all records of this kind directly in the store.
    pub(crate) async fn replace(&self, kind: Kind, change: impl Fn(&[u8]) -> Vec<u8>) {
        for (owner, key, entry) in self.entries(|key| Kind::Record(key.family) == kind).await {
            let write = Write {
                key,
                condition: Condition::Any,
                change: Change::Put {
                    version: entry.version.wrapping_add(1),
                    body: change(&entry.body).into(),
                    keep_for: Duration::from_secs(12 * 3600),
                },
            };
            let written = self
                .faulty
                .inner()
                .write(&owner, &[write], None)
                .await
                .unwrap();
            assert_eq!(written, Written::Applied);
        }
    }

    /// Removes the records of this record kind directly from the store.
    pub(crate) async fn remove(&self, kind: Kind) {
        for (owner, key, _) in self.entries(|key| Kind::Record(key.family) == kind).await {
            let write = Write {
                key,
                condition: Condition::Any,
                change: Change::Delete,
            };
            let _ = self
                .faulty
                .inner()
                .write(&owner, &[write], None)
                .await
                .unwrap();
        }
    }

    /// Returns the live records that were written through this store.
    pub(crate) async fn entries(
        &self,
        is_wanted: impl Fn(&RecordKey) -> bool,
    ) -> Vec<(Owner, RecordKey, Entry)> {
        let wanted: Vec<_> = {
            let state = self.lock();
            let written = state.written.iter();
            written.filter(|(_, key)| is_wanted(key)).copied().collect()
        };
        let mut found = Vec::new();
        for (owner, key) in wanted {
            let snapshot = self.faulty.inner().read(&owner, &[key]).await.unwrap();
            let entry = snapshot.entries.into_iter().next().unwrap();
            found.extend(entry.map(|entry| (owner, key, entry)));
        }
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for RecordingStore {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        self.faulty.read(owner, keys)
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        for write in writes {
            if let Change::Put { keep_for, .. } = write.change {
                let mut state = self.lock();
                state.written.insert((*owner, write.key));
                let kind = Kind::Record(write.key.family);
                state.lifetimes.push((kind, keep_for));
            }
        }
        self.faulty.write(owner, writes, admitted_at)
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
        self.faulty.revoke(owner, families, keep_fence_for)
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        self.faulty.list(owner, family, after, limit)
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        {
            let mut state = self.lock();
            state.leases.insert(*key);
            state.lifetimes.push((Kind::Lease(key.family), length));
        }
        self.faulty.acquire(key, token, length)
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        if let Settlement::Done { keep_for, .. } = &settlement {
            let done = (Kind::Lease(key.family), *keep_for);
            self.lock().lifetimes.push(done);
        }
        self.faulty.settle(key, token, settlement)
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        self.faulty.sweep(limit)
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.faulty.check()
    }

    fn properties(&self) -> Properties {
        self.faulty.properties()
    }
}

impl Debug for RecordingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordingStore")
    }
}

/// Mock, an app with a store whose faults the test controls, and a person who is verified at t2.
pub(crate) struct TestApp {
    pub(crate) kyc: MockIssuer,
    pub(crate) app: RunningApp,
    pub(crate) ada: Person,
    pub(crate) store: RecordingStore,
    /// Name of the underlying engine.
    pub(crate) engine: &'static str,
}

pub(crate) async fn setup() -> TestApp {
    setup_on(MockIssuer::start().await, 100_000, |config| config).await
}

/// Creates the environment on a mock that the test supplies. The store has room for this number of
/// sessions.
pub(crate) async fn setup_on(
    kyc: MockIssuer,
    capacity: usize,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> TestApp {
    let store = RecordingStore::over(MemoryStore::new(capacity, Arc::new(kyc.clock().clone())));
    let app = kyc
        .serve(|config| tenant_app(more(config.store(store.clone()))))
        .await
        .unwrap();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    TestApp {
        kyc,
        app,
        ada,
        store,
        engine: "memory",
    }
}
