//! Wrong stores: each breaks one promise, and the conformance suite must name the broken rule.

mod edits;
mod fences;
mod leases;
mod races;
mod records;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use kycport::{
    TestClock,
    store::{
        Acquired, Entry, Family, LeaseKey, LeaseToken, Mark, MemoryStore, Owner, Properties,
        RecordId, RecordKey, Settlement, Snapshot, Store, StoreError, StoreFuture, Write, Written,
        conformance,
    },
};

type Result<T> = std::result::Result<T, StoreError>;

/// The operations of a store over a store in memory. Each is right unless it is replaced.
#[async_trait]
trait Mutant: Send + Sync + 'static {
    async fn read(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot> {
        store.read(owner, keys).await
    }

    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<Mark>,
    ) -> Result<Written> {
        store.write(owner, writes, admitted_at).await
    }

    async fn revoke(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<Mark> {
        store.revoke(owner, families, keep_fence_for).await
    }

    async fn list(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>> {
        store.list(owner, family, after, limit).await
    }

    async fn acquire(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired> {
        store.acquire(key, token, length).await
    }

    async fn settle(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool> {
        store.settle(key, token, settlement).await
    }

    async fn sweep(&self, store: &MemoryStore, limit: usize) -> Result<usize> {
        store.sweep(limit).await
    }
}

struct Wrong<M> {
    inner: MemoryStore,
    mutant: M,
}

impl<M: Mutant> Store for Wrong<M> {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        self.mutant.read(&self.inner, owner, keys)
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<Mark>,
    ) -> StoreFuture<'a, Written> {
        self.mutant.write(&self.inner, owner, writes, admitted_at)
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, Mark> {
        self.mutant
            .revoke(&self.inner, owner, families, keep_fence_for)
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        self.mutant.list(&self.inner, owner, family, after, limit)
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        self.mutant.acquire(&self.inner, key, token, length)
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        self.mutant.settle(&self.inner, key, token, settlement)
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        self.mutant.sweep(&self.inner, limit)
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.inner.check()
    }

    fn properties(&self) -> Properties {
        self.inner.properties()
    }
}

impl<M> fmt::Debug for Wrong<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrong")
    }
}

/// Runs the suite on a mutant. `None`: the suite found nothing.
async fn violated_rule(mutant: impl Mutant, clock: &TestClock) -> Option<&'static str> {
    let inner = MemoryStore::new(10_000, Arc::new(clock.clone()));
    let store = Wrong { inner, mutant };
    let pass = async |by| clock.advance(by);
    let violation = conformance::check(&store, pass).await.err()?;
    Some(violation.rule)
}

async fn violates(mutant: impl Mutant, rule: &str) {
    violates_with(mutant, &TestClock::new(), rule).await;
}

async fn violates_with(mutant: impl Mutant, clock: &TestClock, rule: &str) {
    assert_eq!(violated_rule(mutant, clock).await, Some(rule));
}

/// The mutant that changes nothing.
struct Right;

impl Mutant for Right {}

#[tokio::test]
async fn a_store_without_a_fault_violates_no_rule() {
    assert_eq!(violated_rule(Right, &TestClock::new()).await, None);
}
