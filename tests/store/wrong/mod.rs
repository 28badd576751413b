//! Mutation tests of the conformance suite. Each mutant breaks one rule, and the suite must report
//! that rule.

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
        Acquired, Entry, Family, LeaseKey, LeaseToken, MemoryStore, Owner, Properties, RecordId,
        RecordKey, RevocationMark, Settlement, Snapshot, Store, StoreError, StoreFuture, Write,
        Written, conformance,
    },
};

type Result<T> = std::result::Result<T, StoreError>;

/// Operations of a store over an in-memory store. An operation is correct if no mutant replaces it.
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
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        store.write(owner, writes, admitted_at).await
    }

    async fn revoke(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark> {
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

struct MutantStore<M> {
    inner: MemoryStore,
    mutant: M,
}

impl<M: Mutant> Store for MutantStore<M> {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        self.mutant.read(&self.inner, owner, keys)
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        self.mutant.write(&self.inner, owner, writes, admitted_at)
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
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

impl<M> fmt::Debug for MutantStore<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MutantStore")
    }
}

/// Runs the suite on a mutant, and returns the violated rule or `None`.
async fn violated_rule(mutant: impl Mutant, clock: &TestClock) -> Option<&'static str> {
    let inner = MemoryStore::new(10_000, Arc::new(clock.clone()));
    let store = MutantStore { inner, mutant };
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

/// Mutant that replaces no operation.
struct Unchanged;

impl Mutant for Unchanged {}

#[tokio::test]
async fn the_suite_accepts_a_store_without_faults() {
    assert_eq!(violated_rule(Unchanged, &TestClock::new()).await, None);
}
