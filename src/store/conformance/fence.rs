//! Rules about marks, fences and revocation.
//!
//! A fence is the lowest mark that is still valid. A mark is the value of the revocation counter
//! when a login started.

use super::{
    Violation,
    rule::{LONG, Rule, Sample, delete, lease_in, random, random_owner, show_fence, show_written},
};
use crate::store::{
    Condition, Family, LeaseFamily, LeaseToken, Owner, RecordKey, RevocationMark, Store, Written,
};

/// Families that a revocation deletes.
const REVOKED: [Family; 4] = [
    Family::Session,
    Family::Activity,
    Family::Tokens,
    Family::RefreshLease,
];

pub(super) async fn check(store: &dyn Store) -> Result<(), Violation> {
    without_a_mark(store).await?;
    first_fence(store).await?;
    fence_after_a_conflict(store).await?;
    revocation_of_nothing(store).await?;
    revoked_families(store).await?;
    comparison(store).await?;
    fenced_changes_nothing(store).await?;
    fenced_before_conflict(store).await?;
    fence_is_kept(store).await?;
    marks_increase(store).await?;
    old_marks(store).await
}

async fn without_a_mark(store: &dyn Store) -> Result<(), Violation> {
    let text = "a write without a mark stores no fence";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let sample = Sample::new(Family::Assurance);
    rule.stores(&owner, &[&sample]).await?;
    let fence = rule.fence(&owner).await?;
    rule.holds(fence.is_none(), show_fence(fence))
}

async fn first_fence(store: &dyn Store) -> Result<(), Violation> {
    let text = "a write with a mark stores the fence 0 if there is no fence";
    let rule = Rule::new(store, text);
    for mark in [
        RevocationMark(0),
        RevocationMark(1),
        RevocationMark(u64::from(u32::MAX)),
    ] {
        let owner = random_owner();
        let sample = Sample::new(Family::Session);
        let writes = [sample.put(Condition::Absent)];
        rule.applies(&owner, &writes, Some(mark)).await?;
        let snapshot = rule.read(&owner, &[sample.key]).await?;
        rule.are(&snapshot, &[Some(&sample)])?;
        let fence = snapshot.fence;
        rule.holds(fence == Some(RevocationMark(0)), show_fence(fence))?;
    }
    Ok(())
}

async fn fence_after_a_conflict(store: &dyn Store) -> Result<(), Violation> {
    let text = "a write that conflicts stores no fence";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let writes = [Sample::new(Family::Session).put(Condition::Present)];
    let found = rule
        .conflicts(&owner, &writes, Some(RevocationMark(0)))
        .await?;
    rule.holds(found.fence.is_none(), show_fence(found.fence))?;
    let fence = rule.fence(&owner).await?;
    rule.holds(fence.is_none(), show_fence(fence))
}

async fn comparison(store: &dyn Store) -> Result<(), Violation> {
    let text = "a write is fenced if and only if the fence is higher than its mark";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let RevocationMark(fence) = rule.revoke(&owner, &REVOKED, LONG).await?;
    let sample = Sample::new(Family::Session);
    let writes = [sample.put(Condition::Any)];
    for (mark, is_fenced) in [
        (0, true),
        (fence.saturating_sub(1), true),
        (fence, false),
        (fence.saturating_add(1), false),
    ] {
        let written = rule
            .write(&owner, &writes, Some(RevocationMark(mark)))
            .await?;
        let fits = matches!(written, Written::Fenced) == is_fenced;
        rule.holds(fits, show_written(&written))?;
        if is_fenced {
            rule.lacks(&owner, &[sample.key]).await?;
        } else {
            rule.has(&owner, &[&sample]).await?;
        }
    }
    // The store does not compare a write without a mark with the fence.
    rule.stores(&owner, &[&Sample::at(sample.key)]).await
}

async fn fenced_changes_nothing(store: &dyn Store) -> Result<(), Violation> {
    let text = "a fenced write has no effect";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let stays = Sample::new(Family::Assurance);
    rule.stores(&owner, &[&stays]).await?;
    let mark = rule.revoke(&owner, &REVOKED, LONG).await?;
    let new = Sample::new(Family::Session);
    let writes = [
        new.put(Condition::Absent),
        delete(stays.key, Condition::Present),
    ];
    let written = rule.write(&owner, &writes, Some(RevocationMark(0))).await?;
    rule.holds(written == Written::Fenced, show_written(&written))?;
    rule.has(&owner, &[&stays]).await?;
    rule.lacks(&owner, &[new.key]).await?;
    let fence = rule.fence(&owner).await?;
    rule.holds(fence == Some(mark), show_fence(fence))
}

async fn fenced_before_conflict(store: &dyn Store) -> Result<(), Violation> {
    let text = "a write whose mark is too low is fenced even if it would conflict";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let _ = rule.revoke(&owner, &REVOKED, LONG).await?;
    let writes = [Sample::new(Family::Session).put(Condition::Present)];
    let written = rule.write(&owner, &writes, Some(RevocationMark(0))).await?;
    rule.holds(written == Written::Fenced, show_written(&written))
}

async fn fence_is_kept(store: &dyn Store) -> Result<(), Violation> {
    let text = "a write does not change an existing fence";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let mark = rule.revoke(&owner, &REVOKED, LONG).await?;
    let later = RevocationMark(mark.0.saturating_add(5));
    let sample = Sample::new(Family::Session);
    for admitted_at in [None, Some(mark), Some(later)] {
        let writes = [sample.put(Condition::Any)];
        rule.applies(&owner, &writes, admitted_at).await?;
        let writes = [delete(sample.key, Condition::Any)];
        rule.applies(&owner, &writes, admitted_at).await?;
        let fence = rule.fence(&owner).await?;
        rule.holds(fence == Some(mark), show_fence(fence))?;
    }
    Ok(())
}

async fn revoked_families(store: &dyn Store) -> Result<(), Violation> {
    let text = "a revocation deletes the given families and no others";
    let rule = Rule::new(store, text);
    for families in [&REVOKED[..], &[Family::Tokens], &[], &Family::ALL] {
        let owner = random_owner();
        let samples: Vec<_> = (0..3).flat_map(|_| Family::ALL.map(Sample::new)).collect();
        let samples: Vec<_> = samples.iter().collect();
        rule.stores(&owner, &samples).await?;
        let mark = rule.revoke(&owner, families, LONG).await?;
        let keys: Vec<_> = samples.iter().map(|it| it.key).collect();
        let snapshot = rule.read(&owner, &keys).await?;
        let left: Vec<_> = samples
            .iter()
            .map(|it| (!families.contains(&it.key.family)).then_some(*it))
            .collect();
        rule.are(&snapshot, &left)?;
        let fence = snapshot.fence;
        rule.holds(fence == Some(mark), show_fence(fence))?;
        for family in Family::ALL {
            let listed = rule.list(&owner, family, None, 9).await?.len();
            let expected = if families.contains(&family) { 0 } else { 3 };
            rule.holds(listed == expected, format_args!("{listed} listed"))?;
        }
    }
    Ok(())
}

async fn revocation_of_nothing(store: &dyn Store) -> Result<(), Violation> {
    let text = "a revocation stores its mark as the fence of an owner without records";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let mark = rule.revoke(&owner, &REVOKED, LONG).await?;
    let fence = rule.fence(&owner).await?;
    rule.holds(fence == Some(mark), show_fence(fence))
}

async fn marks_increase(store: &dyn Store) -> Result<(), Violation> {
    let text = "a revocation's mark exceeds all earlier marks of the namespace";
    let rule = Rule::new(store, text);
    let (namespace, mut highest) = (random(), None);
    for _ in 0..4 {
        for family in [LeaseFamily::Login, LeaseFamily::Event, LeaseFamily::Job] {
            let key = lease_in(namespace, family);
            let granted = rule.grants(&key, LeaseToken::random(), LONG).await?;
            let found = "a lease with a mark below the mark of an earlier revocation";
            rule.holds(Some(granted) >= highest, found)?;
            highest = highest.max(Some(granted));
        }
        let owner = Owner {
            namespace,
            id: random(),
        };
        for _ in 0..2 {
            let revoked = rule.revoke(&owner, &REVOKED, LONG).await?;
            rule.holds(
                Some(revoked) > highest,
                "a mark that is not higher than the earlier mark",
            )?;
            highest = Some(revoked);
        }
    }
    Ok(())
}

/// A login acquires its lease and reads the mark. A revocation follows, and then the login creates
/// the session.
async fn old_marks(store: &dyn Store) -> Result<(), Violation> {
    let text = "a mark from before a revocation is fenced, and a later mark is not";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let key = || lease_in(owner.namespace, LeaseFamily::Login);
    let session = Sample::new(Family::Session);
    let create = [session.put(Condition::Absent)];
    for _ in 0..3 {
        let before = rule.grants(&key(), LeaseToken::random(), LONG).await?;
        let _ = rule.revoke(&owner, &REVOKED, LONG).await?;
        let after = rule.grants(&key(), LeaseToken::random(), LONG).await?;
        let written = rule.write(&owner, &create, Some(before)).await?;
        rule.holds(written == Written::Fenced, show_written(&written))?;
        rule.applies(&owner, &create, Some(after)).await?;
        rule.has(&owner, &[&session]).await?;
    }
    let keys = [RecordKey::only(Family::Session)];
    rule.lacks(&owner, &keys).await
}
