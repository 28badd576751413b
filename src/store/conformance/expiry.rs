//! Rules about lifetimes of records.

use std::time::Duration;

use super::{
    Violation,
    listing::matches,
    rule::{
        AFTER_MEDIUM, AFTER_SHORT, LONG, MEDIUM, Rule, SHORT, Sample, delete, done, keep, random,
        random_lease, random_owner,
    },
};
use crate::store::{
    Condition, Family, LeaseFamily, LeaseToken, Mark, Owner, RecordId, RecordKey, Store, Write,
};

/// Less than a second, so that an engine that counts whole seconds shows.
const SUBSECOND: Duration = Duration::from_millis(900);
/// How often a rule tries what a pause of the machine can spoil.
const ATTEMPTS: usize = 5;
/// Maximum number of sweeps of a rule. A shared store may have more to remove.
const SWEEPS: usize = 50;

pub(super) async fn check(
    store: &dyn Store,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Violation> {
    subsecond_lifetime(store).await?;
    no_lifetime(store).await?;
    tokio::try_join!(
        Box::pin(expired_is_absent(store, pass)),
        Box::pin(expired_conditions(store, pass)),
        Box::pin(expired_in_conflicts(store, pass)),
        Box::pin(expired_in_lists(store, pass)),
        Box::pin(expired_at_full_pages(store, pass)),
        Box::pin(replaced_lifetimes(store, pass)),
        Box::pin(kept_lifetimes(store, pass)),
        Box::pin(sweeps(store, pass)),
    )?;
    Ok(())
}

async fn subsecond_lifetime(store: &dyn Store) -> Result<(), Violation> {
    let text = "a record lives for its lifetime, even if that is less than a second";
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
    let text = "a record of no lifetime is absent";
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

async fn expired_is_absent(
    store: &dyn Store,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Violation> {
    let text = "an expired record is absent, to the millisecond, before and after a sweep";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (gone, lives) = (Sample::new(Family::Session), Sample::new(Family::Session));
    let writes = [
        lives.put(Condition::Any),
        gone.put_for(Condition::Any, SHORT),
    ];
    rule.applies(&owner, &writes, Some(Mark(0))).await?;
    pass(AFTER_SHORT).await;
    let keys = [gone.key, lives.key];
    let expected = [None, Some(&lives)];
    rule.are(&rule.read(&owner, &keys).await?, &expected)?;
    sweep_all(rule).await?;
    rule.are(&rule.read(&owner, &keys).await?, &expected)?;
    let fence = rule.fence(&owner).await?;
    rule.holds(fence == Some(Mark(0)), "another fence")
}

async fn expired_conditions(
    store: &dyn Store,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Violation> {
    let text = "an expired record satisfies Any and Absent, and no other condition";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let samples: Vec<_> = (0..12).map(|_| Sample::new(Family::Session)).collect();
    let stored: Vec<_> = samples.iter().collect();
    rule.stores_for(&owner, &stored, SHORT).await?;
    pass(AFTER_SHORT).await;
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

async fn expired_in_conflicts(
    store: &dyn Store,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Violation> {
    let text = "an expired record is absent in a conflict";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (gone, lives) = (Sample::new(Family::Session), Sample::new(Family::Tokens));
    rule.stores(&owner, &[&lives]).await?;
    rule.stores_for(&owner, &[&gone], SHORT).await?;
    pass(AFTER_SHORT).await;
    let writes = [
        Sample::at(gone.key).put(Condition::Any),
        Sample::at(lives.key).put(Condition::Absent),
    ];
    let found = rule.conflicts(&owner, &writes, None).await?;
    rule.are(&found, &[None, Some(&lives)])?;
    rule.lacks(&owner, &[gone.key]).await
}

async fn expired_in_lists(
    store: &dyn Store,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Violation> {
    let text = "an expired record is in no list";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (gone, lives) = (Sample::new(Family::Session), Sample::new(Family::Session));
    rule.stores(&owner, &[&lives]).await?;
    rule.stores_for(&owner, &[&gone], SHORT).await?;
    pass(AFTER_SHORT).await;
    let listed = rule.list(&owner, Family::Session, None, 9).await?;
    matches(rule, &listed, &[&lives])
}

async fn expired_at_full_pages(
    store: &dyn Store,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Violation> {
    let text = "a page of a list is full if more live records follow, whatever has expired";
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
    pass(AFTER_SHORT).await;
    let mut after = None;
    for expected in live.chunks(2) {
        let page = rule.list(&owner, Family::Session, after, 2).await?;
        matches(rule, &page, expected)?;
        after = page.last().map(|(id, _)| *id);
    }
    Ok(())
}

async fn replaced_lifetimes(
    store: &dyn Store,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Violation> {
    let text = "a put gives the record a new lifetime, longer or shorter";
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
    pass(AFTER_MEDIUM).await;
    sweep_all(rule).await?;
    rule.has(&owner, &[&longer, &deleted]).await?;
    rule.lacks(&owner, &[shorter.key]).await
}

async fn kept_lifetimes(store: &dyn Store, pass: &impl AsyncFn(Duration)) -> Result<(), Violation> {
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
        outcome = rule.applies(&owner, &kept, Some(Mark(0))).await;
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
    pass(AFTER_MEDIUM).await;
    rule.lacks(&owner, &[short.key]).await?;
    rule.has(&owner, &[&long]).await
}

async fn sweeps(store: &dyn Store, pass: &impl AsyncFn(Duration)) -> Result<(), Violation> {
    let text = "a sweep removes no more records than its limit, and no live records";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let namespace = Owner::namespace(random());
    let live = Family::ALL.map(Sample::new);
    let puts = live.each_ref().map(|it| it.put(Condition::Absent));
    rule.applies(&owner, &puts, Some(Mark(0))).await?;
    rule.stores(&namespace, &live.each_ref()).await?;
    let revoked = random_owner();
    let mark = rule.revoke(&revoked, &Family::ALL, LONG).await?;
    let (held, finished) = (
        random_lease(LeaseFamily::Event),
        random_lease(LeaseFamily::Job),
    );
    let (token, result) = (LeaseToken::random(), random::<8>().to_vec().into());
    rule.grants(&held, token, LONG).await?;
    rule.grants(&finished, token, SHORT).await?;
    rule.settles(&finished, token, done(&result), true).await?;

    let expired: Vec<_> = (0..10).map(|_| Sample::new(Family::Session)).collect();
    let stored: Vec<_> = expired.iter().collect();
    rule.stores_for(&owner, &stored, SHORT).await?;
    pass(AFTER_SHORT).await;
    for limit in [0, 1, 3] {
        let removed = rule.sweep(limit).await?;
        let found = format_args!("{removed} removed, with a limit of {limit}");
        rule.holds(removed <= limit, found)?;
    }
    sweep_all(rule).await?;

    rule.has(&owner, &live.each_ref()).await?;
    rule.has(&namespace, &live.each_ref()).await?;
    let fence = rule.fence(&owner).await?;
    rule.holds(fence == Some(Mark(0)), "another fence")?;
    let fence = rule.fence(&revoked).await?;
    rule.holds(fence == Some(mark), "another fence")?;
    rule.is_held(&held, LONG).await?;
    rule.is_done(&finished, &result).await
}

async fn sweep_all(rule: Rule<'_>) -> Result<(), Violation> {
    for _ in 0..SWEEPS {
        if rule.sweep(100).await? == 0 {
            break;
        }
    }
    Ok(())
}
