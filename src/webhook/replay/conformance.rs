//! What a [`ReplayStore`] must do, to be run on one: [`check`].

use std::time::Duration;

use futures_util::future::try_join_all;

use super::store::{Begun, LeaseToken, ReplayStore, ReplayStoreUnavailable, Settled};
use crate::webhook::event::EventKey;

/// Longer than the suite takes between two steps, even on a slow machine.
const LONG: Duration = Duration::from_secs(600);
/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(400);
/// How many begin at once.
const CROWD: usize = 16;
/// How often it is looked whether something has ended, and the pause between two looks.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// A store does not do what a [`ReplayStore`] must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// It did something else than it must.
    #[error("{rule}: found {found}")]
    Rule {
        /// What it must do.
        rule: &'static str,
        /// What it did.
        found: String,
    },
    /// It did not work.
    #[error("{0}")]
    Unavailable(#[from] ReplayStoreUnavailable),
}

/// Runs every rule on `store`, over events of random ids.
///
/// `pass` lets so much time pass for the store: for one that ages with a
/// [`TestClock`](crate::TestClock) it moves that, for one with a clock of its own it sleeps. Then
/// the suite takes a few seconds.
///
/// # Errors
/// The first [`Breach`].
///
/// ```
/// use std::sync::Arc;
/// use kycport::{TestClock, webhook::{MemoryReplayStore, conformance}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = TestClock::new();
/// let store = MemoryReplayStore::new(1000, Arc::new(clock.clone()));
/// conformance::check(&store, async |by| clock.advance(by)).await.unwrap();
/// # }
/// ```
pub async fn check(store: &dyn ReplayStore, pass: impl AsyncFn(Duration)) -> Result<(), Breach> {
    one_acquires(store).await?;
    done_stays_done(store).await?;
    released_is_free(store).await?;
    strangers_settle_nothing(store).await?;
    nothing_overflows(store).await?;
    the_replaced_settles_nothing(store, &pass).await?;
    late_is_not_lost(store, &pass).await?;
    the_lease_of_a_lapsed_one_is_whole(store, &pass).await?;
    done_is_forgotten_in_the_end(store, &pass).await
}

async fn one_acquires(store: &dyn ReplayStore) -> Result<(), Breach> {
    let (key, other) = (key(), key());
    let begun = try_join_all((0..CROWD).map(|_| store.begin(&key, LONG))).await?;
    let mut tokens = Vec::new();
    for begun in begun {
        match begun {
            Begun::Acquired(token) => tokens.push(token),
            Begun::InFlight(left) => {
                let rule =
                    "what is left of a lease is more than nothing and no more than the lease";
                holds(rule, !left.is_zero() && left <= LONG, left)?;
            }
            Begun::Done => return Err(breach("what nobody completed is not done", Begun::Done)),
        }
    }
    let rule = "of many who begin at once, one acquires";
    holds(rule, tokens.len() == 1, tokens.len())?;
    let theirs = acquire(store, &other, "another event is another's", LONG).await?;
    holds(
        "every lease has a token of its own",
        tokens != [theirs],
        "the same",
    )
}

async fn done_stays_done(store: &dyn ReplayStore) -> Result<(), Breach> {
    let key = key();
    let token = acquire(store, &key, "a new event is acquired", LONG).await?;
    let rule = "who holds the event completes it";
    settles(
        rule,
        store.complete(&key, &token, LONG).await?,
        Settled::Applied,
    )?;
    let begun = try_join_all((0..CROWD).map(|_| store.begin(&key, LONG))).await?;
    for begun in begun {
        holds("a completed event is done", begun == Begun::Done, begun)?;
    }
    let rule = "completing may be repeated";
    settles(
        rule,
        store.complete(&key, &token, LONG).await?,
        Settled::Applied,
    )?;
    let rule = "what is done is not released";
    settles(rule, store.release(&key, &token).await?, Settled::Lost)?;
    is_done(store, &key, "what is done stays done").await
}

async fn released_is_free(store: &dyn ReplayStore) -> Result<(), Breach> {
    let key = key();
    let first = acquire(store, &key, "a new event is acquired", LONG).await?;
    let rule = "who holds the event releases it";
    settles(rule, store.release(&key, &first).await?, Settled::Applied)?;
    let rule = "a released event is acquired again";
    let second = acquire(store, &key, rule, LONG).await?;
    holds(
        "every lease has a token of its own",
        first != second,
        "the same",
    )?;
    let rule = "who released an event settles nothing of the next lease";
    settles(rule, store.release(&key, &first).await?, Settled::Lost)?;
    settles(
        rule,
        store.complete(&key, &first, LONG).await?,
        Settled::Lost,
    )?;
    is_in_flight(store, &key, "the next lease holds").await?;
    let rule = "the next lease is completed by its own token";
    settles(
        rule,
        store.complete(&key, &second, LONG).await?,
        Settled::Applied,
    )
}

async fn strangers_settle_nothing(store: &dyn ReplayStore) -> Result<(), Breach> {
    let (key, stranger) = (key(), LeaseToken::random());
    let rule = "of an event that is not there nothing is settled";
    settles(
        rule,
        store.complete(&key, &stranger, LONG).await?,
        Settled::Lost,
    )?;
    settles(rule, store.release(&key, &stranger).await?, Settled::Lost)?;
    let token = acquire(store, &key, "a new event is acquired", LONG).await?;
    let rule = "a token that nobody gave out settles nothing";
    settles(
        rule,
        store.complete(&key, &stranger, LONG).await?,
        Settled::Lost,
    )?;
    settles(rule, store.release(&key, &stranger).await?, Settled::Lost)?;
    is_in_flight(store, &key, rule).await?;
    let rule = "who holds the event completes it";
    settles(
        rule,
        store.complete(&key, &token, LONG).await?,
        Settled::Applied,
    )?;
    let rule = "a token that nobody gave out settles nothing of what is done";
    settles(
        rule,
        store.complete(&key, &stranger, LONG).await?,
        Settled::Lost,
    )?;
    is_done(store, &key, rule).await
}

async fn nothing_overflows(store: &dyn ReplayStore) -> Result<(), Breach> {
    let key = key();
    let rule = "the longest lease is a lease";
    let token = acquire(store, &key, rule, Duration::MAX).await?;
    is_in_flight(store, &key, rule).await?;
    let settled = store.complete(&key, &token, Duration::MAX).await?;
    settles("the longest retention is one", settled, Settled::Applied)?;
    is_done(store, &key, "the longest retention is one").await
}

async fn the_replaced_settles_nothing(
    store: &dyn ReplayStore,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Breach> {
    let key = key();
    let first = acquire(store, &key, "a new event is acquired", SHORT).await?;
    let second = acquire_in_time(store, &key, pass).await?;
    let rule = "who was replaced settles nothing";
    settles(
        rule,
        store.complete(&key, &first, LONG).await?,
        Settled::Lost,
    )?;
    settles(rule, store.release(&key, &first).await?, Settled::Lost)?;
    is_in_flight(store, &key, rule).await?;
    let rule = "who replaced another completes";
    settles(
        rule,
        store.complete(&key, &second, LONG).await?,
        Settled::Applied,
    )?;
    let rule = "who was replaced does not undo what is done";
    settles(rule, store.release(&key, &first).await?, Settled::Lost)?;
    is_done(store, &key, rule).await
}

async fn late_is_not_lost(
    store: &dyn ReplayStore,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Breach> {
    let key = key();
    let token = acquire(store, &key, "a new event is acquired", SHORT).await?;
    pass(SHORT.saturating_mul(2)).await;
    let rule = "who is late and was not replaced completes";
    settles(
        rule,
        store.complete(&key, &token, LONG).await?,
        Settled::Applied,
    )?;
    is_done(store, &key, rule).await
}

async fn the_lease_of_a_lapsed_one_is_whole(
    store: &dyn ReplayStore,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Breach> {
    let key = key();
    let rule = "a new event is acquired";
    let _ = acquire(store, &key, rule, SHORT).await?;
    let _ = acquire_in_time(store, &key, pass).await?;
    pass(SHORT.saturating_mul(2)).await;
    let rule = "who acquires after another's lease has a whole lease";
    is_in_flight(store, &key, rule).await
}

async fn done_is_forgotten_in_the_end(
    store: &dyn ReplayStore,
    pass: &impl AsyncFn(Duration),
) -> Result<(), Breach> {
    let (soon, later) = (key(), key());
    for (key, retention) in [(&soon, SHORT), (&later, LONG)] {
        // A lease that is longer than the retention must not prolong it, nor cut it short.
        let lease = if retention == SHORT { LONG } else { SHORT };
        let token = acquire(store, key, "a new event is acquired", lease).await?;
        let rule = "who holds the event completes it";
        settles(
            rule,
            store.complete(key, &token, retention).await?,
            Settled::Applied,
        )?;
    }
    pass(SHORT.saturating_mul(2)).await;
    let _ = acquire_in_time(store, &soon, pass).await?;
    is_done(
        store,
        &later,
        "an event is remembered through its retention",
    )
    .await
}

fn key() -> EventKey {
    EventKey::of(LeaseToken::random().as_str())
}

async fn acquire(
    store: &dyn ReplayStore,
    key: &EventKey,
    rule: &'static str,
    lease: Duration,
) -> Result<LeaseToken, Breach> {
    match store.begin(key, lease).await? {
        Begun::Acquired(token) => Ok(token),
        other => Err(breach(rule, other)),
    }
}

/// Acquires, for long, what ends soon.
async fn acquire_in_time(
    store: &dyn ReplayStore,
    key: &EventKey,
    pass: &impl AsyncFn(Duration),
) -> Result<LeaseToken, Breach> {
    let mut found = None;
    for _ in 0..LOOKS {
        match store.begin(key, LONG).await? {
            Begun::Acquired(token) => return Ok(token),
            other => found = Some(other),
        }
        pass(PAUSE).await;
    }
    Err(breach("what has ended is acquired again", found))
}

async fn is_in_flight(
    store: &dyn ReplayStore,
    key: &EventKey,
    rule: &'static str,
) -> Result<(), Breach> {
    let begun = store.begin(key, LONG).await?;
    holds(rule, matches!(begun, Begun::InFlight(_)), begun)
}

async fn is_done(
    store: &dyn ReplayStore,
    key: &EventKey,
    rule: &'static str,
) -> Result<(), Breach> {
    let begun = store.begin(key, LONG).await?;
    holds(rule, begun == Begun::Done, begun)
}

fn settles(rule: &'static str, found: Settled, must: Settled) -> Result<(), Breach> {
    holds(rule, found == must, found)
}

fn holds(rule: &'static str, holds: bool, found: impl std::fmt::Debug) -> Result<(), Breach> {
    if holds {
        Ok(())
    } else {
        Err(breach(rule, found))
    }
}

fn breach(rule: &'static str, found: impl std::fmt::Debug) -> Breach {
    Breach::Rule {
        rule,
        found: format!("{found:?}"),
    }
}
