//! Faults of records and lists for which a changed argument is not enough.

use std::time::Duration;

use async_trait::async_trait;
use kycport::store::{
    Change, Condition, Entry, Family, MemoryStore, Owner, RecordId, RecordKey, RevocationMark,
    Snapshot, Store as _, Write, Written,
};

use super::{Mutant, Result, violates};

const LONG: Duration = Duration::from_secs(600);

/// Applies the writes whose conditions hold, even if a condition of another write does not hold.
struct HalfABatch;

#[async_trait]
impl Mutant for HalfABatch {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let written = store.write(owner, writes, admitted_at).await?;
        if let Written::Conflict(_) = written {
            for write in writes {
                let alone = [write.clone()];
                let _ = store.write(owner, &alone, admitted_at).await?;
            }
        }
        Ok(written)
    }
}

#[tokio::test]
async fn the_suite_detects_a_partly_applied_batch() {
    let rule = "a write has no effect if one of its conditions does not hold";
    violates(HalfABatch, rule).await;
}

/// Stops at the first condition that does not hold, and keeps the earlier writes of the batch.
struct OneByOne;

#[async_trait]
impl Mutant for OneByOne {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let keys: Vec<_> = writes.iter().map(|write| write.key).collect();
        let before = store.read(owner, &keys).await?;
        for write in writes {
            let alone = [write.clone()];
            match store.write(owner, &alone, admitted_at).await? {
                Written::Conflict(_) => return Ok(Written::Conflict(before)),
                Written::Fenced => return Ok(Written::Fenced),
                Written::Applied => {}
            }
        }
        Ok(Written::Applied)
    }
}

#[tokio::test]
async fn the_suite_detects_writes_applied_one_by_one() {
    let rule = "a write has no effect if one of its conditions does not hold";
    violates(OneByOne, rule).await;
}

/// Keeps the body of the first write forever.
struct OldBody;

#[async_trait]
impl Mutant for OldBody {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let mut writes = writes.to_vec();
        for write in &mut writes {
            let found = store.read(owner, &[write.key]).await?.entries.remove(0);
            if let (Change::Put { body, .. }, Some(found)) = (&mut write.change, found) {
                *body = found.body;
            }
        }
        store.write(owner, &writes, admitted_at).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_body_that_is_not_replaced() {
    let rule = "a put replaces the version and the body";
    violates(OldBody, rule).await;
}

/// Lets [`Change::Keep`] extend the lifetime.
struct KeepExtends;

#[async_trait]
impl Mutant for KeepExtends {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let mut writes = writes.to_vec();
        for write in &mut writes {
            let found = store.read(owner, &[write.key]).await?.entries.remove(0);
            if let (Change::Keep, Some(Entry { version, body })) = (&write.change, found) {
                write.change = Change::Put {
                    version,
                    body,
                    keep_for: LONG,
                };
            }
        }
        store.write(owner, &writes, admitted_at).await
    }
}

#[tokio::test]
async fn the_suite_detects_an_extended_lifetime() {
    let rule = "Keep and a conflict do not change the lifetime of a record";
    violates(KeepExtends, rule).await;
}

/// Returns an empty page if the record of the paging cursor `after` no longer exists.
struct LostPosition;

#[async_trait]
impl Mutant for LostPosition {
    async fn list(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>> {
        if let Some(after) = after {
            let key = RecordKey::new(family, after);
            if store.read(owner, &[key]).await?.entries[0].is_none() {
                return Ok(Vec::new());
            }
        }
        store.list(owner, family, after, limit).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_lost_list_position() {
    let rule = "a list starts after an id even if no record has that id";
    violates(LostPosition, rule).await;
}

/// Operation that uses expired records that the store has not removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uses {
    Lists,
    ShortPages,
    Conflicts,
}

/// Mutant whose second store never expires a record.
struct NeverExpires {
    all: MemoryStore,
    uses: Uses,
}

impl NeverExpires {
    fn new(uses: Uses) -> Self {
        Self {
            all: MemoryStore::default(),
            uses,
        }
    }
}

#[async_trait]
impl Mutant for NeverExpires {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let keys: Vec<_> = writes.iter().map(|write| write.key).collect();
        let before = self.all.read(owner, &keys).await?;
        let written = store.write(owner, writes, admitted_at).await?;
        if let Written::Conflict(snapshot) = written {
            let entries = match self.uses {
                Uses::Conflicts => before.entries,
                Uses::Lists | Uses::ShortPages => snapshot.entries,
            };
            let fence = snapshot.fence;
            return Ok(Written::Conflict(Snapshot { fence, entries }));
        }
        if written == Written::Applied {
            for write in writes {
                let mut forever = write.clone();
                forever.condition = Condition::Any;
                if let Change::Put { keep_for, .. } = &mut forever.change
                    && !keep_for.is_zero()
                {
                    *keep_for = Duration::MAX;
                }
                let _ = self.all.write(owner, &[forever], None).await?;
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
        self.all.revoke(owner, families, keep_fence_for).await?;
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
        if self.uses == Uses::Conflicts {
            return store.list(owner, family, after, limit).await;
        }
        let mut listed = Vec::new();
        for (id, entry) in self.all.list(owner, family, after, limit).await? {
            let key = RecordKey::new(family, id);
            let is_live = store.read(owner, &[key]).await?.entries[0].is_some();
            if is_live || self.uses == Uses::Lists {
                listed.push((id, entry));
            }
        }
        Ok(listed)
    }
}

#[tokio::test]
async fn the_suite_detects_expired_records_in_a_list() {
    violates(
        NeverExpires::new(Uses::Lists),
        "an expired record does not appear in a list",
    )
    .await;
}

#[tokio::test]
async fn the_suite_detects_pages_shortened_by_expired_records() {
    let rule = "a page of a list is full if more live records follow, even if records have expired";
    violates(NeverExpires::new(Uses::ShortPages), rule).await;
}

#[tokio::test]
async fn the_suite_detects_expired_records_in_a_conflict() {
    let rule = "an expired record satisfies only the conditions Any and Absent";
    violates(NeverExpires::new(Uses::Conflicts), rule).await;
}

/// Removes all written records in a sweep.
struct SweepsLive(std::sync::Mutex<Vec<(Owner, RecordKey)>>);

#[async_trait]
impl Mutant for SweepsLive {
    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let keys = writes.iter().map(|write| (*owner, write.key));
        self.0.lock().unwrap().extend(keys);
        store.write(owner, writes, admitted_at).await
    }

    async fn sweep(&self, store: &MemoryStore, limit: usize) -> Result<usize> {
        let keys = std::mem::take(&mut *self.0.lock().unwrap());
        for (owner, key) in keys {
            let delete = Write {
                key,
                condition: Condition::Any,
                change: Change::Delete,
            };
            let _ = store.write(&owner, &[delete], None).await?;
        }
        store.sweep(limit).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_sweep_of_live_records() {
    let rule = "an expired record is absent, to the millisecond, before and after a sweep";
    let mutant = SweepsLive(std::sync::Mutex::default());
    violates(mutant, rule).await;
}

/// Removes all expired records, even if the limit is lower.
struct SweepsAll;

#[async_trait]
impl Mutant for SweepsAll {
    async fn sweep(&self, store: &MemoryStore, _: usize) -> Result<usize> {
        store.sweep(usize::MAX).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_sweep_without_a_limit() {
    let rule = "a sweep removes no more records than its limit, and no live records";
    violates(SweepsAll, rule).await;
}
