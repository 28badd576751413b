//! Test double of the second store with injected faults.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt as _;
use kycport::store::{
    Acquired, Entry, Family, LeaseKey, LeaseToken, MemoryStore, Owner, Properties, RecordId,
    RecordKey, RevocationMark, Settlement, Snapshot, Store, StoreError, StoreFuture, Write,
    Written,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation fails without an effect.
    Fails,
    /// The operation takes effect and returns an error.
    LosesAnswer,
    /// The operation never returns.
    Hangs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    Revoke,
    List,
}

#[derive(Debug, Clone)]
pub(crate) struct TestSecond {
    inner: MemoryStore,
    faults: Arc<Mutex<Vec<(Op, Fault)>>>,
    shared: bool,
}

impl TestSecond {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            faults: Arc::default(),
            shared: false,
        }
    }

    /// Makes the store report that other processes share its records.
    pub(crate) fn shared(self) -> Self {
        Self {
            shared: true,
            ..self
        }
    }

    pub(crate) fn break_on(&self, op: Op, fault: Fault) {
        self.faults.lock().unwrap().push((op, fault));
    }

    pub(crate) fn repair(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// Returns the store without faults.
    pub(crate) fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    fn run<'a, T: Send + 'a>(&self, op: Op, run: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        let faults = self.faults.lock().unwrap();
        match faults.iter().find(|(at, _)| *at == op).map(|it| it.1) {
            None => run,
            Some(Fault::Fails) => async { Err(StoreError::Unreachable) }.boxed(),
            Some(Fault::LosesAnswer) => async move {
                run.await?;
                Err(StoreError::Unreachable)
            }
            .boxed(),
            Some(Fault::Hangs) => std::future::pending().boxed(),
        }
    }
}

impl Store for TestSecond {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        self.run(Op::Read, self.inner.read(owner, keys))
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        self.run(Op::Write, self.inner.write(owner, writes, admitted_at))
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
        let revoke = self.inner.revoke(owner, families, keep_fence_for);
        self.run(Op::Revoke, revoke)
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        self.run(Op::List, self.inner.list(owner, family, after, limit))
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        self.inner.acquire(key, token, length)
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        self.inner.settle(key, token, settlement)
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        self.inner.sweep(limit)
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.run(Op::Read, self.inner.check())
    }

    fn properties(&self) -> Properties {
        Properties::new("second", self.shared, true)
    }
}
