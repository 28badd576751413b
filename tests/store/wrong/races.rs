//! Faults that only concurrent operations can detect. Each mutant yields between two steps.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use kycport::store::{
    Change, Condition, Family, MemoryStore, Owner, RecordKey, RevocationMark, Snapshot, Store as _,
    Write, Written,
};
use tokio::task::yield_now;

use super::{Mutant, Result, violates};

const LONG: Duration = Duration::from_secs(600);

/// Evaluates the conditions selected by `separate` in a separate step.
struct Unlocked {
    separate: fn(&Write) -> bool,
}

#[async_trait]
impl Mutant for Unlocked {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let mut checks = writes.to_vec();
        for check in &mut checks {
            check.change = Change::Keep;
        }
        match store.write(owner, &checks, None).await? {
            Written::Applied => {}
            // The inner store is correct, so it returns the current state.
            _ => return store.write(owner, writes, admitted_at).await,
        }
        yield_now().await;
        let mut writes = writes.to_vec();
        for write in &mut writes {
            if (self.separate)(write) {
                write.condition = Condition::Any;
            }
        }
        store.write(owner, &writes, admitted_at).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_version_compared_before_the_write() {
    let rule = "exactly one of many simultaneous writers replaces a version";
    let separate = |write: &Write| matches!(write.condition, Condition::Version(_));
    violates(Unlocked { separate }, rule).await;
}

#[tokio::test]
async fn the_suite_detects_an_absence_checked_before_the_write() {
    let rule = "exactly one of many simultaneous creators of a record succeeds";
    let separate = |write: &Write| write.condition == Condition::Absent;
    violates(Unlocked { separate }, rule).await;
}

#[tokio::test]
async fn the_suite_detects_a_deletion_decided_before_the_write() {
    let rule = "exactly one of many simultaneous deletions of a record is applied";
    let separate = |write: &Write| write.change == Change::Delete;
    violates(Unlocked { separate }, rule).await;
}

#[tokio::test]
async fn the_suite_detects_a_required_record_that_is_not_locked() {
    let rule = "exactly one of two parallel writes is applied if each deletes a record that the other requires";
    let separate = |write: &Write| write.change == Change::Keep;
    violates(Unlocked { separate }, rule).await;
}

#[tokio::test]
async fn the_suite_detects_an_update_that_restores_a_session() {
    let rule = "an update during a revocation does not restore a session";
    let separate = |write: &Write| {
        write.condition == Condition::Present && matches!(write.change, Change::Put { .. })
    };
    violates(Unlocked { separate }, rule).await;
}

/// Applies the records of a batch one after the other.
struct Interleaved;

#[async_trait]
impl Mutant for Interleaved {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let is_simple = writes.iter().all(|it| it.condition == Condition::Any);
        if !is_simple || admitted_at.is_some() {
            return store.write(owner, writes, admitted_at).await;
        }
        for write in writes {
            let _ = store
                .write(owner, std::slice::from_ref(write), None)
                .await?;
            yield_now().await;
        }
        Ok(Written::Applied)
    }
}

#[tokio::test]
async fn the_suite_detects_interleaved_batches() {
    let rule = "simultaneous writes of the same records in different orders do not deadlock";
    violates(Interleaved, rule).await;
}

/// First step of a revocation in two steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Deletion,
    Fence,
}

/// Performs a revocation in two steps.
struct TwoSteps(First);

#[async_trait]
impl Mutant for TwoSteps {
    async fn revoke(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark> {
        let mut deletes = Vec::new();
        for family in families {
            for (id, _) in store.list(owner, *family, None, usize::MAX).await? {
                deletes.push(Write {
                    key: RecordKey::new(*family, id),
                    condition: Condition::Any,
                    change: Change::Delete,
                });
            }
        }
        if self.0 == First::Fence {
            let mark = store.revoke(owner, &[], keep_fence_for).await?;
            yield_now().await;
            let _ = store.write(owner, &deletes, None).await?;
            return Ok(mark);
        }
        let _ = store.write(owner, &deletes, None).await?;
        yield_now().await;
        store.revoke(owner, &[], keep_fence_for).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_session_created_between_deletion_and_fence() {
    let rule = "after a revocation, no session with an earlier mark exists";
    violates(TwoSteps(First::Deletion), rule).await;
}

#[tokio::test]
async fn the_suite_detects_a_session_readable_below_the_fence() {
    let rule = "no read during a revocation sees a session below the fence";
    violates(TwoSteps(First::Fence), rule).await;
}

/// Lets an earlier revocation overwrite the fence of a later revocation. A fence is the lowest
/// mark that is still valid.
#[derive(Default)]
struct LastFence {
    fences: Mutex<HashMap<Owner, RevocationMark>>,
    turn: AtomicUsize,
}

#[async_trait]
impl Mutant for LastFence {
    async fn read(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot> {
        let mut snapshot = store.read(owner, keys).await?;
        if let Some(fence) = self.fences.lock().unwrap().get(owner) {
            snapshot.fence = Some(*fence);
        }
        Ok(snapshot)
    }

    async fn revoke(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        families: &[Family],
        _: Duration,
    ) -> Result<RevocationMark> {
        let mark = store.revoke(owner, families, LONG).await?;
        for _ in 0..self.turn.fetch_add(1, Ordering::Relaxed) % 3 {
            yield_now().await;
        }
        self.fences.lock().unwrap().insert(*owner, mark);
        Ok(mark)
    }
}

#[tokio::test]
async fn the_suite_detects_a_decreasing_fence() {
    let rule = "the fence is the highest mark of simultaneous revocations of one owner";
    violates(LastFence::default(), rule).await;
}
