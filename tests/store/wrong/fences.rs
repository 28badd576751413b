//! Faults of fences and revocations for which a changed argument is not enough.
//!
//! A fence is the lowest mark that is still valid. A mark is the value of the revocation counter
//! when the login started.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use async_trait::async_trait;
use kycport::{
    Clock as _, TestClock, Timestamp,
    store::{
        Change, Condition, Family, MemoryStore, Owner, RecordId, RecordKey, RevocationMark,
        Snapshot, Store as _, Write, Written,
    },
};

use super::{Mutant, Result, violates, violates_with};

/// Stores a wrong fence when a write has a mark.
struct Overwrites {
    fences: Mutex<HashMap<Owner, RevocationMark>>,
    fence: fn(RevocationMark) -> RevocationMark,
}

impl Overwrites {
    fn with(fence: fn(RevocationMark) -> RevocationMark) -> Self {
        Self {
            fences: Mutex::default(),
            fence,
        }
    }
}

#[async_trait]
impl Mutant for Overwrites {
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

    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let written = store.write(owner, writes, admitted_at).await?;
        if let (Written::Applied, Some(mark)) = (&written, admitted_at) {
            let fence = (self.fence)(mark);
            self.fences.lock().unwrap().insert(*owner, fence);
        }
        Ok(written)
    }

    async fn revoke(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark> {
        self.fences.lock().unwrap().remove(owner);
        store.revoke(owner, families, keep_fence_for).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_first_fence_other_than_0() {
    let rule = "a write with a mark stores the fence 0 if there is no fence";
    violates(Overwrites::with(|mark| mark), rule).await;
}

#[tokio::test]
async fn the_suite_detects_a_fence_reset_by_a_write() {
    let rule = "a write does not change an existing fence";
    violates(Overwrites::with(|_| RevocationMark(0)), rule).await;
}

/// Stores a fence although the write conflicts.
struct FenceOfAConflict;

#[async_trait]
impl Mutant for FenceOfAConflict {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let written = store.write(owner, writes, admitted_at).await?;
        if let Written::Conflict(_) = written {
            let change = Change::Put {
                version: 0,
                body: "".into(),
                keep_for: Duration::MAX,
            };
            let key = RecordKey::new(Family::Check, RecordId([9; 16]));
            let condition = Condition::Any;
            let write = Write {
                key,
                condition,
                change,
            };
            let _ = store.write(owner, &[write], admitted_at).await?;
        }
        Ok(written)
    }
}

#[tokio::test]
async fn the_suite_detects_a_fence_stored_by_a_conflict() {
    let rule = "a write that conflicts stores no fence";
    violates(FenceOfAConflict, rule).await;
}

/// Applies the deletions of a write although the write is fenced.
struct FencedDeletes;

#[async_trait]
impl Mutant for FencedDeletes {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let written = store.write(owner, writes, admitted_at).await?;
        if written == Written::Fenced {
            let deletes = writes.iter().filter(|it| it.change == Change::Delete);
            let deletes: Vec<_> = deletes.cloned().collect();
            let _ = store.write(owner, &deletes, None).await?;
        }
        Ok(written)
    }
}

#[tokio::test]
async fn the_suite_detects_a_fenced_write_with_an_effect() {
    violates(FencedDeletes, "a fenced write has no effect").await;
}

/// Evaluates the conditions of a write before the fence.
struct ConflictFirst;

#[async_trait]
impl Mutant for ConflictFirst {
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
            Written::Applied => store.write(owner, writes, admitted_at).await,
            other => Ok(other),
        }
    }
}

#[tokio::test]
async fn the_suite_detects_conditions_evaluated_before_the_fence() {
    let rule = "a write whose mark is too low is fenced even if it would conflict";
    violates(ConflictFirst, rule).await;
}

/// Deletes the records of a revocation without changing the fence.
struct NoFence(Mutex<u64>);

#[async_trait]
impl Mutant for NoFence {
    async fn revoke(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        families: &[Family],
        _: Duration,
    ) -> Result<RevocationMark> {
        for family in families {
            for (id, _) in store.list(owner, *family, None, usize::MAX).await? {
                let delete = Write {
                    key: RecordKey::new(*family, id),
                    condition: Condition::Any,
                    change: Change::Delete,
                };
                let _ = store.write(owner, &[delete], None).await?;
            }
        }
        let mut counter = self.0.lock().unwrap();
        *counter += 1;
        Ok(RevocationMark(*counter))
    }
}

#[tokio::test]
async fn the_suite_detects_a_revocation_without_a_fence() {
    violates(
        NoFence(Mutex::default()),
        "a conflict contains the owner's fence",
    )
    .await;
}

/// Loses the fence together with the owner's last record.
struct FenceOfRecords;

#[async_trait]
impl Mutant for FenceOfRecords {
    async fn read(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot> {
        let mut snapshot = store.read(owner, keys).await?;
        let mut has_records = false;
        for family in Family::ALL {
            let listed = store.list(owner, family, None, 1).await?;
            has_records |= !listed.is_empty();
        }
        if !has_records {
            snapshot.fence = None;
        }
        Ok(snapshot)
    }
}

#[tokio::test]
async fn the_suite_detects_a_fence_lost_with_the_records() {
    let rule = "a revocation stores its mark as the fence of an owner without records";
    violates(FenceOfRecords, rule).await;
}

/// Keeps the fence for a wrong time. The function `until` receives the current end of the fence and
/// the ends of the written records.
struct FenceTimes {
    clock: TestClock,
    ends: Mutex<HashMap<Owner, Timestamp>>,
    until: fn(Option<Timestamp>, &[Timestamp]) -> Timestamp,
}

impl FenceTimes {
    fn new(clock: &TestClock, until: fn(Option<Timestamp>, &[Timestamp]) -> Timestamp) -> Self {
        Self {
            clock: clock.clone(),
            ends: Mutex::default(),
            until,
        }
    }
}

#[async_trait]
impl Mutant for FenceTimes {
    async fn read(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot> {
        let mut snapshot = store.read(owner, keys).await?;
        let ends = self.ends.lock().unwrap();
        if ends.get(owner).is_some_and(|end| *end <= self.clock.now()) {
            snapshot.fence = None;
        }
        Ok(snapshot)
    }

    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let written = store.write(owner, writes, admitted_at).await?;
        if admitted_at.is_some() && written == Written::Applied {
            let now = self.clock.now();
            let ends = writes.iter().filter_map(|write| match write.change {
                Change::Put { keep_for, .. } => Some(now.saturating_add(keep_for)),
                Change::Delete | Change::Keep => None,
            });
            let ends: Vec<_> = ends.collect();
            if !ends.is_empty() {
                let mut all = self.ends.lock().unwrap();
                let end = (self.until)(all.get(owner).copied(), &ends);
                all.insert(*owner, end);
            }
        }
        Ok(written)
    }

    async fn revoke(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark> {
        self.ends.lock().unwrap().remove(owner);
        store.revoke(owner, families, keep_fence_for).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_fence_that_lasts_only_as_long_as_the_last_record() {
    let clock = TestClock::new();
    let mutant = FenceTimes::new(&clock, |before, ends| {
        *before.iter().chain(&ends[ends.len() - 1..]).max().unwrap()
    });
    let rule = "a fence is kept as long as the longest-lived record of the write";
    violates_with(mutant, &clock, rule).await;
}

#[tokio::test]
async fn the_suite_detects_a_shortened_fence() {
    let clock = TestClock::new();
    let mutant = FenceTimes::new(&clock, |_, ends| *ends.iter().max().unwrap());
    let rule = "a later write extends the lifetime of a fence if necessary and never shortens it";
    violates_with(mutant, &clock, rule).await;
}

#[tokio::test]
async fn the_suite_detects_a_fence_that_is_not_extended() {
    let clock = TestClock::new();
    let mutant = FenceTimes::new(&clock, |before, ends| {
        before.unwrap_or(*ends.iter().max().unwrap())
    });
    let rule = "a later write extends the lifetime of a fence if necessary and never shortens it";
    violates_with(mutant, &clock, rule).await;
}
