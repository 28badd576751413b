//! Rules about listing the records of a family.

use super::{
    Violation,
    rule::{LONG, Rule, Sample, delete, random, random_owner},
};
use crate::store::{Condition, Entry, Family, Owner, RecordId, RecordKey, Store};

const RECORDS: usize = 25;

pub(super) async fn check(store: &dyn Store) -> Result<(), Violation> {
    pages(store).await?;
    unknown_positions(store).await?;
    only_its_own(store).await?;
    changes(store).await
}

async fn pages(store: &dyn Store) -> Result<(), Violation> {
    let text = "a list is complete and ordered by id, page by page";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let mut samples = samples();
    for sample in &samples {
        rule.stores(&owner, &[sample]).await?;
    }
    samples.sort_by_key(|it| it.key.id);
    for limit in [1, 7, RECORDS.saturating_sub(1), RECORDS, 100, usize::MAX] {
        let mut listed = Vec::new();
        // Read one page more than needed, because the last page may be empty.
        for _ in 0..=RECORDS {
            let after = listed.last().map(|(id, _): &(RecordId, Entry)| *id);
            let page = rule.list(&owner, Family::Session, after, limit).await?;
            let count = page.len();
            rule.holds(count <= limit, format_args!("{count} of {limit}"))?;
            listed.extend(page);
            if count < limit {
                break;
            }
        }
        matches(rule, &listed, &samples.iter().collect::<Vec<_>>())?;
    }
    Ok(())
}

async fn unknown_positions(store: &dyn Store) -> Result<(), Violation> {
    let text = "a list starts after an id even if no record has that id";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let id = |first: u8| RecordId([first; 16]);
    let samples = [2, 4, 0x80].map(|it| Sample::at(RecordKey::new(Family::Session, id(it))));
    rule.stores(&owner, &samples.each_ref()).await?;
    for (after, skipped) in [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 1),
        (4, 2),
        (0x7f, 2),
        (0x80, 3),
        (0xff, 3),
    ] {
        let after = Some(id(after));
        let listed = rule.list(&owner, Family::Session, after, 9).await?;
        let expected: Vec<_> = samples.iter().skip(skipped).collect();
        matches(rule, &listed, &expected)?;
    }
    Ok(())
}

async fn only_its_own(store: &dyn Store) -> Result<(), Violation> {
    let text = "a list contains only records of the given owner and family";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let sample = Sample::new(Family::Session);
    let others = [
        Owner {
            id: random(),
            ..owner
        },
        Owner {
            namespace: random(),
            ..owner
        },
    ];
    rule.stores(&owner, &[&sample]).await?;
    for family in Family::ALL {
        if family != Family::Session {
            rule.stores(&owner, &[&Sample::new(family)]).await?;
        }
    }
    for other in &others {
        let listed = rule.list(other, Family::Session, None, 9).await?;
        matches(rule, &listed, &[])?;
        rule.stores(other, &[&Sample::new(Family::Session)]).await?;
    }
    let listed = rule.list(&owner, Family::Session, None, 9).await?;
    matches(rule, &listed, &[&sample])
}

async fn changes(store: &dyn Store) -> Result<(), Violation> {
    let text = "a list reflects every earlier change";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let mut samples = samples();
    let stored: Vec<_> = samples.iter().collect();
    rule.stores(&owner, &stored).await?;
    samples.sort_by_key(|it| it.key.id);
    let mut expected = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        if index.is_multiple_of(3) {
            let writes = [delete(sample.key, Condition::Any)];
            rule.applies(&owner, &writes, None).await?;
        } else {
            let next = Sample::at(sample.key);
            let writes = [next.put_for(Condition::Present, LONG)];
            rule.applies(&owner, &writes, None).await?;
            expected.push(next);
        }
    }
    let listed = rule.list(&owner, Family::Session, None, 100).await?;
    matches(rule, &listed, &expected.iter().collect::<Vec<_>>())?;
    let _ = rule.revoke(&owner, &[Family::Session], LONG).await?;
    let listed = rule.list(&owner, Family::Session, None, 100).await?;
    matches(rule, &listed, &[])
}

/// Creates samples with random ids, and with ids that detect a wrong order or a wrong end of the
/// list.
fn samples() -> Vec<Sample> {
    let special = [[0; 16], [0x7f; 16], [0x80; 16], [0xff; 16]];
    let ids = special.into_iter().chain(std::iter::repeat_with(random));
    ids.take(RECORDS)
        .map(|id| Sample::at(RecordKey::new(Family::Session, RecordId(id))))
        .collect()
}

pub(super) fn matches(
    rule: Rule<'_>,
    listed: &[(RecordId, Entry)],
    samples: &[&Sample],
) -> Result<(), Violation> {
    let (count, expected) = (listed.len(), samples.len());
    let found = format_args!("{count} records of {expected}");
    rule.holds(count == expected, found)?;
    for ((id, entry), sample) in listed.iter().zip(samples) {
        rule.holds(*id == sample.key.id, "another id")?;
        rule.is(Some(entry), Some(sample))?;
    }
    Ok(())
}
