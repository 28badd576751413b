//! Rules about leases that do not expire during the check.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Violation,
    rule::{
        LONG, Rule, Sample, done, done_for, lease_in, random, random_lease, random_owner,
        show_acquired,
    },
};
use crate::store::{
    Acquired, Condition, Family, LeaseFamily, LeaseKey, LeaseToken, Settlement, Store,
};

pub(super) async fn check(store: &dyn Store) -> Result<(), Violation> {
    granted_and_held(store).await?;
    granted_again(store).await?;
    unknown_leases(store).await?;
    completed(store).await?;
    results(store).await?;
    completion_is_final(store).await?;
    other_tokens(store).await?;
    released(store).await?;
    extended(store).await?;
    marks(store).await?;
    apart(store).await?;
    longest_durations(store).await
}

async fn granted_and_held(store: &dyn Store) -> Result<(), Violation> {
    let text =
        "a lease is granted to one token, and other tokens receive Held with the remaining time";
    let rule = Rule::new(store, text);
    for family in [LeaseFamily::Login, LeaseFamily::Event, LeaseFamily::Job] {
        let key = random_lease(family);
        rule.grants(&key, LeaseToken::random(), LONG).await?;
        rule.is_held(&key, LONG).await?;
        rule.is_held(&key, LONG).await?;
    }
    Ok(())
}

async fn granted_again(store: &dyn Store) -> Result<(), Violation> {
    let text = "a lease is granted again to the same token";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Login));
    let token = LeaseToken::random();
    for _ in 0..3 {
        rule.grants(&key, token, LONG).await?;
        rule.is_held(&key, LONG).await?;
    }
    rule.settles(&key, token, Settlement::Release, true).await
}

async fn released(store: &dyn Store) -> Result<(), Violation> {
    let text = "a released lease is free";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Event));
    let (first, second) = (LeaseToken::random(), LeaseToken::random());
    rule.grants(&key, first, LONG).await?;
    rule.settles(&key, first, Settlement::Release, true).await?;
    let release = Settlement::Release;
    rule.settles(&key, first, release.clone(), false).await?;
    let result = Bytes::from_static(b"late");
    rule.settles(&key, first, done(&result), false).await?;
    rule.grants(&key, second, LONG).await?;
    rule.settles(&key, first, release.clone(), false).await?;
    rule.is_held(&key, LONG).await?;
    rule.settles(&key, second, release, true).await?;
    rule.grants(&key, first, LONG).await?;
    rule.is_held(&key, LONG).await
}

/// Settlements that the store must reject from a token without the lease.
fn settlements() -> [Settlement; 3] {
    [
        Settlement::Release,
        done(&Bytes::from_static(b"other")),
        Settlement::Extend(Duration::ZERO),
    ]
}

async fn other_tokens(store: &dyn Store) -> Result<(), Violation> {
    let text = "a token that does not hold the lease cannot settle it";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Event));
    let (holder, other) = (LeaseToken::random(), LeaseToken::random());
    let result = Bytes::from_static(b"holder");
    rule.grants(&key, holder, LONG).await?;
    for settlement in settlements() {
        rule.settles(&key, other, settlement, false).await?;
        rule.is_held(&key, LONG).await?;
    }
    rule.settles(&key, holder, done(&result), true).await?;
    for settlement in settlements() {
        rule.settles(&key, other, settlement, false).await?;
        rule.is_done(&key, &result).await?;
    }
    Ok(())
}

async fn unknown_leases(store: &dyn Store) -> Result<(), Violation> {
    let text = "a lease that was never granted cannot be settled";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Job));
    for settlement in settlements() {
        let token = LeaseToken::random();
        rule.settles(&key, token, settlement, false).await?;
    }
    rule.grants(&key, LeaseToken::random(), LONG).await?;
    Ok(())
}

async fn completed(store: &dyn Store) -> Result<(), Violation> {
    let text = "every token receives Done with the result of completed work";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Event));
    let (token, result) = (LeaseToken::random(), Bytes::from_static(b"result"));
    rule.grants(&key, token, LONG).await?;
    rule.settles(&key, token, done(&result), true).await?;
    rule.is_done(&key, &result).await?;
    let found = rule.acquire(&key, token, LONG).await?;
    let own = matches!(&found, Acquired::Done(it) if *it == result);
    rule.holds(own, show_acquired(&found))?;
    rule.is_done(&key, &result).await
}

async fn results(store: &dyn Store) -> Result<(), Violation> {
    let text = "a result is stored byte for byte";
    let rule = Rule::new(store, text);
    let large: Vec<_> = (0..256).flat_map(|_| random::<256>()).collect();
    for result in [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"\xff\0\xfe\r\n "),
        (0..=u8::MAX).collect(),
        Bytes::from(large),
    ] {
        let (key, token) = (random_lease(LeaseFamily::Job), LeaseToken::random());
        rule.grants(&key, token, LONG).await?;
        rule.settles(&key, token, done(&result), true).await?;
        rule.is_done(&key, &result).await?;
    }
    Ok(())
}

async fn completion_is_final(store: &dyn Store) -> Result<(), Violation> {
    let text = "the holder can repeat a completion but not undo it";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Event));
    let (token, result) = (LeaseToken::random(), Bytes::from_static(b"result"));
    rule.grants(&key, token, LONG).await?;
    for _ in 0..3 {
        rule.settles(&key, token, done(&result), true).await?;
        rule.is_done(&key, &result).await?;
    }
    for settlement in [Settlement::Release, Settlement::Extend(LONG)] {
        rule.settles(&key, token, settlement, false).await?;
        rule.is_done(&key, &result).await?;
    }
    Ok(())
}

async fn extended(store: &dyn Store) -> Result<(), Violation> {
    let text = "an extended lease ends the new length from now";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Job));
    let (token, longer) = (LeaseToken::random(), LONG.saturating_mul(3));
    rule.grants(&key, token, LONG).await?;
    rule.settles(&key, token, Settlement::Extend(longer), true)
        .await?;
    let found = rule.acquire(&key, LeaseToken::random(), LONG).await?;
    let is_longer = matches!(found, Acquired::Held(left) if left > LONG && left <= longer);
    rule.holds(is_longer, show_acquired(&found))?;
    rule.settles(&key, token, Settlement::Extend(LONG), true)
        .await?;
    rule.is_held(&key, LONG).await?;
    rule.settles(&key, token, Settlement::Release, true).await
}

async fn marks(store: &dyn Store) -> Result<(), Violation> {
    let text = "a lease that is granted again has the current mark or an earlier mark";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let mut key = random_lease(LeaseFamily::Login);
    key.namespace = owner.namespace;
    let token = LeaseToken::random();
    let first = rule.grants(&key, token, LONG).await?;
    let revoked = rule.revoke(&owner, &[Family::Session], LONG).await?;
    let second = rule.grants(&key, token, LONG).await?;
    // The mark is the value of the revocation counter. Other callers may raise the counter during
    // the check, so the mark may be higher than `revoked`.
    let later = rule.revoke(&owner, &[Family::Session], LONG).await?;
    let is_in_order = first <= second && second < later && revoked < later;
    rule.holds(is_in_order, "a mark that is not in order")
}

async fn longest_durations(store: &dyn Store) -> Result<(), Violation> {
    let text = "maximum durations do not overflow";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (key, token) = (random_lease(LeaseFamily::Event), LeaseToken::random());
    let result = Bytes::from_static(b"result");
    for duration in [
        Duration::MAX,
        Duration::from_millis(u64::MAX),
        Duration::from_millis(i64::MAX.unsigned_abs()),
        Duration::from_secs(u64::from(u32::MAX)),
    ] {
        rule.grants(&key, token, duration).await?;
        rule.is_held(&key, Duration::MAX).await?;
        let extend = Settlement::Extend(duration);
        rule.settles(&key, token, extend, true).await?;
        rule.is_held(&key, Duration::MAX).await?;
        let done = done_for(&result, duration);
        let other = random_lease(LeaseFamily::Event);
        rule.grants(&other, token, duration).await?;
        rule.settles(&other, token, done, true).await?;
        rule.is_done(&other, &result).await?;

        let sample = Sample::new(Family::Session);
        let writes = [sample.put_for(Condition::Absent, duration)];
        let mark = rule.revoke(&owner, &[Family::Session], duration).await?;
        rule.applies(&owner, &writes, Some(mark)).await?;
        let snapshot = rule.read(&owner, &[sample.key]).await?;
        rule.are(&snapshot, &[Some(&sample)])?;
        rule.holds(snapshot.fence == Some(mark), "another fence")?;
        let listed = rule.list(&owner, Family::Session, None, 9).await?;
        rule.holds(listed.len() == 1, "the list contains no record")?;
    }
    Ok(())
}

async fn apart(store: &dyn Store) -> Result<(), Violation> {
    let text = "leases of different namespaces, families and ids are separate";
    let rule = Rule::new(store, text);
    let key = lease_in(random(), LeaseFamily::Login);
    let others = [
        LeaseKey {
            namespace: random(),
            ..key
        },
        LeaseKey {
            family: LeaseFamily::Event,
            ..key
        },
        LeaseKey {
            family: LeaseFamily::Job,
            ..key
        },
        LeaseKey {
            id: random(),
            ..key
        },
        LeaseKey {
            namespace: key.id,
            id: key.namespace,
            ..key
        },
    ];
    let token = LeaseToken::random();
    rule.grants(&key, token, LONG).await?;
    let result = random::<8>().to_vec().into();
    for other in &others {
        rule.settles(other, token, Settlement::Release, false)
            .await?;
        rule.grants(other, LeaseToken::random(), LONG).await?;
    }
    rule.settles(&key, token, done(&result), true).await?;
    for other in &others {
        rule.is_held(other, LONG).await?;
    }
    rule.is_done(&key, &result).await
}
