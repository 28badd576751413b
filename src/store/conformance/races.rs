//! Rules about revocations that run concurrently with writes and reads of the owner.

use super::{
    Violation,
    crowd::{Callers, Job, write},
    pacer::Check,
    rule::{LONG, Rule, Sample, keep, lease_in, random, random_owner, show_fence, show_written},
};
use crate::store::{
    Acquired, Condition, Family, LeaseFamily, LeaseToken, Owner, RecordKey, RevocationMark,
    Snapshot, Store, StoreError, Written,
};

/// Number of rounds.
const ROUNDS: usize = 40;
/// Families that a revocation deletes.
const REVOKED: [Family; 3] = [Family::Session, Family::Activity, Family::Tokens];

pub(super) fn checks<'a>(callers: &'a Callers<'a>) -> Vec<Check<'a>> {
    vec![
        Box::pin(creations(callers)),
        Box::pin(sign_ins(callers)),
        Box::pin(reads(callers)),
        Box::pin(updates(callers)),
        Box::pin(guarded_writes(callers)),
        Box::pin(two_revocations(callers)),
    ]
}

/// Result of one of the concurrent operations.
enum Outcome {
    Written(Written),
    Revoked(RevocationMark),
    Read(Snapshot),
}

/// Moves the revocation to a different position in each round: first, last, or between.
fn arrange(jobs: Vec<Job<Outcome>>, owner: Owner, round: usize) -> Vec<Job<Outcome>> {
    let mut jobs = jobs;
    let positions = jobs.len().saturating_add(1);
    let position = round.checked_rem(positions).unwrap_or_default();
    jobs.insert(position, revoke(owner));
    jobs
}

fn revoke(owner: Owner) -> Job<Outcome> {
    Box::new(move |store| {
        Box::pin(async move {
            let mark = store.revoke(&owner, &REVOKED, LONG).await?;
            Ok(Outcome::Revoked(mark))
        })
    })
}

fn outcome_of(job: Job<Written>) -> Job<Outcome> {
    Box::new(move |store| {
        let written = job(store);
        Box::pin(async move { Ok(Outcome::Written(written.await?)) })
    })
}

fn read(owner: Owner, keys: Vec<RecordKey>) -> Job<Outcome> {
    Box::new(move |store| {
        Box::pin(async move { Ok(Outcome::Read(store.read(&owner, &keys).await?)) })
    })
}

/// Creates a session whose body contains its mark: the value of the revocation counter when the
/// login started.
fn session_of(mark: RevocationMark) -> Sample {
    let key = Sample::new(Family::Session).key;
    Sample::of(key, mark.0.to_be_bytes().to_vec().into())
}

fn mark_of(snapshot: &Snapshot) -> Option<RevocationMark> {
    let body = snapshot.entries.first()?.as_ref()?.body.as_ref();
    Some(RevocationMark(u64::from_be_bytes(body.try_into().ok()?)))
}

/// Logins acquire their lease before a revocation, and create their sessions during the revocation.
async fn creations(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "after a revocation, no session with an earlier mark exists";
    let (rule, mut owner) = (callers.rule(text), random_owner());
    for round in 0..ROUNDS {
        owner.id = random();
        let claim = lease_in(owner.namespace, LeaseFamily::Login);
        let mark = rule.grants(&claim, LeaseToken::random(), LONG).await?;
        let sessions: Vec<_> = (0..4).map(|_| session_of(mark)).collect();
        let creations = sessions.iter().map(|session| {
            let writes = vec![session.put(Condition::Absent)];
            outcome_of(write(owner, writes, Some(mark)))
        });
        let jobs = arrange(creations.collect(), owner, round);
        let mut revoked = None;
        for outcome in callers.all(text, jobs).await? {
            match outcome {
                Outcome::Revoked(mark) => revoked = Some(mark),
                Outcome::Written(Written::Applied | Written::Fenced) | Outcome::Read(_) => {}
                Outcome::Written(written @ Written::Conflict(_)) => {
                    return Err(rule.violation(show_written(&written)));
                }
            }
        }
        rule.holds(
            revoked > Some(mark),
            "a mark that is not higher than the earlier mark",
        )?;
        let keys: Vec<_> = sessions.iter().map(|it| it.key).collect();
        rule.lacks(&owner, &keys).await?;
        let listed = rule.list(&owner, Family::Session, None, 9).await?;
        rule.holds(listed.is_empty(), "a session in the list")?;
        let fence = rule.fence(&owner).await?;
        rule.holds(fence == revoked, show_fence(fence))?;
    }
    Ok(())
}

/// Logins acquire their lease and create their session during a revocation.
async fn sign_ins(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "a session created during a revocation has a mark that is not below the fence";
    let (rule, mut owner) = (callers.rule(text), random_owner());
    for round in 0..ROUNDS {
        owner.id = random();
        let sessions: Vec<_> = (0..3).map(|_| session_of(RevocationMark(0)).key).collect();
        let sign_ins = sessions.iter().map(|key| sign_in(owner, *key)).collect();
        let jobs = arrange(sign_ins, owner, round);
        let _ = callers.all(text, jobs).await?;
        for key in sessions {
            let snapshot = rule.read(&owner, &[key]).await?;
            is_valid_or_absent(rule, &snapshot)?;
        }
    }
    Ok(())
}

fn sign_in(owner: Owner, key: RecordKey) -> Job<Outcome> {
    async fn run(store: &dyn Store, owner: Owner, key: RecordKey) -> Result<Outcome, StoreError> {
        let claim = lease_in(owner.namespace, LeaseFamily::Login);
        let granted = store.acquire(&claim, LeaseToken::random(), LONG).await?;
        let Acquired::Granted { mark } = granted else {
            // No other caller knows this random key.
            return Ok(Outcome::Written(Written::Fenced));
        };
        let session = Sample::of(key, mark.0.to_be_bytes().to_vec().into());
        let writes = [session.put(Condition::Absent)];
        let written = store.write(&owner, &writes, Some(mark)).await?;
        Ok(Outcome::Written(written))
    }
    Box::new(move |store| Box::pin(run(store, owner, key)))
}

/// A session is readable only if its mark is not below the fence: the lowest mark that is still
/// valid.
fn is_valid_or_absent(rule: Rule<'_>, snapshot: &Snapshot) -> Result<(), Violation> {
    let (fence, mark) = (snapshot.fence, mark_of(snapshot));
    let is_present = snapshot.entries.iter().any(Option::is_some);
    rule.holds(!is_present || mark.is_some(), "another body")?;
    rule.holds(!is_present || fence.is_some(), "a session without a fence")?;
    rule.holds(mark.is_none() || mark >= fence, "a session below the fence")
}

/// Requests update a session without a mark while the session is revoked.
async fn updates(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "an update during a revocation does not restore a session";
    let (rule, mut owner) = (callers.rule(text), random_owner());
    for round in 0..ROUNDS {
        owner.id = random();
        let session = session_of(RevocationMark(0));
        let create = [session.put(Condition::Absent)];
        rule.applies(&owner, &create, Some(RevocationMark(0)))
            .await?;
        let conditions = [
            Condition::Present,
            Condition::Version(session.version),
            Condition::Present,
        ];
        let updates = conditions.map(|condition| {
            let writes = vec![Sample::at(session.key).put(condition)];
            outcome_of(write(owner, writes, None))
        });
        let jobs = arrange(updates.into(), owner, round);
        let _ = callers.all(text, jobs).await?;
        rule.lacks(&owner, &[session.key]).await?;
    }
    Ok(())
}

/// Token refreshes write tokens on the condition that the session exists.
async fn guarded_writes(callers: &Callers<'_>) -> Result<(), Violation> {
    let text =
        "a write that requires a session stores nothing if the session is revoked concurrently";
    let (rule, mut owner) = (callers.rule(text), random_owner());
    for round in 0..ROUNDS {
        owner.id = random();
        let session = session_of(RevocationMark(0));
        let create = [session.put(Condition::Absent)];
        rule.applies(&owner, &create, Some(RevocationMark(0)))
            .await?;
        let tokens: Vec<_> = (0..3).map(|_| Sample::new(Family::Tokens)).collect();
        let refreshes = tokens.iter().map(|tokens| {
            let writes = vec![
                tokens.put(Condition::Any),
                keep(session.key, Condition::Present),
            ];
            outcome_of(write(owner, writes, None))
        });
        let jobs = arrange(refreshes.collect(), owner, round);
        let _ = callers.all(text, jobs).await?;
        let keys: Vec<_> = tokens.iter().map(|it| it.key).collect();
        rule.lacks(&owner, &keys).await?;
        rule.lacks(&owner, &[session.key]).await?;
    }
    Ok(())
}

/// Reads must see the fence and the deletion together.
async fn reads(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "no read during a revocation sees a session below the fence";
    let (rule, mut owner) = (callers.rule(text), random_owner());
    for round in 0..ROUNDS {
        owner.id = random();
        let session = session_of(RevocationMark(0));
        let neighbour = Sample::new(Family::Tokens);
        let create = [
            session.put(Condition::Absent),
            neighbour.put(Condition::Absent),
        ];
        rule.applies(&owner, &create, Some(RevocationMark(0)))
            .await?;
        let keys = [session.key, neighbour.key];
        let jobs = (0..6).map(|_| read(owner, keys.to_vec())).collect();
        let jobs = arrange(jobs, owner, round);
        for outcome in callers.all(text, jobs).await? {
            let Outcome::Read(snapshot) = outcome else {
                continue;
            };
            is_valid_or_absent(rule, &snapshot)?;
            let present = snapshot.entries.iter().flatten().count();
            let whole = if snapshot.fence == Some(RevocationMark(0)) {
                2
            } else {
                0
            };
            rule.holds(present == whole, "only a part of a revocation")?;
        }
    }
    Ok(())
}

async fn two_revocations(callers: &Callers<'_>) -> Result<(), Violation> {
    let text = "the fence is the highest mark of simultaneous revocations of one owner";
    let (rule, mut owner) = (callers.rule(text), random_owner());
    for _ in 0..ROUNDS {
        owner.id = random();
        let jobs = (0..4).map(|_| revoke(owner));
        let mut highest = None;
        for outcome in callers.all(text, jobs).await? {
            if let Outcome::Revoked(mark) = outcome {
                rule.holds(highest != Some(mark), "two revocations with equal marks")?;
                highest = highest.max(Some(mark));
            }
        }
        let fence = rule.fence(&owner).await?;
        rule.holds(fence == highest, show_fence(fence))?;
    }
    Ok(())
}
