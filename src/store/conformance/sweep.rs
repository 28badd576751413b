//! Rules about sweeps.

use super::{
    Violation,
    pacer::{Check, Pacer},
    rule::{AFTER_SHORT, LONG, Rule, SHORT, Sample, done, random, random_lease, random_owner},
};
use crate::store::{Condition, Family, LeaseFamily, LeaseToken, Owner, RevocationMark, Store};

/// Maximum number of sweeps per rule. One sweep may not suffice, because a shared store may contain
/// many expired records.
const SWEEPS: usize = 50;

pub(super) fn checks<'a>(store: &'a dyn Store, pacer: &'a Pacer) -> Vec<Check<'a>> {
    vec![Box::pin(limit(store, pacer))]
}

async fn limit(store: &dyn Store, pacer: &Pacer) -> Result<(), Violation> {
    let text = "a sweep removes no more records than its limit, and no live records";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let namespace = Owner::namespace(random());
    let live = Family::ALL.map(Sample::new);
    let puts = live.each_ref().map(|it| it.put(Condition::Absent));
    rule.applies(&owner, &puts, Some(RevocationMark(0))).await?;
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
    pacer.pass(AFTER_SHORT).await;
    for limit in [0, 1, 3] {
        let removed = rule.sweep(limit).await?;
        let found = format_args!("{removed} removed, with a limit of {limit}");
        rule.holds(removed <= limit, found)?;
    }
    sweep_all(rule).await?;

    rule.has(&owner, &live.each_ref()).await?;
    rule.has(&namespace, &live.each_ref()).await?;
    let fence = rule.fence(&owner).await?;
    rule.holds(fence == Some(RevocationMark(0)), "another fence")?;
    let fence = rule.fence(&revoked).await?;
    rule.holds(fence == Some(mark), "another fence")?;
    rule.is_held(&held, LONG).await?;
    rule.is_done(&finished, &result).await
}

/// Removes all expired records, within [`SWEEPS`] sweeps.
pub(super) async fn sweep_all(rule: Rule<'_>) -> Result<(), Violation> {
    for _ in 0..SWEEPS {
        if rule.sweep(100).await? == 0 {
            break;
        }
    }
    Ok(())
}
