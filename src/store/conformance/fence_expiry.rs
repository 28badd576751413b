//! Rules about the lifetime of a fence.
//!
//! A fence is the lowest mark that is still valid. A mark is the value of the revocation counter
//! when a login started.

use super::{
    Violation,
    pacer::{Check, Pacer},
    rule::{
        AFTER_SHORT, LONG, Rule, SHORT, Sample, delete, random_owner, show_fence, show_written,
    },
};
use crate::store::{Condition, Family, Owner, RevocationMark, Store, Written};

pub(super) fn checks<'a>(store: &'a dyn Store, pacer: &'a Pacer) -> Vec<Check<'a>> {
    vec![
        Box::pin(longest_of_a_write(store, pacer)),
        Box::pin(later_writes(store, pacer)),
        Box::pin(without_records(store, pacer)),
        Box::pin(revocations(store, pacer)),
        Box::pin(writes_after_a_revocation(store, pacer)),
    ]
}

async fn longest_of_a_write(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a fence is kept as long as the longest-lived record of the write";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (short, long) = (Sample::new(Family::Session), Sample::new(Family::Tokens));
    let last = Sample::new(Family::Activity);
    let writes = [
        short.put_for(Condition::Any, SHORT),
        long.put(Condition::Any),
        last.put_for(Condition::Any, SHORT),
    ];
    rule.applies(&owner, &writes, Some(RevocationMark(0)))
        .await?;
    pacer.pass(AFTER_SHORT).await;
    rule.has(&owner, &[&long]).await?;
    is(rule, &owner, RevocationMark(0)).await
}

async fn later_writes(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a later write extends the lifetime of a fence if necessary and never shortens it";
    let rule = Rule::new(store, text);
    let (shortened, prolonged) = (random_owner(), random_owner());
    let (first, second) = (Sample::new(Family::Session), Sample::new(Family::Session));
    for (owner, lifetimes) in [(&shortened, [LONG, SHORT]), (&prolonged, [SHORT, LONG])] {
        for (sample, keep_for) in [&first, &second].into_iter().zip(lifetimes) {
            let writes = [sample.put_for(Condition::Absent, keep_for)];
            rule.applies(owner, &writes, Some(RevocationMark(0)))
                .await?;
        }
    }
    pacer.pass(AFTER_SHORT).await;
    rule.has(&shortened, &[&first]).await?;
    is(rule, &shortened, RevocationMark(0)).await?;
    rule.has(&prolonged, &[&second]).await?;
    is(rule, &prolonged, RevocationMark(0)).await
}

async fn without_records(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a fence outlives the owner's records";
    let rule = Rule::new(store, text);
    let owner = random_owner();
    let mark = rule.revoke(&owner, &Family::ALL, LONG).await?;
    let (expires, deleted) = (Sample::new(Family::Session), Sample::new(Family::Session));
    let writes = [
        expires.put_for(Condition::Any, SHORT),
        deleted.put(Condition::Any),
    ];
    rule.applies(&owner, &writes, Some(mark)).await?;
    let writes = [delete(deleted.key, Condition::Present)];
    rule.applies(&owner, &writes, None).await?;
    pacer.pass(AFTER_SHORT).await;
    let _ = rule.sweep(100).await?;
    rule.lacks(&owner, &[expires.key, deleted.key]).await?;
    is(rule, &owner, mark).await
}

async fn revocations(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text =
        "a revocation keeps its fence for the given time, and longer if live records need it";
    let rule = Rule::new(store, text);
    let (alone, guarded) = (random_owner(), random_owner());
    let first = rule.revoke(&alone, &Family::ALL, LONG).await?;
    let again = rule.revoke(&alone, &Family::ALL, SHORT).await?;
    rule.holds(
        again > first,
        "a mark that is not higher than the earlier mark",
    )?;

    let stays = Sample::new(Family::Assurance);
    let writes = [stays.put(Condition::Any)];
    rule.applies(&guarded, &writes, Some(RevocationMark(0)))
        .await?;
    let mark = rule.revoke(&guarded, &[Family::Session], SHORT).await?;
    pacer.pass(AFTER_SHORT).await;
    let _ = rule.sweep(100).await?;
    is(rule, &alone, again).await?;
    rule.has(&guarded, &[&stays]).await?;
    is(rule, &guarded, mark).await
}

async fn writes_after_a_revocation(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "an old mark is fenced while the revocation keeps its fence";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let mark = rule.revoke(&owner, &Family::ALL, LONG).await?;
    let session = Sample::new(Family::Session);
    let writes = [session.put_for(Condition::Absent, SHORT)];
    rule.applies(&owner, &writes, Some(mark)).await?;
    pacer.pass(AFTER_SHORT).await;
    let _ = rule.sweep(100).await?;
    let old = Some(RevocationMark(mark.0.saturating_sub(1)));
    let written = rule.write(&owner, &writes, old).await?;
    rule.holds(written == Written::Fenced, show_written(&written))
}

async fn is(rule: Rule<'_>, owner: &Owner, mark: RevocationMark) -> Result<(), Violation> {
    let fence = rule.fence(owner).await?;
    rule.holds(fence == Some(mark), show_fence(fence))
}
