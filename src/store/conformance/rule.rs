//! Building blocks of the rules: a rule on a store, and sample records.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use rand::Rng as _;

use super::Violation;
use crate::store::{
    Acquired, Change, Condition, Entry, Family, LeaseFamily, LeaseKey, LeaseToken, Owner, RecordId,
    RecordKey, RevocationMark, Settlement, Snapshot, Store, StoreError, Write, Written,
};

/// Lifetime of records that must outlive the suite.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// Lifetime of records that a rule lets expire.
pub(super) const SHORT: Duration = Duration::from_millis(150);
/// Time after which a record with lifetime [`SHORT`] has expired.
pub(super) const AFTER_SHORT: Duration = Duration::from_millis(155);
/// Lifetime of records that a rule changes before they expire. The lifetime is long enough for a
/// slow machine.
pub(super) const MEDIUM: Duration = Duration::from_secs(2);
/// Time after which a record with lifetime [`MEDIUM`] has expired.
pub(super) const AFTER_MEDIUM: Duration = Duration::from_millis(2005);

/// Rule and the store to check. An error of the store violates the rule.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    store: &'a dyn Store,
    text: &'static str,
}

impl<'a> Rule<'a> {
    pub(super) fn new(store: &'a dyn Store, text: &'static str) -> Self {
        Self { store, text }
    }

    pub(super) fn violation(&self, found: impl Display) -> Violation {
        violation(self.text, found)
    }

    pub(super) fn holds(&self, holds: bool, found: impl Display) -> Result<(), Violation> {
        if holds {
            Ok(())
        } else {
            Err(self.violation(found))
        }
    }

    fn ok<T>(&self, result: Result<T, StoreError>) -> Result<T, Violation> {
        result.map_err(|error| self.violation(error))
    }

    pub(super) async fn read(
        &self,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot, Violation> {
        let snapshot = self.ok(self.store.read(owner, keys).await)?;
        let count = snapshot.entries.len();
        self.holds(count == keys.len(), format_args!("{count} entries"))?;
        Ok(snapshot)
    }

    pub(super) async fn fence(&self, owner: &Owner) -> Result<Option<RevocationMark>, Violation> {
        Ok(self.read(owner, &[]).await?.fence)
    }

    pub(super) async fn write(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written, Violation> {
        self.ok(self.store.write(owner, writes, admitted_at).await)
    }

    pub(super) async fn revoke(
        &self,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark, Violation> {
        self.ok(self.store.revoke(owner, families, keep_fence_for).await)
    }

    pub(super) async fn list(
        &self,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>, Violation> {
        self.ok(self.store.list(owner, family, after, limit).await)
    }

    pub(super) async fn acquire(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired, Violation> {
        self.ok(self.store.acquire(key, token, length).await)
    }

    pub(super) async fn settle(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool, Violation> {
        self.ok(self.store.settle(key, token, settlement).await)
    }

    pub(super) async fn sweep(&self, limit: usize) -> Result<usize, Violation> {
        self.ok(self.store.sweep(limit).await)
    }

    pub(super) async fn check(&self) -> Result<(), Violation> {
        self.ok(self.store.check().await)
    }

    /// Performs writes and requires that all were applied.
    pub(super) async fn applies(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<(), Violation> {
        let written = self.write(owner, writes, admitted_at).await?;
        self.holds(written == Written::Applied, show_written(&written))
    }

    /// Performs writes and requires a conflict.
    pub(super) async fn conflicts(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Snapshot, Violation> {
        match self.write(owner, writes, admitted_at).await? {
            Written::Conflict(snapshot) => {
                let count = snapshot.entries.len();
                let found = format_args!("a conflict of {count} entries");
                self.holds(count == writes.len(), found)?;
                Ok(snapshot)
            }
            other => Err(self.violation(show_written(&other))),
        }
    }

    /// Stores samples that outlive the suite.
    pub(super) async fn stores(&self, owner: &Owner, samples: &[&Sample]) -> Result<(), Violation> {
        self.stores_for(owner, samples, LONG).await
    }

    /// Stores samples with a lifetime.
    pub(super) async fn stores_for(
        &self,
        owner: &Owner,
        samples: &[&Sample],
        keep_for: Duration,
    ) -> Result<(), Violation> {
        let puts = samples
            .iter()
            .map(|it| it.put_for(Condition::Any, keep_for));
        let puts: Vec<_> = puts.collect();
        self.applies(owner, &puts, None).await
    }

    /// Requires that an entry equals the sample, or is absent if the sample is `None`.
    pub(super) fn is(
        &self,
        found: Option<&Entry>,
        sample: Option<&Sample>,
    ) -> Result<(), Violation> {
        let text = match (found, sample) {
            (None, Some(_)) => "no record",
            (Some(_), None) => "a record",
            (Some(found), Some(sample)) if found.version != sample.version => "another version",
            (Some(found), Some(sample)) if found.body != sample.body => "another body",
            (None, None) | (Some(_), Some(_)) => return Ok(()),
        };
        self.violated(text)
    }

    /// Requires that a snapshot has exactly these entries, in this order.
    pub(super) fn are(
        &self,
        snapshot: &Snapshot,
        samples: &[Option<&Sample>],
    ) -> Result<(), Violation> {
        let count = snapshot.entries.len();
        self.holds(count == samples.len(), format_args!("{count} entries"))?;
        for (found, sample) in snapshot.entries.iter().zip(samples) {
            self.is(found.as_ref(), *sample)?;
        }
        Ok(())
    }

    /// Requires that the store contains these records.
    pub(super) async fn has(&self, owner: &Owner, samples: &[&Sample]) -> Result<(), Violation> {
        let keys: Vec<_> = samples.iter().map(|it| it.key).collect();
        let samples: Vec<_> = samples.iter().copied().map(Some).collect();
        self.are(&self.read(owner, &keys).await?, &samples)
    }

    /// Requires that the store contains no records at these keys.
    pub(super) async fn lacks(&self, owner: &Owner, keys: &[RecordKey]) -> Result<(), Violation> {
        self.are(&self.read(owner, keys).await?, &vec![None; keys.len()])
    }

    /// Requires that the lease is granted. Returns the mark: the value of the revocation counter.
    pub(super) async fn grants(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<RevocationMark, Violation> {
        match self.acquire(key, token, length).await? {
            Acquired::Granted { mark } => Ok(mark),
            other => Err(self.violation(show_acquired(&other))),
        }
    }

    /// Requires that another token receives `Held`, with a time of at most `length`.
    pub(super) async fn is_held(&self, key: &LeaseKey, length: Duration) -> Result<(), Violation> {
        let found = self.acquire(key, LeaseToken::random(), LONG).await?;
        let fits = matches!(found, Acquired::Held(left) if !left.is_zero() && left <= length);
        self.holds(fits, show_acquired(&found))
    }

    /// Requires that another token receives `Done` with this result.
    pub(super) async fn is_done(&self, key: &LeaseKey, result: &Bytes) -> Result<(), Violation> {
        let found = self.acquire(key, LeaseToken::random(), LONG).await?;
        let fits = matches!(&found, Acquired::Done(it) if it == result);
        self.holds(fits, show_acquired(&found))
    }

    /// Settles a lease (completes, releases or extends it), and checks the effect.
    pub(super) async fn settles(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
        expected: bool,
    ) -> Result<(), Violation> {
        let settled = self.settle(key, token, settlement).await?;
        self.holds(settled == expected, format_args!("{settled} from settle"))
    }

    fn violated(&self, found: &str) -> Result<(), Violation> {
        Err(self.violation(found))
    }
}

pub(super) fn violation(rule: &'static str, found: impl Display) -> Violation {
    Violation {
        rule,
        found: found.to_string(),
    }
}

/// Describes the result of a write, and omits the bodies.
pub(super) fn show_written(written: &Written) -> &'static str {
    match written {
        Written::Applied => "Applied",
        Written::Conflict(_) => "Conflict",
        Written::Fenced => "Fenced",
    }
}

/// Describes the result of an acquisition, and omits the result of the work.
pub(super) fn show_acquired(acquired: &Acquired) -> String {
    match acquired {
        Acquired::Granted { .. } => "Granted".to_owned(),
        Acquired::Held(left) => format!("Held for {left:?}"),
        Acquired::Done(result) => format!("Done with {} bytes", result.len()),
    }
}

pub(super) fn show_fence(fence: Option<RevocationMark>) -> String {
    match fence {
        None => "no fence".to_owned(),
        Some(RevocationMark(mark)) => format!("the fence {mark}"),
    }
}

/// Sample of a record that a rule writes.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) key: RecordKey,
    pub(super) version: u64,
    pub(super) body: Bytes,
}

impl Sample {
    /// Creates a sample with a random id, version and body.
    pub(super) fn new(family: Family) -> Self {
        Self::at(RecordKey::new(family, RecordId(random())))
    }

    /// Creates a sample with a random version and body.
    pub(super) fn at(key: RecordKey) -> Self {
        Self::of(key, Bytes::copy_from_slice(&random::<40>()))
    }

    /// Creates a sample with a random version.
    pub(super) fn of(key: RecordKey, body: Bytes) -> Self {
        Self {
            key,
            version: u64::from_be_bytes(random()),
            body,
        }
    }

    /// Returns a write that stores the sample with a lifetime that exceeds the suite's duration.
    pub(super) fn put(&self, condition: Condition) -> Write {
        self.put_for(condition, LONG)
    }

    pub(super) fn put_for(&self, condition: Condition, keep_for: Duration) -> Write {
        Write {
            key: self.key,
            condition,
            change: Change::Put {
                version: self.version,
                body: self.body.clone(),
                keep_for,
            },
        }
    }
}

pub(super) fn delete(key: RecordKey, condition: Condition) -> Write {
    Write {
        key,
        condition,
        change: Change::Delete,
    }
}

pub(super) fn keep(key: RecordKey, condition: Condition) -> Write {
    Write {
        key,
        condition,
        change: Change::Keep,
    }
}

pub(super) fn done(result: &Bytes) -> Settlement {
    done_for(result, LONG)
}

pub(super) fn done_for(result: &Bytes, keep_for: Duration) -> Settlement {
    Settlement::Done {
        result: result.clone(),
        keep_for,
    }
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// Returns a random owner in a random namespace.
pub(super) fn random_owner() -> Owner {
    Owner {
        namespace: random(),
        id: random(),
    }
}

pub(super) fn random_lease(family: LeaseFamily) -> LeaseKey {
    lease_in(random(), family)
}

pub(super) fn lease_in(namespace: [u8; 16], family: LeaseFamily) -> LeaseKey {
    LeaseKey {
        namespace,
        family,
        id: random(),
    }
}
