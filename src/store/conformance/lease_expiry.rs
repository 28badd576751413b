//! Rules about expired leases.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Violation,
    pacer::{Check, Pacer},
    rule::{AFTER_MEDIUM, AFTER_SHORT, LONG, MEDIUM, Rule, SHORT, done, done_for, random_lease},
};
use crate::store::{LeaseFamily, LeaseToken, Settlement, Store};

const RESULT: Bytes = Bytes::from_static(b"result");

pub(super) fn checks<'a>(store: &'a dyn Store, pacer: &'a Pacer) -> Vec<Check<'a>> {
    vec![
        Box::pin(ended_is_free(store, pacer)),
        Box::pin(replaced_holder(store, pacer)),
        Box::pin(late_completion(store, pacer)),
        Box::pin(late_others(store, pacer)),
        Box::pin(no_length(store)),
    ]
}

/// Checks of rules that wait for a longer time.
pub(super) fn longer_checks<'a>(store: &'a dyn Store, pacer: &'a Pacer) -> Vec<Check<'a>> {
    vec![
        Box::pin(extension(store, pacer)),
        Box::pin(forgotten(store, pacer)),
    ]
}

async fn ended_is_free(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "an expired lease is free, and its next holder has the lease for the full length";
    let rule = Rule::new(store, text);
    let families = [LeaseFamily::Login, LeaseFamily::Event, LeaseFamily::Job];
    let leases = families.map(|family| (random_lease(family), LeaseToken::random()));
    for (key, token) in &leases {
        rule.grants(key, *token, SHORT).await?;
    }
    pacer.pass(AFTER_SHORT).await;
    for (key, _) in &leases {
        rule.grants(key, LeaseToken::random(), LONG).await?;
    }
    pacer.pass(AFTER_SHORT).await;
    let _ = rule.sweep(100).await?;
    for (key, _) in &leases {
        rule.is_held(key, LONG).await?;
    }
    // The first holder of an expired lease can also acquire it again.
    let (key, token) = (random_lease(LeaseFamily::Job), LeaseToken::random());
    rule.grants(&key, token, SHORT).await?;
    pacer.pass(AFTER_SHORT).await;
    rule.grants(&key, token, LONG).await?;
    rule.is_held(&key, LONG).await
}

async fn replaced_holder(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a holder that was replaced cannot settle the lease";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Event));
    let (first, second) = (LeaseToken::random(), LeaseToken::random());
    let settlements = || {
        [
            Settlement::Release,
            Settlement::Extend(Duration::ZERO),
            done(&Bytes::from_static(b"replaced")),
        ]
    };
    rule.grants(&key, first, SHORT).await?;
    pacer.pass(AFTER_SHORT).await;
    rule.grants(&key, second, LONG).await?;
    for settlement in settlements() {
        rule.settles(&key, first, settlement, false).await?;
        rule.is_held(&key, LONG).await?;
    }
    rule.settles(&key, second, done(&RESULT), true).await?;
    for settlement in settlements() {
        rule.settles(&key, first, settlement, false).await?;
        rule.is_done(&key, &RESULT).await?;
    }
    Ok(())
}

async fn late_completion(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a holder that was not replaced can complete the work after its lease has expired";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Event));
    let token = LeaseToken::random();
    rule.grants(&key, token, SHORT).await?;
    pacer.pass(AFTER_SHORT).await;
    let _ = rule.sweep(100).await?;
    rule.settles(&key, token, done(&RESULT), true).await?;
    rule.is_done(&key, &RESULT).await?;
    rule.settles(&key, token, done(&RESULT), true).await
}

async fn late_others(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a caller cannot release or extend an expired lease";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Job));
    let token = LeaseToken::random();
    rule.grants(&key, token, SHORT).await?;
    pacer.pass(AFTER_SHORT).await;
    for settlement in [Settlement::Release, Settlement::Extend(LONG)] {
        rule.settles(&key, token, settlement, false).await?;
    }
    rule.grants(&key, LeaseToken::random(), LONG).await?;
    Ok(())
}

async fn extension(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "an extension can move the end of a lease to a later or earlier time";
    let rule = Rule::new(store, text);
    let (longer, shorter) = (
        random_lease(LeaseFamily::Job),
        random_lease(LeaseFamily::Job),
    );
    let token = LeaseToken::random();
    rule.grants(&longer, token, MEDIUM).await?;
    rule.settles(&longer, token, Settlement::Extend(LONG), true)
        .await?;
    rule.grants(&shorter, token, LONG).await?;
    rule.settles(&shorter, token, Settlement::Extend(MEDIUM), true)
        .await?;
    rule.is_held(&shorter, MEDIUM).await?;
    pacer.pass(AFTER_MEDIUM).await;
    let _ = rule.sweep(100).await?;
    rule.is_held(&longer, LONG).await?;
    rule.grants(&shorter, LeaseToken::random(), LONG).await?;
    rule.settles(&longer, token, done(&RESULT), true).await?;
    rule.is_done(&longer, &RESULT).await
}

async fn forgotten(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "completed work is remembered for the given time, regardless of the lease";
    let rule = Rule::new(store, text);
    let (soon, later) = (
        random_lease(LeaseFamily::Event),
        random_lease(LeaseFamily::Event),
    );
    let token = LeaseToken::random();
    rule.grants(&soon, token, LONG).await?;
    rule.settles(&soon, token, done_for(&RESULT, SHORT), true)
        .await?;
    rule.grants(&later, token, MEDIUM).await?;
    rule.settles(&later, token, done(&RESULT), true).await?;
    pacer.pass(AFTER_MEDIUM).await;
    let _ = rule.sweep(100).await?;
    rule.is_done(&later, &RESULT).await?;
    rule.settles(&soon, token, done(&RESULT), false).await?;
    let next = LeaseToken::random();
    rule.grants(&soon, next, LONG).await?;
    rule.is_held(&soon, LONG).await?;
    rule.settles(&soon, token, done(&RESULT), false).await?;
    rule.settles(&soon, next, done(&RESULT), true).await
}

async fn no_length(store: &dyn Store) -> Result<(), Violation> {
    let text = "a lease of zero length is free";
    let (rule, key) = (Rule::new(store, text), random_lease(LeaseFamily::Job));
    rule.grants(&key, LeaseToken::random(), Duration::ZERO)
        .await?;
    let second = LeaseToken::random();
    rule.grants(&key, second, LONG).await?;
    let extend = Settlement::Extend(Duration::ZERO);
    rule.settles(&key, second, extend, true).await?;
    rule.grants(&key, LeaseToken::random(), LONG).await?;
    rule.is_held(&key, LONG).await
}
