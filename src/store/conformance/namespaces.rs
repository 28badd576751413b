//! Rules about the separation of owners and namespaces.

use super::{
    Violation,
    rule::{LONG, Rule, Sample, delete, random, random_owner},
};
use crate::store::{Condition, Family, Owner, RevocationMark, Store};

pub(super) async fn check(store: &dyn Store) -> Result<(), Violation> {
    owners(store).await?;
    namespaces(store).await?;
    the_namespace_itself(store).await
}

async fn owners(store: &dyn Store) -> Result<(), Violation> {
    let text = "an owner does not see the records and the fence of another owner";
    let rule = Rule::new(store, text);
    let owner = random_owner();
    let other = Owner {
        id: random(),
        ..owner
    };
    apart(rule, &owner, &other).await
}

async fn namespaces(store: &dyn Store) -> Result<(), Violation> {
    let text = "a namespace does not see the records and the fence of another namespace";
    let rule = Rule::new(store, text);
    let owner = random_owner();
    let other = Owner {
        namespace: random(),
        ..owner
    };
    apart(rule, &owner, &other).await?;
    let swapped = Owner {
        namespace: owner.id,
        id: owner.namespace,
    };
    apart(rule, &random_owner(), &swapped).await?;
    // These keys collide if an engine concatenates their parts without separators.
    let mut shifted = owner;
    shifted.namespace.rotate_left(1);
    shifted.id.rotate_left(1);
    apart(rule, &random_owner(), &shifted).await
}

async fn the_namespace_itself(store: &dyn Store) -> Result<(), Violation> {
    let text = "a namespace's own records are separate from the records of its owners";
    let rule = Rule::new(store, text);
    let owner = random_owner();
    apart(rule, &owner, &Owner::namespace(owner.namespace)).await?;
    let owner = random_owner();
    apart(rule, &Owner::namespace(owner.namespace), &owner).await
}

/// Requires that two owners with equal record keys do not see each other's records.
async fn apart(rule: Rule<'_>, first: &Owner, second: &Owner) -> Result<(), Violation> {
    let theirs = Family::ALL.map(Sample::new);
    let keys = theirs.each_ref().map(|it| it.key);
    let puts = theirs.each_ref().map(|it| it.put(Condition::Absent));
    rule.applies(first, &puts, Some(RevocationMark(0))).await?;
    rule.lacks(second, &keys).await?;
    let fence = rule.fence(second).await?;
    rule.holds(fence.is_none(), "another owner's fence")?;

    let deletes = keys.map(|key| delete(key, Condition::Any));
    rule.applies(second, &deletes, None).await?;
    rule.has(first, &theirs.each_ref()).await?;

    let own = keys.map(Sample::at);
    let foreign = [own[0].put(Condition::Version(theirs[0].version))];
    let found = rule.conflicts(second, &foreign, None).await?;
    rule.are(&found, &[None])?;
    let puts = own.each_ref().map(|it| it.put(Condition::Absent));
    rule.applies(second, &puts, None).await?;
    rule.has(second, &own.each_ref()).await?;
    rule.has(first, &theirs.each_ref()).await?;

    let _ = rule.revoke(second, &Family::ALL, LONG).await?;
    rule.lacks(second, &keys).await?;
    rule.has(first, &theirs.each_ref()).await?;
    let fence = rule.fence(first).await?;
    rule.holds(fence == Some(RevocationMark(0)), "another owner's fence")
}
