//! Records and fences of an in-memory store.
//!
//! A fence is the lowest mark that is still valid. A mark is the value of the revocation counter
//! when a login started.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Moment;
use crate::store::{Entry, Family, Owner, RecordId, RecordKey, RevocationMark, Snapshot};

/// Number of variants of [`Slot`].
const SLOTS: usize = 9;

/// Records of all owners.
#[derive(Default)]
pub(super) struct Records {
    owners: HashMap<Owner, Owned>,
    expiries: [BTreeSet<(Moment, Owner, RecordId)>; SLOTS],
    /// Time before which no record expires. `None` means that no record expires.
    next_expiry: Option<Moment>,
    /// Highest fence of each namespace that was evicted before it expired.
    evicted_fences: HashMap<[u8; 16], RevocationMark>,
}

/// Group of entries with a separate capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Fence,
    Record(Family),
}

/// Maximum numbers of records and of fences.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    pub(super) records: usize,
    fences: usize,
    /// Maximum number of people whose verification result the store keeps. Also the maximum number
    /// of revocations. If a record is missing, the crate accepts a bearer token of a rejected
    /// person again. Therefore even a small store keeps many of these records.
    decisions: usize,
}

/// Minimum capacity for verification results, and for revocations.
const MIN_DECISIONS: usize = 100_000;

#[derive(Default)]
struct Owned {
    fence: Option<Fence>,
    records: BTreeMap<RecordKey, Kept>,
}

#[derive(Clone, Copy)]
struct Fence {
    mark: RevocationMark,
    expires_at: Moment,
}

/// Stored record with the end of its lifetime.
pub(super) struct Kept {
    pub(super) entry: Entry,
    pub(super) expires_at: Moment,
}

impl Capacity {
    /// Creates the capacities for a number of sessions. A fence outlives its sessions, so more
    /// fences are allowed.
    pub(super) fn of(max_sessions: usize) -> Self {
        Self {
            records: max_sessions,
            fences: max_sessions.saturating_mul(2),
            decisions: max_sessions.max(MIN_DECISIONS),
        }
    }

    fn of_family(self, family: Family) -> usize {
        match family {
            Family::Assurance | Family::Revocation => self.decisions,
            _ => self.records,
        }
    }
}

impl Slot {
    const ALL: [Self; SLOTS] = [
        Self::Fence,
        Self::Record(Family::Session),
        Self::Record(Family::Activity),
        Self::Record(Family::Tokens),
        Self::Record(Family::RefreshLease),
        Self::Record(Family::Assurance),
        Self::Record(Family::LoginKey),
        Self::Record(Family::Check),
        Self::Record(Family::Revocation),
    ];
}

impl Records {
    /// Returns the number of records in a family.
    pub(super) fn count(&self, family: Family) -> usize {
        self.expiries_of(Slot::Record(family))
            .map_or(0, BTreeSet::len)
    }

    /// Returns the live record at a key.
    pub(super) fn live(&self, owner: &Owner, key: RecordKey, now: Moment) -> Option<&Entry> {
        self.owners.get(owner)?.live(key, now)
    }

    pub(super) fn fence(&self, owner: &Owner, now: Moment) -> Option<RevocationMark> {
        self.owners.get(owner)?.live_fence(now)
    }

    /// Returns the highest fence of the namespace that was evicted early. A session with a mark
    /// below this fence may have been revoked.
    pub(super) fn evicted_fence(&self, owner: &Owner) -> Option<RevocationMark> {
        self.evicted_fences.get(&owner.namespace).copied()
    }

    pub(super) fn snapshot<'a>(
        &self,
        owner: &Owner,
        keys: impl ExactSizeIterator<Item = &'a RecordKey>,
        now: Moment,
    ) -> Snapshot {
        let Some(owned) = self.owners.get(owner) else {
            return Snapshot {
                fence: None,
                entries: vec![None; keys.len()],
            };
        };
        Snapshot {
            fence: owned.live_fence(now),
            entries: keys.map(|key| owned.live(*key, now).cloned()).collect(),
        }
    }

    pub(super) fn list(
        &self,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
        now: Moment,
    ) -> Vec<(RecordId, Entry)> {
        let Some(owned) = self.owners.get(owner) else {
            return Vec::new();
        };
        let first = RecordKey::new(family, after.unwrap_or(RecordId::ONLY));
        let records = owned.records.range(first..);
        records
            .take_while(|(key, _)| key.family == family)
            .filter(|(key, kept)| now < kept.expires_at && after != Some(key.id))
            .take(limit)
            .map(|(key, kept)| (key.id, kept.entry.clone()))
            .collect()
    }

    /// Stores a record. If the family is full, evicts the record that expires first.
    pub(super) fn insert(&mut self, owner: &Owner, key: RecordKey, kept: Kept, capacity: Capacity) {
        self.remove(owner, key);
        let slot = Slot::Record(key.family);
        while self
            .expiries_of(slot)
            .is_some_and(|it| it.len() >= capacity.of_family(key.family))
        {
            self.remove_first(slot);
        }
        self.schedule(slot, kept.expires_at, owner, key.id);
        let owned = self.owners.entry(*owner).or_default();
        owned.records.insert(key, kept);
    }

    pub(super) fn remove(&mut self, owner: &Owner, key: RecordKey) {
        let Some(owned) = self.owners.get_mut(owner) else {
            return;
        };
        let Some(kept) = owned.records.remove(&key) else {
            return;
        };
        let is_empty = owned.is_empty();
        if let Some(expiries) = self.expiries_mut(Slot::Record(key.family)) {
            expiries.remove(&(kept.expires_at, *owner, key.id));
        }
        if is_empty {
            self.owners.remove(owner);
        }
    }

    /// Removes the owner's records that belong to one of these record families, such as sessions or
    /// tokens.
    pub(super) fn remove_families(&mut self, owner: &Owner, families: &[Family]) {
        let Some(owned) = self.owners.get(owner) else {
            return;
        };
        let keys = owned.records.keys().copied();
        let keys: Vec<_> = keys.filter(|it| families.contains(&it.family)).collect();
        for key in keys {
            self.remove(owner, key);
        }
    }

    /// Sets the fence. Never shortens the lifetime of an existing fence.
    pub(super) fn set_fence(
        &mut self,
        owner: &Owner,
        mark: RevocationMark,
        expires_at: Moment,
        capacity: Capacity,
    ) {
        let owned = self.owners.entry(*owner).or_default();
        let before = owned.fence;
        let expires_at = before.map_or(expires_at, |it| it.expires_at.max(expires_at));
        owned.fence = Some(Fence { mark, expires_at });
        if let Some(before) = before
            && let Some(expiries) = self.expiries_mut(Slot::Fence)
        {
            expiries.remove(&(before.expires_at, *owner, RecordId::ONLY));
        }
        self.schedule(Slot::Fence, expires_at, owner, RecordId::ONLY);
        let fences = self.expiries_of(Slot::Fence).map_or(0, BTreeSet::len);
        if fences > capacity.fences
            && let Some((owner, fence)) = self.remove_first_fence()
        {
            // Without the owner's fence, the owner's sessions are invalid. A login whose lease is
            // older than the revocation must not create another session.
            let lowest = self.evicted_fences.entry(owner.namespace).or_insert(fence);
            *lowest = fence.max(*lowest);
        }
    }

    /// Removes at most `limit` expired records, and returns their number.
    pub(super) fn remove_expired(&mut self, now: Moment, limit: usize) -> usize {
        let mut removed = 0_usize;
        if self.next_expiry.is_none_or(|next| now < next) {
            return removed;
        }
        for slot in Slot::ALL {
            while removed < limit
                && let Some(expiries) = self.expiries_of(slot)
                && expiries.first().is_some_and(|(at, ..)| *at <= now)
            {
                self.remove_first(slot);
                removed = removed.saturating_add(1);
            }
        }
        let firsts = self.expiries.iter().filter_map(BTreeSet::first);
        self.next_expiry = firsts.map(|(at, ..)| *at).min();
        removed
    }

    fn remove_first(&mut self, slot: Slot) {
        match slot {
            Slot::Fence => {
                self.remove_first_fence();
            }
            Slot::Record(family) => {
                let first = self.expiries_of(slot).and_then(BTreeSet::first);
                if let Some((_, owner, id)) = first.copied() {
                    self.remove(&owner, RecordKey::new(family, id));
                }
            }
        }
    }

    fn remove_first_fence(&mut self) -> Option<(Owner, RevocationMark)> {
        let (_, owner, _) = self.expiries_mut(Slot::Fence)?.pop_first()?;
        let owned = self.owners.get_mut(&owner)?;
        let fence = owned.fence.take()?;
        if owned.is_empty() {
            self.owners.remove(&owner);
        }
        Some((owner, fence.mark))
    }

    fn schedule(&mut self, slot: Slot, at: Moment, owner: &Owner, id: RecordId) {
        self.next_expiry = Some(self.next_expiry.map_or(at, |next| next.min(at)));
        if let Some(expiries) = self.expiries_mut(slot) {
            expiries.insert((at, *owner, id));
        }
    }

    fn expiries_of(&self, slot: Slot) -> Option<&BTreeSet<(Moment, Owner, RecordId)>> {
        self.expiries.get(slot.index())
    }

    fn expiries_mut(&mut self, slot: Slot) -> Option<&mut BTreeSet<(Moment, Owner, RecordId)>> {
        self.expiries.get_mut(slot.index())
    }
}

impl Slot {
    /// Returns the index into [`Records::expiries`].
    fn index(self) -> usize {
        match self {
            Self::Fence => 0,
            Self::Record(family) => usize::from(family.number()),
        }
    }
}

impl Owned {
    fn live(&self, key: RecordKey, now: Moment) -> Option<&Entry> {
        let kept = self.records.get(&key)?;
        (now < kept.expires_at).then_some(&kept.entry)
    }

    fn live_fence(&self, now: Moment) -> Option<RevocationMark> {
        let fence = self.fence.filter(|fence| now < fence.expires_at)?;
        Some(fence.mark)
    }

    fn is_empty(&self) -> bool {
        self.fence.is_none() && self.records.is_empty()
    }
}
