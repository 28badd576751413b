//! Rules about many simultaneous callers of one record or lease.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{
    Violation,
    rule::{
        LONG, Rule, Sample, delete, done, keep, random, random_lease, random_owner, show_acquired,
        show_written, violation,
    },
};
use crate::store::{
    Acquired, Condition, Family, LeaseFamily, LeaseKey, LeaseToken, Owner, RevocationMark,
    Settlement, Store, StoreFuture, Write, Written,
};

/// Number of simultaneous callers of one lease.
const CROWD: usize = 64;
/// Number of simultaneous callers of one record.
const WRITERS: usize = 16;
/// Number of times to check a rule with two concurrent writers.
const MEETINGS: usize = 15;

/// Future of one operation of a rule.
pub(super) type Job<T> = Box<dyn FnOnce(&dyn Store) -> StoreFuture<'_, T> + Send>;

/// Simultaneous callers of a store.
pub(super) enum Callers<'a> {
    /// The future of the suite polls all operations, on one thread.
    Joined(&'a dyn Store),
    /// Each operation runs in a separate task, possibly on several threads.
    Spawned(Arc<dyn Store>),
}

impl Callers<'_> {
    pub(super) fn rule(&self, text: &'static str) -> Rule<'_> {
        match self {
            Self::Joined(store) => Rule::new(*store, text),
            Self::Spawned(store) => Rule::new(&**store, text),
        }
    }

    /// Runs operations simultaneously, and returns their results in the order of the jobs.
    pub(super) async fn all<T: Send + 'static>(
        &self,
        text: &'static str,
        jobs: impl IntoIterator<Item = Job<T>>,
    ) -> Result<Vec<T>, Violation> {
        let results = match self {
            Self::Joined(store) => try_join_all(jobs.into_iter().map(|job| job(*store))).await,
            Self::Spawned(store) => {
                let tasks = jobs.into_iter().map(|job| {
                    let store = Arc::clone(store);
                    tokio::spawn(async move { job(&*store).await })
                });
                // Spawns all tasks before the first is awaited.
                let tasks: Vec<_> = tasks.collect();
                let ended = try_join_all(tasks).await;
                let ended = ended.map_err(|_| violation(text, "an operation panicked"))?;
                ended.into_iter().collect()
            }
        };
        results.map_err(|error| violation(text, error))
    }
}

/// Creates an operation from a write.
pub(super) fn write(
    owner: Owner,
    writes: Vec<Write>,
    mark: Option<RevocationMark>,
) -> Job<Written> {
    Box::new(move |store| Box::pin(async move { store.write(&owner, &writes, mark).await }))
}

fn acquire(key: LeaseKey, token: LeaseToken) -> Job<Acquired> {
    Box::new(move |store| Box::pin(async move { store.acquire(&key, token, LONG).await }))
}

pub(super) async fn check(callers: &Callers<'_>) -> Result<(), Violation> {
    one_is_granted(callers).await?;
    one_after_the_end(callers).await?;
    the_same_token(callers).await?;
    done_for_all(callers).await?;
    one_replaces(callers).await?;
    one_creates(callers).await?;
    one_deletes(callers).await?;
    every_mark_is_different(callers).await?;
    crossed_conditions(callers).await?;
    crossed_order(callers).await
}

async fn one_is_granted(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "exactly one of many simultaneous callers is granted the lease";
    for family in [LeaseFamily::Login, LeaseFamily::Event, LeaseFamily::Job] {
        let key = random_lease(family);
        let tokens: Vec<_> = (0..CROWD).map(|_| LeaseToken::random()).collect();
        let jobs = tokens.iter().map(|token| acquire(key, *token));
        let results = callers.all(text, jobs).await?;
        one_of(callers.rule(text), &key, &tokens, &results).await?;
    }
    Ok(())
}

async fn one_after_the_end(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "exactly one of many simultaneous callers is granted an expired lease";
    let (rule, key) = (callers.rule(text), random_lease(LeaseFamily::Event));
    for _ in 0..3 {
        let token = LeaseToken::random();
        rule.grants(&key, token, Duration::ZERO).await?;
        let tokens: Vec<_> = (0..CROWD).map(|_| LeaseToken::random()).collect();
        let jobs = tokens.iter().map(|token| acquire(key, *token));
        let results = callers.all(text, jobs).await?;
        let winner = one_of(rule, &key, &tokens, &results).await?;
        let end = Settlement::Extend(Duration::ZERO);
        rule.settles(&key, winner, end, true).await?;
    }
    Ok(())
}

/// Requires that exactly one token was granted the lease, and that the other tokens received
/// `Held`.
async fn one_of(
    rule: Rule<'_>,
    key: &LeaseKey,
    tokens: &[LeaseToken],
    results: &[Acquired],
) -> Result<LeaseToken, Violation> {
    let mut granted = Vec::new();
    for (token, result) in tokens.iter().zip(results) {
        match result {
            Acquired::Granted { .. } => granted.push(*token),
            Acquired::Held(left) if !left.is_zero() && *left <= LONG => {}
            other => return Err(rule.violation(show_acquired(other))),
        }
    }
    let &[winner] = &granted[..] else {
        return Err(rule.violation(format_args!("{} granted", granted.len())));
    };
    // The store must accept settlements from the caller to which it granted the lease.
    let extend = Settlement::Extend(LONG);
    rule.settles(key, winner, extend, true).await?;
    rule.is_held(key, LONG).await?;
    Ok(winner)
}

async fn the_same_token(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "simultaneous calls with one token are all granted the lease";
    let (key, token) = (random_lease(LeaseFamily::Login), LeaseToken::random());
    let jobs = (0..WRITERS).map(|_| acquire(key, token));
    for result in callers.all(text, jobs).await? {
        let granted = matches!(result, Acquired::Granted { .. });
        callers.rule(text).holds(granted, show_acquired(&result))?;
    }
    callers.rule(text).is_held(&key, LONG).await
}

async fn done_for_all(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "every simultaneous caller of completed work receives Done";
    let (rule, key) = (callers.rule(text), random_lease(LeaseFamily::Event));
    let (token, result) = (LeaseToken::random(), Bytes::from_static(b"result"));
    rule.grants(&key, token, LONG).await?;
    rule.settles(&key, token, done(&result), true).await?;
    let jobs = (0..CROWD).map(|_| acquire(key, LeaseToken::random()));
    for found in callers.all(text, jobs).await? {
        let fits = matches!(&found, Acquired::Done(it) if *it == result);
        rule.holds(fits, show_acquired(&found))?;
    }
    Ok(())
}

async fn one_replaces(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "exactly one of many simultaneous writers replaces a version";
    let (rule, owner) = (callers.rule(text), random_owner());
    let mut current = Sample::new(Family::Assurance);
    rule.stores(&owner, &[&current]).await?;
    for _ in 0..MEETINGS {
        let condition = Condition::Version(current.version);
        current = one_writes(callers, text, &owner, &current, condition).await?;
    }
    Ok(())
}

async fn one_creates(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "exactly one of many simultaneous creators of a record succeeds";
    let mut owner = random_owner();
    for _ in 0..MEETINGS {
        owner.id = random();
        let key = Sample::new(Family::RefreshLease);
        let _ = one_writes(callers, text, &owner, &key, Condition::Absent).await?;
    }
    Ok(())
}

/// Runs many writers of one record. Requires that one write was applied and that all other writes
/// conflicted. Returns the applied write.
async fn one_writes(
    callers: &Callers<'_>,
    text: &'static str,
    owner: &Owner,
    at: &Sample,
    condition: Condition,
) -> Result<Sample, Violation> {
    let rule = callers.rule(text);
    let samples: Vec<_> = (0..WRITERS).map(|_| Sample::at(at.key)).collect();
    let jobs = samples
        .iter()
        .map(|it| write(*owner, vec![it.put(condition)], None));
    let results = callers.all(text, jobs).await?;
    let mut applied = Vec::new();
    for (sample, result) in samples.iter().zip(&results) {
        if *result == Written::Applied {
            applied.push(sample);
        }
    }
    let &[winner] = &applied[..] else {
        return Err(rule.violation(format_args!("{} applied", applied.len())));
    };
    for result in &results {
        match result {
            Written::Applied => {}
            Written::Conflict(snapshot) => rule.are(snapshot, &[Some(winner)])?,
            Written::Fenced => return Err(rule.violation(show_written(result))),
        }
    }
    rule.has(owner, &[winner]).await?;
    Ok(winner.clone())
}

async fn one_deletes(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "exactly one of many simultaneous deletions of a record is applied";
    let (rule, owner) = (callers.rule(text), random_owner());
    for _ in 0..MEETINGS {
        let sample = Sample::new(Family::Session);
        rule.stores(&owner, &[&sample]).await?;
        let jobs = (0..WRITERS).map(|_| {
            let writes = vec![delete(sample.key, Condition::Present)];
            write(owner, writes, None)
        });
        let results = callers.all(text, jobs).await?;
        let applied = results.iter().filter(|it| **it == Written::Applied);
        let applied = applied.count();
        rule.holds(applied == 1, format_args!("{applied} applied"))?;
        rule.lacks(&owner, &[sample.key]).await?;
    }
    Ok(())
}

async fn every_mark_is_different(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "simultaneous revocations have different marks";
    let namespace = random();
    let owners: Vec<_> = (0..WRITERS)
        .map(|_| Owner {
            namespace,
            id: random(),
        })
        .collect();
    let jobs = owners.iter().map(|owner| -> Job<RevocationMark> {
        let owner = *owner;
        let families = [Family::Session];
        Box::new(move |store| Box::pin(async move { store.revoke(&owner, &families, LONG).await }))
    });
    let marks = callers.all(text, jobs).await?;
    let distinct = marks.iter().collect::<BTreeSet<_>>().len();
    let rule = callers.rule(text);
    rule.holds(distinct == WRITERS, format_args!("{distinct} marks"))?;
    for (owner, mark) in owners.iter().zip(&marks) {
        let fence = rule.fence(owner).await?;
        rule.holds(fence == Some(*mark), "another fence")?;
    }
    Ok(())
}

/// Each of two writers requires a record that the other writer deletes. A store that does not lock
/// the record of a [`Change::Keep`](crate::store::Change::Keep) wrongly applies both writes.
async fn crossed_conditions(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "exactly one of two parallel writes is applied if each deletes a record that the other requires";
    let (rule, owner) = (callers.rule(text), random_owner());
    for _ in 0..MEETINGS {
        let (a, b) = (Sample::new(Family::Session), Sample::new(Family::Tokens));
        rule.stores(&owner, &[&a, &b]).await?;
        let crossed = |kept: &Sample, deleted: &Sample| {
            let writes = vec![
                keep(kept.key, Condition::Present),
                delete(deleted.key, Condition::Present),
            ];
            write(owner, writes, None)
        };
        let results = callers
            .all(text, [crossed(&a, &b), crossed(&b, &a)])
            .await?;
        let applied = results.iter().filter(|it| **it == Written::Applied);
        let applied = applied.count();
        rule.holds(applied == 1, format_args!("{applied} applied"))?;
    }
    Ok(())
}

/// Several writers write some shared records in different orders. In a store that locks records in
/// the order of the writes, these writers deadlock.
async fn crossed_order(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "simultaneous writes of the same records in different orders do not deadlock";
    let (rule, owner) = (callers.rule(text), random_owner());
    let keys: Vec<_> = (0..6).map(|_| Sample::new(Family::Session).key).collect();
    for _ in 0..MEETINGS {
        let batches: Vec<Vec<_>> = (0..8)
            .map(|turn| {
                let mut keys = keys.clone();
                keys.rotate_left(turn % 6);
                keys.into_iter().map(Sample::at).collect()
            })
            .collect();
        let jobs = batches.iter().map(|batch| {
            let writes = batch.iter().map(|it| it.put(Condition::Any)).collect();
            write(owner, writes, None)
        });
        for written in callers.all(text, jobs).await? {
            rule.holds(written == Written::Applied, show_written(&written))?;
        }
        // All records must come from one writer.
        let snapshot = rule.read(&owner, &keys).await?;
        let is_whole = |batch: &Vec<Sample>| {
            batch.iter().all(|sample| {
                let stored = snapshot.entries.iter().flatten();
                stored.clone().any(|it| it.version == sample.version)
            })
        };
        rule.holds(
            batches.iter().any(is_whole),
            "a mix of records of several writes",
        )?;
    }
    Ok(())
}
