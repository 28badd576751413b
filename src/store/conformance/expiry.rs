//! Rules about lifetimes of records.

use std::time::Duration;

use super::{
    Violation,
    listing::matches,
    pacer::{Check, Pacer},
    rule::{AFTER_MEDIUM, AFTER_SHORT, MEDIUM, Rule, SHORT, Sample, delete, keep, random_owner},
    sweep::sweep_all,
};
use crate::store::{Condition, Family, RecordId, RecordKey, RevocationMark, Store, Write};

/// The lifetime is less than a second, to detect an engine that counts whole seconds.
const SUBSECOND: Duration = Duration::from_millis(900);
/// Maximum number of attempts to check a rule. An attempt can fail if the machine pauses.
const ATTEMPTS: usize = 5;

pub(super) fn checks<'a>(store: &'a dyn Store, pacer: &'a Pacer) -> Vec<Check<'a>> {
    vec![
        Box::pin(subsecond_lifetime(store)),
        Box::pin(no_lifetime(store)),
        Box::pin(expired_is_absent(store, pacer)),
        Box::pin(expired_conditions(store, pacer)),
        Box::pin(expired_in_conflicts(store, pacer)),
        Box::pin(expired_in_lists(store, pacer)),
        Box::pin(expired_at_full_pages(store, pacer)),
    ]
}

/// Checks of rules that wait for a longer time.
pub(super) fn longer_checks<'a>(store: &'a dyn Store, pacer: &'a Pacer) -> Vec<Check<'a>> {
    vec![
        Box::pin(replaced_lifetimes(store, pacer)),
        Box::pin(kept_lifetimes(store, pacer)),
    ]
}

async fn subsecond_lifetime(store: &dyn Store) -> Result<(), Violation> {
    let text = "a record exists for its full lifetime, even if the lifetime is less than a second";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        let sample = Sample::new(Family::Session);
        rule.stores_for(&owner, &[&sample], SUBSECOND).await?;
        outcome = rule.has(&owner, &[&sample]).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn no_lifetime(store: &dyn Store) -> Result<(), Violation> {
    let text = "a record with lifetime zero is absent";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let sample = Sample::new(Family::Session);
    for before in [false, true] {
        if before {
            rule.stores(&owner, &[&sample]).await?;
        }
        rule.stores_for(&owner, &[&sample], Duration::ZERO).await?;
        rule.lacks(&owner, &[sample.key]).await?;
    }
    let listed = rule.list(&owner, Family::Session, None, 9).await?;
    matches(rule, &listed, &[])
}

async fn expired_is_absent(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "an expired record is absent, to the millisecond, before and after a sweep";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (gone, lives) = (Sample::new(Family::Session), Sample::new(Family::Session));
    let writes = [
        gone.put_for(Condition::Any, SHORT),
        lives.put(Condition::Any),
    ];
    rule.applies(&owner, &writes, Some(RevocationMark(0)))
        .await?;
    pacer.pass(AFTER_SHORT).await;
    let keys = [gone.key, lives.key];
    let expected = [None, Some(&lives)];
    rule.are(&rule.read(&owner, &keys).await?, &expected)?;
    sweep_all(rule).await?;
    rule.are(&rule.read(&owner, &keys).await?, &expected)?;
    let fence = rule.fence(&owner).await?;
    rule.holds(fence == Some(RevocationMark(0)), "another fence")
}

async fn expired_conditions(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "an expired record satisfies only the conditions Any and Absent";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let samples: Vec<_> = (0..12).map(|_| Sample::new(Family::Session)).collect();
    let stored: Vec<_> = samples.iter().collect();
    rule.stores_for(&owner, &stored, SHORT).await?;
    pacer.pass(AFTER_SHORT).await;
    let mut samples = samples.iter();
    let conditions: [fn(u64) -> Condition; 4] = [
        |_| Condition::Any,
        |_| Condition::Absent,
        |_| Condition::Present,
        Condition::Version,
    ];
    for (index, make) in conditions.into_iter().enumerate() {
        for (change, sample) in samples.by_ref().take(3).enumerate() {
            let condition = make(sample.version);
            let next = Sample::at(sample.key);
            let (write, after): (Write, _) = match change {
                0 => (next.put(condition), Some(&next)),
                1 => (delete(sample.key, condition), None),
                _ => (keep(sample.key, condition), None),
            };
            let applies = index < 2;
            if applies {
                rule.applies(&owner, &[write], None).await?;
            } else {
                let found = rule.conflicts(&owner, &[write], None).await?;
                rule.are(&found, &[None])?;
            }
            let after = after.filter(|_| applies);
            rule.are(&rule.read(&owner, &[sample.key]).await?, &[after])?;
        }
    }
    Ok(())
}

async fn expired_in_conflicts(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "an expired record is absent in a conflict";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (gone, lives) = (Sample::new(Family::Session), Sample::new(Family::Tokens));
    rule.stores(&owner, &[&lives]).await?;
    rule.stores_for(&owner, &[&gone], SHORT).await?;
    pacer.pass(AFTER_SHORT).await;
    let writes = [
        Sample::at(gone.key).put(Condition::Any),
        Sample::at(lives.key).put(Condition::Absent),
    ];
    let found = rule.conflicts(&owner, &writes, None).await?;
    rule.are(&found, &[None, Some(&lives)])?;
    rule.lacks(&owner, &[gone.key]).await
}

async fn expired_in_lists(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "an expired record does not appear in a list";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (gone, lives) = (Sample::new(Family::Session), Sample::new(Family::Session));
    rule.stores(&owner, &[&lives]).await?;
    rule.stores_for(&owner, &[&gone], SHORT).await?;
    pacer.pass(AFTER_SHORT).await;
    let listed = rule.list(&owner, Family::Session, None, 9).await?;
    matches(rule, &listed, &[&lives])
}

async fn expired_at_full_pages(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a page of a list is full if more live records follow, even if records have expired";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let samples: Vec<_> = (0..20_u8)
        .map(|it| Sample::at(RecordKey::new(Family::Session, RecordId([it; 16]))))
        .collect();
    let mut live = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        if index % 4 == 3 {
            rule.stores(&owner, &[sample]).await?;
            live.push(sample);
        } else {
            rule.stores_for(&owner, &[sample], SHORT).await?;
        }
    }
    pacer.pass(AFTER_SHORT).await;
    let mut after = None;
    for expected in live.chunks(2) {
        let page = rule.list(&owner, Family::Session, after, 2).await?;
        matches(rule, &page, expected)?;
        after = page.last().map(|(id, _)| *id);
    }
    Ok(())
}

async fn replaced_lifetimes(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a put replaces the lifetime of the record";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (longer, shorter) = (Sample::new(Family::Session), Sample::new(Family::Session));
    rule.stores_for(&owner, &[&longer], MEDIUM).await?;
    rule.stores(&owner, &[&shorter, &longer]).await?;
    rule.stores_for(&owner, &[&shorter], MEDIUM).await?;
    let deleted = Sample::new(Family::Session);
    rule.stores_for(&owner, &[&deleted], MEDIUM).await?;
    let writes = [delete(deleted.key, Condition::Any)];
    rule.applies(&owner, &writes, None).await?;
    rule.stores(&owner, &[&deleted]).await?;
    pacer.pass(AFTER_MEDIUM).await;
    sweep_all(rule).await?;
    rule.has(&owner, &[&longer, &deleted]).await?;
    rule.lacks(&owner, &[shorter.key]).await
}

async fn kept_lifetimes(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "Keep and a conflict do not change the lifetime of a record";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (short, long) = (Sample::new(Family::Session), Sample::new(Family::Session));
    rule.stores(&owner, &[&long]).await?;
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        rule.stores_for(&owner, &[&short], MEDIUM).await?;
        let other = Sample::new(Family::Session);
        let kept = [
            keep(short.key, Condition::Present),
            other.put(Condition::Absent),
            keep(long.key, Condition::Any),
        ];
        outcome = rule.applies(&owner, &kept, Some(RevocationMark(0))).await;
        let absent = Condition::Absent;
        let refused = [
            short.put(Condition::Any),
            long.put_for(Condition::Any, SHORT),
            other.put(absent),
        ];
        let found = rule.conflicts(&owner, &refused, None).await?;
        outcome =
            outcome.and(rule.is(found.entries.first().and_then(Option::as_ref), Some(&short)));
        if outcome.is_ok() {
            break;
        }
    }
    outcome?;
    pacer.pass(AFTER_MEDIUM).await;
    rule.lacks(&owner, &[short.key]).await?;
    rule.has(&owner, &[&long]).await
}
