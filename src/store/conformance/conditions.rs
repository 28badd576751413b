//! Rules about conditions and conflicts.

use super::{
    Violation,
    rule::{LONG, Rule, Sample, delete, keep, random_owner},
};
use crate::store::{Change, Condition, Family, Owner, RevocationMark, Store, Write};

pub(super) async fn check(store: &dyn Store) -> Result<(), Violation> {
    any(store).await?;
    absent(store).await?;
    present(store).await?;
    version(store).await?;
    keep_changes_nothing(store).await?;
    entries_of_a_conflict(store).await?;
    all_or_nothing(store).await?;
    fence_of_a_conflict(store).await?;
    repeated_writes(store).await
}

/// State of a key before a write.
#[derive(Clone, Copy)]
enum State {
    Absent,
    Named,
    Other,
}

/// Creates a condition for a version.
type Make = fn(u64) -> Condition;

async fn any(store: &dyn Store) -> Result<(), Violation> {
    let rule = Rule::new(store, "Any always holds");
    for state in [State::Absent, State::Named, State::Other] {
        every_change(rule, |_| Condition::Any, state, true).await?;
    }
    Ok(())
}

async fn absent(store: &dyn Store) -> Result<(), Violation> {
    let rule = Rule::new(store, "Absent holds if and only if there is no live record");
    every_change(rule, |_| Condition::Absent, State::Absent, true).await?;
    every_change(rule, |_| Condition::Absent, State::Named, false).await
}

async fn present(store: &dyn Store) -> Result<(), Violation> {
    let rule = Rule::new(store, "Present holds if and only if there is a live record");
    every_change(rule, |_| Condition::Present, State::Absent, false).await?;
    every_change(rule, |_| Condition::Present, State::Named, true).await
}

async fn version(store: &dyn Store) -> Result<(), Violation> {
    let text = "Version holds if and only if there is a live record of this version";
    let rule = Rule::new(store, text);
    every_change(rule, Condition::Version, State::Absent, false).await?;
    every_change(rule, Condition::Version, State::Other, false).await?;
    every_change(rule, Condition::Version, State::Named, true).await?;
    // Above 2^53 a float is not exact, and from 2^63 on a signed integer is negative.
    for version in [0, (1 << 53) | 1, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let owner = random_owner();
        let mut sample = Sample::new(Family::Session);
        sample.version = version;
        rule.stores(&owner, &[&sample]).await?;
        let next = Sample::at(sample.key);
        for near in [version ^ 1, version ^ (1 << 63), version >> 1] {
            if near != version {
                let writes = [next.put(Condition::Version(near))];
                let found = rule.conflicts(&owner, &writes, None).await?;
                rule.are(&found, &[Some(&sample)])?;
            }
        }
        let writes = [next.put(Condition::Version(version))];
        rule.applies(&owner, &writes, None).await?;
        rule.has(&owner, &[&next]).await?;
    }
    Ok(())
}

async fn every_change(
    rule: Rule<'_>,
    make: Make,
    state: State,
    applies: bool,
) -> Result<(), Violation> {
    for change in 0..3 {
        let owner = random_owner();
        let before = Sample::new(Family::Assurance);
        let present = match state {
            State::Absent => None,
            State::Named | State::Other => Some(&before),
        };
        if let Some(before) = present {
            rule.stores(&owner, &[before]).await?;
        }
        let condition = make(match state {
            State::Absent | State::Named => before.version,
            State::Other => before.version.wrapping_add(1),
        });
        let next = Sample::at(before.key);
        let (write, after) = match change {
            0 => (next.put(condition), Some(&next)),
            1 => (delete(before.key, condition), None),
            _ => (keep(before.key, condition), present),
        };
        let writes = [write];
        if applies {
            rule.applies(&owner, &writes, None).await?;
        } else {
            let found = rule.conflicts(&owner, &writes, None).await?;
            rule.are(&found, &[present])?;
        }
        let after = if applies { after } else { present };
        rule.are(&rule.read(&owner, &[before.key]).await?, &[after])?;
    }
    Ok(())
}

async fn keep_changes_nothing(store: &dyn Store) -> Result<(), Violation> {
    let rule = Rule::new(store, "Keep changes nothing");
    let owner = random_owner();
    let (kept, absent) = (Sample::new(Family::Session), Sample::new(Family::Session));
    let other = Sample::new(Family::Tokens);
    rule.stores(&owner, &[&kept]).await?;
    let writes = [
        keep(kept.key, Condition::Version(kept.version)),
        keep(absent.key, Condition::Absent),
        other.put(Condition::Absent),
    ];
    rule.applies(&owner, &writes, None).await?;
    rule.has(&owner, &[&kept, &other]).await?;
    rule.lacks(&owner, &[absent.key]).await
}

/// Applies three writes as one batch, in three rounds. In each round, the condition of a different
/// write fails.
async fn all_or_nothing(store: &dyn Store) -> Result<(), Violation> {
    let text = "a write has no effect if one of its conditions does not hold";
    let rule = Rule::new(store, text);
    for failing in 0..3 {
        for change in [Change::Keep, Change::Delete] {
            one_condition_fails(rule, failing, &change).await?;
        }
    }
    Ok(())
}

async fn one_condition_fails(
    rule: Rule<'_>,
    failing: usize,
    change: &Change,
) -> Result<(), Violation> {
    let owner = random_owner();
    let replaced = Sample::new(Family::Session);
    let deleted = Sample::new(Family::Tokens);
    let guard = Sample::new(Family::Activity);
    rule.stores(&owner, &[&replaced, &deleted, &guard]).await?;
    let created = Sample::new(Family::RefreshLease);
    let wrong = Condition::Version(guard.version.wrapping_add(1));
    let mut writes = vec![
        Sample::at(replaced.key).put(Condition::Version(replaced.version)),
        delete(deleted.key, Condition::Present),
        created.put(Condition::Absent),
    ];
    let check = Write {
        key: guard.key,
        condition: wrong,
        change: change.clone(),
    };
    writes.insert(failing, check);
    let found = rule.conflicts(&owner, &writes, None).await?;
    let mut expected = vec![Some(&replaced), Some(&deleted), None];
    expected.insert(failing, Some(&guard));
    rule.are(&found, &expected)?;
    unchanged(rule, &owner, &[&replaced, &deleted, &guard], &created).await
}

async fn unchanged(
    rule: Rule<'_>,
    owner: &Owner,
    present: &[&Sample],
    absent: &Sample,
) -> Result<(), Violation> {
    rule.has(owner, present).await?;
    rule.lacks(owner, &[absent.key]).await
}

async fn entries_of_a_conflict(store: &dyn Store) -> Result<(), Violation> {
    let text = "a conflict has one entry per write, in the order of the writes";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let samples = Family::ALL.map(Sample::new);
    let stored: Vec<_> = samples.iter().step_by(2).collect();
    rule.stores(&owner, &stored).await?;
    let mut expected: Vec<_> = samples
        .iter()
        .enumerate()
        .map(|(index, sample)| (sample.key, index.is_multiple_of(2).then_some(sample)))
        .collect();
    for _ in 0..2 {
        // Every condition except the last holds.
        let last = expected.len().saturating_sub(1);
        let writes: Vec<_> = expected
            .iter()
            .enumerate()
            .map(|(index, (key, entry))| {
                let holds = index != last;
                let condition = if entry.is_some() == holds {
                    Condition::Present
                } else {
                    Condition::Absent
                };
                keep(*key, condition)
            })
            .collect();
        let found = rule.conflicts(&owner, &writes, None).await?;
        let entries: Vec<_> = expected.iter().map(|(_, entry)| *entry).collect();
        rule.are(&found, &entries)?;
        expected.reverse();
    }
    Ok(())
}

async fn fence_of_a_conflict(store: &dyn Store) -> Result<(), Violation> {
    let text = "a conflict contains the owner's fence";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let sample = Sample::new(Family::Session);
    let writes = [sample.put(Condition::Present)];
    let found = rule.conflicts(&owner, &writes, None).await?;
    rule.holds(
        found.fence.is_none(),
        "a fence although no write stored a fence",
    )?;
    let mark = rule.revoke(&owner, &[], LONG).await?;
    let later = RevocationMark(mark.0.saturating_add(5));
    for admitted_at in [None, Some(later)] {
        let found = rule.conflicts(&owner, &writes, admitted_at).await?;
        rule.holds(found.fence == Some(mark), "another fence")?;
    }
    Ok(())
}

/// A caller that received no response repeats its write.
async fn repeated_writes(store: &dyn Store) -> Result<(), Violation> {
    let text = "a repeated write conflicts with its own version";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let first = Sample::new(Family::Session);
    let create = [first.put(Condition::Absent)];
    rule.applies(&owner, &create, None).await?;
    let found = rule.conflicts(&owner, &create, None).await?;
    rule.are(&found, &[Some(&first)])?;

    let second = Sample::at(first.key);
    let replace = [second.put(Condition::Version(first.version))];
    rule.applies(&owner, &replace, None).await?;
    let found = rule.conflicts(&owner, &replace, None).await?;
    rule.are(&found, &[Some(&second)])?;

    let overwrite = [second.put(Condition::Any)];
    rule.applies(&owner, &overwrite, None).await?;
    rule.has(&owner, &[&second]).await?;

    let remove = [delete(first.key, Condition::Version(second.version))];
    rule.applies(&owner, &remove, None).await?;
    let found = rule.conflicts(&owner, &remove, None).await?;
    rule.are(&found, &[None])
}
