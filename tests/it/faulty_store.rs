//! Store that fails when a test requests it, and that counts its operations.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::{self, Debug},
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use kycport::{
    ConfigBuilder, KycTier, MemoryStore, RunningApp,
    mock::{MockIssuer, Person},
    store::{
        Acquired, Change, Condition, Entry, Family, LeaseFamily, LeaseKey, LeaseToken, Mark, Owner,
        Properties, RecordId, RecordKey, Settlement, Snapshot, Store, StoreError, StoreFuture,
        Write, Written,
    },
};
use serde_json::Value;
use tokio::sync::{Barrier, Semaphore};

use crate::support::tenant_app;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Read,
    Write,
    Revoke,
    List,
    Acquire,
    Settle,
    Check,
}

const ALL: [Op; 7] = [
    Op::Read,
    Op::Write,
    Op::Revoke,
    Op::List,
    Op::Acquire,
    Op::Settle,
    Op::Check,
];

/// Kind of record or lease that an operation concerns.
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

/// Store whose faults the test controls. Clones share all state.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    counts: HashMap<Op, usize>,
    written: BTreeSet<(Owner, RecordKey)>,
    leases: BTreeMap<LeaseKey, usize>,
    lifetimes: Vec<(Kind, Duration)>,
    fences_are_lost: bool,
}

#[derive(Clone)]
struct Rule {
    op: Op,
    kind: Option<Kind>,
    fault: Fault,
    /// Number of further operations that the rule applies to.
    times: usize,
}

#[derive(Clone)]
enum Fault {
    Fail(StoreError),
    /// The operation is performed, and its response is lost.
    LoseAnswer,
    Hang,
    HoldBefore(Arc<Gate>),
    HoldAfter(Arc<Gate>),
    Meet(Arc<Barrier>),
}

/// Gate that operations wait at until the test opens it.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    /// Waits until an operation has reached the gate, at most 20 s.
    pub(crate) async fn reached(&self) {
        let limit = Duration::from_secs(20);
        let arrived = tokio::time::timeout(limit, self.arrived.acquire()).await;
        arrived.unwrap().unwrap().forget();
    }

    /// Lets one operation pass.
    pub(crate) fn let_one(&self) {
        self.open.add_permits(1);
    }

    /// Opens the gate for all current and later operations.
    pub(crate) fn open(&self) {
        self.open.add_permits(1000);
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }
}

impl FaultyStore {
    pub(crate) fn over(inner: impl Store) -> Self {
        Self {
            inner: Arc::new(inner),
            state: Arc::default(),
        }
    }

    /// Makes every operation fail.
    pub(crate) fn fail(&self) {
        for op in ALL {
            self.add(op, None, Fault::Fail(StoreError::Unreachable), usize::MAX);
        }
    }

    /// Makes one operation fail with this error.
    pub(crate) fn fail_with(&self, op: Op, error: StoreError) {
        self.add(op, None, Fault::Fail(error), usize::MAX);
    }

    /// Makes one operation on one kind fail.
    pub(crate) fn fail_on(&self, op: Op, kind: Kind) {
        self.fail_times(op, kind, usize::MAX);
    }

    /// Makes the next `times` operations on one kind fail.
    pub(crate) fn fail_times(&self, op: Op, kind: Kind, times: usize) {
        let fault = Fault::Fail(StoreError::Unreachable);
        self.add(op, Some(kind), fault, times);
    }

    /// Performs the next operation on one kind and loses its response.
    pub(crate) fn lose_answer(&self, op: Op, kind: Kind) {
        self.add(op, Some(kind), Fault::LoseAnswer, 1);
    }

    /// Makes every operation hang.
    pub(crate) fn hang(&self) {
        for op in ALL {
            self.add(op, None, Fault::Hang, usize::MAX);
        }
    }

    /// Makes one operation on one kind wait before it is performed.
    pub(crate) fn hold(&self, op: Op, kind: Kind) -> Arc<Gate> {
        let gate = gate();
        let fault = Fault::HoldBefore(Arc::clone(&gate));
        self.add(op, Some(kind), fault, usize::MAX);
        gate
    }

    /// Makes one operation wait before it is performed.
    pub(crate) fn hold_with(&self, op: Op) -> Arc<Gate> {
        let gate = gate();
        self.add(op, None, Fault::HoldBefore(Arc::clone(&gate)), usize::MAX);
        gate
    }

    /// Makes one operation on one kind wait after it is performed and before its response.
    pub(crate) fn hold_after(&self, op: Op, kind: Kind) -> Arc<Gate> {
        let gate = gate();
        let fault = Fault::HoldAfter(Arc::clone(&gate));
        self.add(op, Some(kind), fault, usize::MAX);
        gate
    }

    /// Performs the next `n` operations on one kind, and responds to none before all are
    /// performed.
    pub(crate) fn let_meet(&self, op: Op, kind: Kind, n: usize) {
        let fault = Fault::Meet(Arc::new(Barrier::new(n)));
        self.add(op, Some(kind), fault, n);
    }

    /// Hides all fences, as after an engine lost its last writes.
    pub(crate) fn lose_fences(&self) {
        self.lock().fences_are_lost = true;
    }

    /// Removes all faults.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.fences_are_lost = false;
    }

    /// Returns the number of operations of this kind since the last [`forget`](Self::forget).
    pub(crate) fn count(&self, op: Op) -> usize {
        self.lock().counts.get(&op).copied().unwrap_or_default()
    }

    /// Returns the number of all operations since the last [`forget`](Self::forget).
    pub(crate) fn operations(&self) -> usize {
        self.lock().counts.values().sum()
    }

    /// Returns the number of operations that change the store.
    pub(crate) fn writes(&self) -> usize {
        [Op::Write, Op::Revoke, Op::Acquire, Op::Settle]
            .map(|op| self.count(op))
            .iter()
            .sum()
    }

    pub(crate) fn forget(&self) {
        self.lock().counts.clear();
    }

    /// Returns the number of live records among those written through this store.
    pub(crate) async fn len(&self) -> usize {
        self.entries(|_| true).await.len()
    }

    /// Returns the lifetimes with which records and leases of this kind were written.
    pub(crate) fn lifetimes(&self, kind: Kind) -> Vec<Duration> {
        let state = self.lock();
        let of_kind = state.lifetimes.iter().filter(|(own, _)| *own == kind);
        of_kind.map(|(_, lifetime)| *lifetime).collect()
    }

    /// Returns the number of different leases that callers tried to acquire.
    pub(crate) fn leases(&self, family: LeaseFamily) -> usize {
        let state = self.lock();
        state
            .leases
            .keys()
            .filter(|key| key.family == family)
            .count()
    }

    /// Returns the live records of this kind as JSON. The records must not be encrypted.
    pub(crate) async fn records(&self, kind: Kind) -> Vec<Value> {
        let found = self.entries(|key| Kind::Record(key.family) == kind).await;
        let bodies = found.iter().map(|(_, _, entry)| &entry.body[1..]);
        bodies
            .map(|body| serde_json::from_slice(body).unwrap())
            .collect()
    }

    /// Returns the stored bytes of the live records of this kind.
    pub(crate) async fn bodies(&self, kind: Kind) -> Vec<Vec<u8>> {
        let found = self.entries(|key| Kind::Record(key.family) == kind).await;
        found
            .into_iter()
            .map(|(_, _, entry)| entry.body.to_vec())
            .collect()
    }

    /// Changes the JSON of the stored records of this kind without the app.
    pub(crate) async fn rewrite(&self, kind: Kind, change: impl Fn(&mut Value)) {
        self.replace(kind, |body| {
            let mut value = serde_json::from_slice(&body[1..]).unwrap();
            change(&mut value);
            [&body[..1], &serde_json::to_vec(&value).unwrap()].concat()
        })
        .await;
    }

    /// Changes the stored bytes of the records of this kind without the app.
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
            let written = self.inner.write(&owner, &[write], None).await.unwrap();
            assert_eq!(written, Written::Applied);
        }
    }

    /// Removes the stored records of this kind without the app.
    pub(crate) async fn remove(&self, kind: Kind) {
        for (owner, key, _) in self.entries(|key| Kind::Record(key.family) == kind).await {
            let write = Write {
                key,
                condition: Condition::Any,
                change: Change::Delete,
            };
            let _ = self.inner.write(&owner, &[write], None).await.unwrap();
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
            let snapshot = self.inner.read(&owner, &[key]).await.unwrap();
            let entry = snapshot.entries.into_iter().next().unwrap();
            found.extend(entry.map(|entry| (owner, key, entry)));
        }
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, op: Op, kind: Option<Kind>, fault: Fault, times: usize) {
        self.lock().rules.push(Rule {
            op,
            kind,
            fault,
            times,
        });
    }

    /// Counts an operation, and performs it under the first rule that matches.
    async fn perform<T>(
        &self,
        op: Op,
        kinds: &[Kind],
        operation: StoreFuture<'_, T>,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut state = self.lock();
            *state.counts.entry(op).or_default() += 1;
            state.fault(op, kinds)
        };
        match fault {
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Hang) => pending().await,
            Some(Fault::LoseAnswer) => {
                operation.await?;
                Err(StoreError::Timeout)
            }
            Some(Fault::HoldBefore(gate)) => {
                gate.pass().await;
                operation.await
            }
            Some(Fault::HoldAfter(gate)) => {
                let answer = operation.await;
                gate.pass().await;
                answer
            }
            Some(Fault::Meet(barrier)) => {
                let answer = operation.await;
                barrier.wait().await;
                answer
            }
            None => operation.await,
        }
    }
}

impl State {
    fn fault(&mut self, op: Op, kinds: &[Kind]) -> Option<Fault> {
        let fits = |rule: &&mut Rule| {
            rule.op == op && rule.times > 0 && rule.kind.is_none_or(|kind| kinds.contains(&kind))
        };
        let rule = self.rules.iter_mut().find(fits)?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}

fn gate() -> Arc<Gate> {
    Arc::new(Gate {
        arrived: Semaphore::new(0),
        open: Semaphore::new(0),
    })
}

impl Store for FaultyStore {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        let kinds: Vec<_> = keys.iter().map(|key| Kind::Record(key.family)).collect();
        async move {
            // The read starts only after the gate, because an engine may read as soon as it is
            // called.
            let read = async move { self.inner.read(owner, keys).await }.boxed();
            let mut snapshot = self.perform(Op::Read, &kinds, read).await?;
            if self.lock().fences_are_lost {
                snapshot.fence = None;
            }
            Ok(snapshot)
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<Mark>,
    ) -> StoreFuture<'a, Written> {
        // The kinds of a batch are those of its writes, its requirements, and its first record.
        let mut kinds = Vec::new();
        for (index, write) in writes.iter().enumerate() {
            if index == 0 || write.change != Change::Delete {
                kinds.push(Kind::Record(write.key.family));
            }
            if let Change::Put { keep_for, .. } = write.change {
                let mut state = self.lock();
                state.written.insert((*owner, write.key));
                state
                    .lifetimes
                    .push((Kind::Record(write.key.family), keep_for));
            }
        }
        async move {
            let write = self.inner.write(owner, writes, admitted_at);
            self.perform(Op::Write, &kinds, write).await
        }
        .boxed()
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, Mark> {
        let kinds: Vec<_> = families.iter().map(|it| Kind::Record(*it)).collect();
        async move {
            let revoke = self.inner.revoke(owner, families, keep_fence_for);
            self.perform(Op::Revoke, &kinds, revoke).await
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        async move {
            let list = self.inner.list(owner, family, after, limit);
            self.perform(Op::List, &[Kind::Record(family)], list).await
        }
        .boxed()
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        {
            let mut state = self.lock();
            *state.leases.entry(*key).or_default() += 1;
            state.lifetimes.push((Kind::Lease(key.family), length));
        }
        async move {
            let acquire = self.inner.acquire(key, token, length);
            self.perform(Op::Acquire, &[Kind::Lease(key.family)], acquire)
                .await
        }
        .boxed()
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
        async move {
            let settle = self.inner.settle(key, token, settlement);
            self.perform(Op::Settle, &[Kind::Lease(key.family)], settle)
                .await
        }
        .boxed()
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        self.inner.sweep(limit)
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        async move { self.perform(Op::Check, &[], self.inner.check()).await }.boxed()
    }

    fn properties(&self) -> Properties {
        self.inner.properties()
    }
}

impl Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

/// Mock, an app over a store whose faults the test controls, and a person verified at t2.
pub(crate) struct TestApp {
    pub(crate) kyc: MockIssuer,
    pub(crate) app: RunningApp,
    pub(crate) ada: Person,
    pub(crate) store: FaultyStore,
    /// Name of the underlying engine.
    pub(crate) engine: &'static str,
}

pub(crate) async fn setup() -> TestApp {
    setup_on(MockIssuer::start().await, 100_000, |config| config).await
}

/// Creates the environment on a mock of the test's own. The store has room for this number of
/// sessions.
pub(crate) async fn setup_on(
    kyc: MockIssuer,
    capacity: usize,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> TestApp {
    let store = FaultyStore::over(MemoryStore::new(capacity, Arc::new(kyc.clock().clone())));
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
