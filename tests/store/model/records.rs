//! Reference model of records and fences.
//!
//! A fence is the lowest mark that is still valid. A mark is the value of the revocation counter
//! when the login started.

use std::collections::{BTreeMap, HashMap};

use kycport::store::{
    Change, Condition, Entry, Family, Owner, RecordId, RecordKey, RevocationMark, Snapshot, Write,
    Written,
};

/// Time of the model.
pub(super) type Ticks = u64;

#[derive(Default)]
pub(super) struct Records {
    records: BTreeMap<(Owner, RecordKey), (Entry, Ticks)>,
    fences: HashMap<Owner, Fence>,
}

/// Fence of an owner. The store must keep the fence until a time, and may keep it longer.
struct Fence {
    mark: RevocationMark,
    until: Ticks,
}

impl Records {
    pub(super) fn entry(&self, owner: Owner, key: RecordKey, now: Ticks) -> Option<&Entry> {
        let (entry, until) = self.records.get(&(owner, key))?;
        (now < *until).then_some(entry)
    }

    pub(super) fn fence(&self, owner: Owner) -> Option<RevocationMark> {
        self.fences.get(&owner).map(|fence| fence.mark)
    }

    /// Returns whether the store may have dropped the fence.
    pub(super) fn is_fence_due(&self, owner: Owner, now: Ticks) -> bool {
        let fence = self.fences.get(&owner);
        fence.is_some_and(|fence| fence.until <= now)
    }

    pub(super) fn drop_fence(&mut self, owner: Owner) {
        self.fences.remove(&owner);
    }

    pub(super) fn snapshot(
        &self,
        owner: Owner,
        keys: impl Iterator<Item = RecordKey>,
        now: Ticks,
    ) -> Snapshot {
        Snapshot {
            fence: self.fence(owner),
            entries: keys
                .map(|key| self.entry(owner, key, now).cloned())
                .collect(),
        }
    }

    pub(super) fn list(
        &self,
        owner: Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
        now: Ticks,
    ) -> Vec<(RecordId, Entry)> {
        let all = self.records.iter();
        all.filter(|((of, key), (_, until))| {
            *of == owner && key.family == family && now < *until && Some(key.id) > after
        })
        .take(limit)
        .map(|((_, key), (entry, _))| (key.id, entry.clone()))
        .collect()
    }

    /// Performs a write. `ticks` converts a lifetime to the time of the model.
    pub(super) fn write(
        &mut self,
        owner: Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
        now: Ticks,
        ticks: impl Fn(std::time::Duration) -> Ticks,
    ) -> Written {
        let fence = self.fence(owner);
        if admitted_at.is_some_and(|mark| fence > Some(mark)) {
            return Written::Fenced;
        }
        let holds = |write: &Write| match (write.condition, self.entry(owner, write.key, now)) {
            (Condition::Any, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => true,
            (Condition::Version(version), Some(entry)) => entry.version == version,
            _ => false,
        };
        if !writes.iter().all(holds) {
            let keys = writes.iter().map(|write| write.key);
            return Written::Conflict(self.snapshot(owner, keys, now));
        }
        let mut longest = now;
        for write in writes {
            match &write.change {
                Change::Keep => {}
                Change::Delete => {
                    self.records.remove(&(owner, write.key));
                }
                Change::Put {
                    version,
                    body,
                    keep_for,
                } => {
                    let entry = Entry {
                        version: *version,
                        body: body.clone(),
                    };
                    let until = now.saturating_add(ticks(*keep_for));
                    longest = longest.max(until);
                    self.records.insert((owner, write.key), (entry, until));
                }
            }
        }
        if admitted_at.is_some() {
            let fence = self.fences.entry(owner).or_insert(Fence {
                mark: RevocationMark(0),
                until: longest,
            });
            fence.until = fence.until.max(longest);
        }
        Written::Applied
    }

    pub(super) fn revoke(
        &mut self,
        owner: Owner,
        families: &[Family],
        mark: RevocationMark,
        until: Ticks,
        now: Ticks,
    ) {
        self.records
            .retain(|(of, key), _| *of != owner || !families.contains(&key.family));
        let mut records = self.records.iter();
        let has_records = records.any(|((of, _), (_, until))| *of == owner && now < *until);
        let before = self.fences.get(&owner).map_or(0, |fence| fence.until);
        let until = if has_records {
            until.max(before)
        } else {
            until
        };
        self.fences.insert(owner, Fence { mark, until });
    }
}
