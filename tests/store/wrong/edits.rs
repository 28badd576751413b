//! Faults that change an argument or a result of a correct store.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kycport::{
    TestClock,
    store::{
        Acquired, Change, Condition, Entry, Family, LeaseFamily, LeaseKey, LeaseToken, MemoryStore,
        Owner, RecordId, RecordKey, RevocationMark, Settlement, Snapshot, Store as _, Write,
        Written,
    },
};

use super::{Mutant, Result, violated_rule};

/// Changes to arguments and results of a store. By default, all arguments and results stay
/// unchanged.
#[derive(Clone, Copy)]
struct Edits {
    owner: fn(&mut Owner),
    key: fn(&mut RecordKey),
    write: fn(&mut Write),
    lifetime: fn(&mut Duration),
    admitted_at: fn(&mut Option<RevocationMark>),
    read: fn(&mut Snapshot),
    conflict: fn(&mut Snapshot),
    families: fn(&mut Vec<Family>),
    keep_fence_for: fn(&mut Duration),
    /// Changes every mark that the store returns. A mark is a value of the revocation counter.
    mark: fn(&mut RevocationMark),
    /// Changes every mark that a lease returns.
    granted: fn(&mut RevocationMark),
    after: fn(&mut Option<RecordId>),
    limit: fn(&mut usize),
    list: fn(&mut Vec<(RecordId, Entry)>),
    lease: fn(&mut LeaseKey),
    length: fn(&mut Duration),
    acquired: fn(&mut Acquired),
    settlement: fn(&mut Settlement),
    settled: fn(&mut bool),
    swept: fn(&mut usize),
}

const NONE: Edits = Edits {
    owner: |_| {},
    key: |_| {},
    write: |_| {},
    lifetime: |_| {},
    admitted_at: |_| {},
    read: |_| {},
    conflict: |_| {},
    families: |_| {},
    keep_fence_for: |_| {},
    mark: |_| {},
    granted: |_| {},
    after: |_| {},
    limit: |_| {},
    list: |_| {},
    lease: |_| {},
    length: |_| {},
    acquired: |_| {},
    settlement: |_| {},
    settled: |_| {},
    swept: |_| {},
};

fn edited<T: Clone>(value: &T, edit: fn(&mut T)) -> T {
    let mut value = value.clone();
    edit(&mut value);
    value
}

#[async_trait]
impl Mutant for Edits {
    async fn read(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot> {
        let keys: Vec<_> = keys.iter().map(|key| edited(key, self.key)).collect();
        let mut snapshot = store.read(&edited(owner, self.owner), &keys).await?;
        snapshot.fence.as_mut().map(self.mark);
        (self.read)(&mut snapshot);
        Ok(snapshot)
    }

    async fn write(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written> {
        let mut writes = writes.to_vec();
        for write in &mut writes {
            (self.key)(&mut write.key);
            (self.write)(write);
            if let Change::Put { keep_for, .. } = &mut write.change {
                (self.lifetime)(keep_for);
            }
        }
        let owner = edited(owner, self.owner);
        let admitted_at = edited(&admitted_at, self.admitted_at);
        let mut written = store.write(&owner, &writes, admitted_at).await?;
        if let Written::Conflict(snapshot) = &mut written {
            (self.conflict)(snapshot);
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
        let families = edited(&families.to_vec(), self.families);
        let keep_fence_for = edited(&keep_fence_for, self.keep_fence_for);
        let owner = edited(owner, self.owner);
        let mark = store.revoke(&owner, &families, keep_fence_for).await?;
        Ok(edited(&mark, self.mark))
    }

    async fn list(
        &self,
        store: &MemoryStore,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>> {
        let owner = edited(owner, self.owner);
        let after = edited(&after, self.after);
        let limit = edited(&limit, self.limit);
        let mut listed = store.list(&owner, family, after, limit).await?;
        (self.list)(&mut listed);
        Ok(listed)
    }

    async fn acquire(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired> {
        let (key, length) = (edited(key, self.lease), edited(&length, self.length));
        let mut acquired = store.acquire(&key, token, length).await?;
        if let Acquired::Granted { mark } = &mut acquired {
            (self.mark)(mark);
            (self.granted)(mark);
        }
        (self.acquired)(&mut acquired);
        Ok(acquired)
    }

    async fn settle(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool> {
        let key = edited(key, self.lease);
        let settlement = edited(&settlement, self.settlement);
        let mut settled = store.settle(&key, token, settlement).await?;
        (self.settled)(&mut settled);
        Ok(settled)
    }

    async fn sweep(&self, store: &MemoryStore, limit: usize) -> Result<usize> {
        Ok(edited(&store.sweep(limit).await?, self.swept))
    }
}

fn edit_body(write: &mut Write, edit: fn(&Bytes) -> Bytes) {
    if let Change::Put { body, .. } = &mut write.change {
        *body = edit(body);
    }
}

fn edit_version(write: &mut Write, edit: fn(u64) -> u64) {
    if let Change::Put { version, .. } = &mut write.change {
        *version = edit(*version);
    }
    if let Condition::Version(version) = &mut write.condition {
        *version = edit(*version);
    }
}

fn as_text(body: &Bytes) -> Bytes {
    String::from_utf8_lossy(body).into_owned().into()
}

fn without_trailing_zeros(body: &Bytes) -> Bytes {
    let length = body.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1);
    body.slice(..length)
}

/// Mixes the namespace of an owner into the id of the owner, so different owners can become equal.
fn confuse(owner: &mut Owner) {
    for (id, namespace) in owner.id.iter_mut().zip(&owner.namespace) {
        *id ^= namespace;
    }
    owner.namespace = [0; 16];
}

fn rounded_up(duration: Duration) -> Duration {
    let part = u64::from(duration.subsec_nanos() > 0);
    Duration::from_secs(duration.as_secs().saturating_add(part))
}

/// Name of the fault, its changes, and the rule that the changes violate.
type Case = (&'static str, Edits, &'static str);

async fn all_violate(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (name, edits, rule) in cases {
        let violated = violated_rule(*edits, &TestClock::new()).await;
        if violated != Some(*rule) {
            wrong.push(format!("{name}: {violated:?} instead of {rule:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_suite_detects_faults_of_records() {
    let body = "a body is stored byte for byte";
    let version = "a version is any 64 bits, and is stored exactly";
    let order = "a read returns one entry per key, in the order of the keys";
    let id = "an id is any 16 bytes";
    let families = "records of different families are separate, even with the same id";
    let removal = "a delete removes the record, and deleting an absent record is applied";
    #[rustfmt::skip]
    let cases: [Case; 10] = [
        ("bodies are converted to text", Edits { write: |it| edit_body(it, as_text), ..NONE }, body),
        ("trailing zeros are lost", Edits { write: |it| edit_body(it, without_trailing_zeros), ..NONE }, body),
        ("an empty body deletes", Edits { write: |it| if let Change::Put { body, .. } = &it.change && body.is_empty() { it.change = Change::Delete }, ..NONE }, body),
        ("versions are rounded", Edits { write: |it| edit_version(it, |it| it & !1), ..NONE }, version),
        ("versions are signed", Edits { write: |it| edit_version(it, |it| it.min(i64::MAX as u64)), ..NONE }, version),
        ("entries are reversed", Edits { read: |it| it.entries.reverse(), ..NONE }, order),
        ("entries are read once", Edits { read: |it| it.entries.dedup(), ..NONE }, order),
        ("ids ignore the case", Edits { key: |it| it.id.0.make_ascii_lowercase(), ..NONE }, id),
        ("families are ignored", Edits { key: |it| it.family = Family::Session, ..NONE }, families),
        ("deleting an absent record conflicts", Edits { write: |it| if it.change == Change::Delete && it.condition == Condition::Any { it.condition = Condition::Present }, ..NONE }, removal),
    ];
    all_violate(&cases).await;
}

#[tokio::test]
async fn the_suite_detects_faults_of_conditions() {
    let absent = "Absent holds if and only if there is no live record";
    let present = "Present holds if and only if there is a live record";
    let version = "Version holds if and only if there is a live record of this version";
    let entries = "a conflict has one entry per write, in the order of the writes";
    let fence = "a conflict contains the owner's fence";
    #[rustfmt::skip]
    let cases: [Case; 8] = [
        ("conditions are forgotten", Edits { write: |it| it.condition = Condition::Any, ..NONE }, absent),
        ("Absent is Any", Edits { write: |it| if it.condition == Condition::Absent { it.condition = Condition::Any }, ..NONE }, absent),
        ("Keep ignores its condition", Edits { write: |it| if it.change == Change::Keep { it.condition = Condition::Any }, ..NONE }, absent),
        ("Present is Any", Edits { write: |it| if it.condition == Condition::Present { it.condition = Condition::Any }, ..NONE }, present),
        ("Version is Present", Edits { write: |it| if let Condition::Version(_) = it.condition { it.condition = Condition::Present }, ..NONE }, version),
        ("a conflict has no entries", Edits { conflict: |it| it.entries.clear(), ..NONE }, absent),
        ("a conflict loses the order", Edits { conflict: |it| it.entries.reverse(), ..NONE }, entries),
        ("a conflict has no fence", Edits { conflict: |it| it.fence = None, ..NONE }, fence),
    ];
    all_violate(&cases).await;
}

#[tokio::test]
async fn the_suite_detects_faults_of_fences() {
    let none = "a write without a mark stores no fence";
    let first = "a write with a mark stores the fence 0 if there is no fence";
    let fenced = "a write is fenced if and only if the fence is higher than its mark";
    let revoked = "a revocation deletes the given families and no others";
    let marks = "a revocation's mark exceeds all earlier marks of the namespace";
    let kept =
        "a revocation keeps its fence for the given time, and longer if live records need it";
    #[rustfmt::skip]
    let cases: [Case; 10] = [
        ("every write stores a fence", Edits { admitted_at: |it| *it = it.or(Some(RevocationMark(u64::MAX))), ..NONE }, none),
        ("no write stores a fence", Edits { admitted_at: |it| *it = None, ..NONE }, first),
        ("the fence is ignored", Edits { admitted_at: |it| *it = it.map(|_| RevocationMark(u64::MAX)), ..NONE }, fenced),
        ("an equal mark is fenced", Edits { admitted_at: |it| *it = it.map(|it| RevocationMark(it.0.saturating_sub(1))), ..NONE }, fenced),
        ("a session survives", Edits { families: |it| it.retain(|it| *it != Family::Session), ..NONE }, revoked),
        ("all families are deleted", Edits { families: |it| *it = Family::ALL.to_vec(), ..NONE }, revoked),
        ("the counter stops", Edits { mark: |it| it.0 = it.0.min(2), ..NONE }, marks),
        ("a lease has an old mark", Edits { granted: |it| it.0 = 0, ..NONE }, marks),
        ("a lease has a future mark", Edits { granted: |it| it.0 += 1, ..NONE }, marks),
        ("the fence expires early", Edits { keep_fence_for: |it| *it = Duration::from_millis(100).min(*it), ..NONE }, kept),
    ];
    all_violate(&cases).await;
}

#[tokio::test]
async fn the_suite_detects_mixed_owners_and_namespaces() {
    let owners = "an owner does not see the records and the fence of another owner";
    let namespaces = "a namespace does not see the records and the fence of another namespace";
    let leases = "leases of different namespaces, families and ids are separate";
    #[rustfmt::skip]
    let cases: [Case; 4] = [
        ("owners are ignored", Edits { owner: |it| it.id = [0; 16], ..NONE }, owners),
        ("namespaces are ignored", Edits { owner: |it| it.namespace = [0; 16], lease: |it| it.namespace = [0; 16], ..NONE }, namespaces),
        ("the parts of a key are confused", Edits { owner: confuse, lease: |it| it.namespace = [0; 16], ..NONE }, namespaces),
        ("lease families are ignored", Edits { lease: |it| it.family = LeaseFamily::Login, ..NONE }, leases),
    ];
    all_violate(&cases).await;
}

#[tokio::test]
async fn the_suite_detects_faults_of_lists() {
    let list = "a list is complete and ordered by id, page by page";
    #[rustfmt::skip]
    let cases: [Case; 5] = [
        ("a list is incomplete", Edits { list: |it| if it.len() > 3 { it.remove(1); }, ..NONE }, list),
        ("a list is reversed", Edits { list: |it| it.reverse(), ..NONE }, list),
        ("a list ends early", Edits { list: |it| it.truncate(10), ..NONE }, list),
        ("a list has no limit", Edits { limit: |it| *it = usize::MAX, ..NONE }, list),
        ("a list begins at the position", Edits { after: |it| *it = it.and_then(|it| u128::from_be_bytes(it.0).checked_sub(1)).map(|it| RecordId(it.to_be_bytes())), ..NONE }, list),
    ];
    all_violate(&cases).await;
}

#[tokio::test]
async fn the_suite_detects_faults_of_lifetimes() {
    let expired = "an expired record is absent, to the millisecond, before and after a sweep";
    let subsecond =
        "a record exists for its full lifetime, even if the lifetime is less than a second";
    let none = "a record with lifetime zero is absent";
    let longest = "maximum durations do not overflow";
    let sweep = "a sweep removes no more records than its limit, and no live records";
    #[rustfmt::skip]
    let cases: [Case; 6] = [
        ("expired records are returned", Edits { lifetime: |it| *it = it.saturating_mul(1000), ..NONE }, expired),
        ("lifetimes are rounded up", Edits { lifetime: |it| *it = rounded_up(*it), ..NONE }, expired),
        ("lifetimes are rounded down", Edits { lifetime: |it| *it = Duration::from_secs(it.as_secs()), ..NONE }, subsecond),
        ("zero lifetime means forever", Edits { lifetime: |it| if it.is_zero() { *it = Duration::MAX }, ..NONE }, none),
        ("long lifetimes overflow", Edits { lifetime: |it| if it.as_secs() > 1 << 31 { *it = Duration::ZERO }, ..NONE }, longest),
        ("a sweep counts wrongly", Edits { swept: |it| *it += 4, ..NONE }, sweep),
    ];
    all_violate(&cases).await;
}

#[tokio::test]
async fn the_suite_detects_faults_of_leases() {
    let granted =
        "a lease is granted to one token, and other tokens receive Held with the remaining time";
    let unknown = "a lease that was never granted cannot be settled";
    let done = "every token receives Done with the result of completed work";
    let result = "a result is stored byte for byte";
    let released = "a released lease is free";
    let extended = "an extended lease ends the new length from now";
    let free = "an expired lease is free, and its next holder has the lease for the full length";
    let forgotten = "completed work is remembered for the given time, regardless of the lease";
    #[rustfmt::skip]
    let cases: [Case; 12] = [
        ("a lease is granted twice", Edits { acquired: |it| if let Acquired::Held(_) = it { *it = Acquired::Granted { mark: RevocationMark(0) } }, ..NONE }, granted),
        ("the remaining time of a lease is zero", Edits { acquired: |it| if let Acquired::Held(left) = it { *left = Duration::ZERO }, ..NONE }, granted),
        ("the remaining time of a lease is too long", Edits { acquired: |it| if let Acquired::Held(left) = it { *left *= 2 }, ..NONE }, granted),
        ("everything is settled", Edits { settled: |it| *it = true, ..NONE }, unknown),
        ("nothing is settled", Edits { settled: |it| *it = false, ..NONE }, "a lease is granted again to the same token"),
        ("results are lost", Edits { settlement: |it| if let Settlement::Done { result, .. } = it { result.clear() }, ..NONE }, done),
        ("results are converted to text", Edits { settlement: |it| if let Settlement::Done { result, .. } = it { *result = as_text(result) }, ..NONE }, result),
        ("a release does not free the lease", Edits { settlement: |it| if *it == Settlement::Release { *it = Settlement::Extend(Duration::from_secs(600)) }, ..NONE }, released),
        ("an extension is ignored", Edits { settlement: |it| if let Settlement::Extend(length) = it { *length = Duration::from_secs(600) }, ..NONE }, extended),
        ("leases end on whole seconds", Edits { length: |it| *it = rounded_up(*it), ..NONE }, free),
        ("completed work is never forgotten", Edits { settlement: |it| if let Settlement::Done { keep_for, .. } = it { *keep_for = Duration::MAX }, ..NONE }, forgotten),
        ("completed work is forgotten early", Edits { settlement: |it| if let Settlement::Done { keep_for, .. } = it { *keep_for = Duration::from_secs(1) }, ..NONE }, forgotten),
    ];
    all_violate(&cases).await;
}
