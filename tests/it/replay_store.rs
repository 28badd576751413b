//! That an event takes effect once, in every store that is shipped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use kycport::{
    TestClock,
    webhook::{
        Begun, EventKey, LeaseToken, MemoryReplayStore, ReplayStore, ReplayStoreUnavailable,
        Settled,
        conformance::{self, Breach},
    },
};

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(97 * 3600);

fn memory(capacity: usize) -> (MemoryReplayStore, TestClock) {
    let clock = TestClock::new();
    let store = MemoryReplayStore::new(capacity, Arc::new(clock.clone()));
    (store, clock)
}

/// A token, of an event that is free.
async fn acquire(store: &dyn ReplayStore, key: &EventKey) -> LeaseToken {
    match store.begin(key, LEASE).await.unwrap() {
        Begun::Acquired(token) => token,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_store_in_memory_does_what_a_store_must() {
    // cases 130, 131
    let (store, clock) = memory(1000);
    let pass = async |by| clock.advance(by);
    conformance::check(&store, pass).await.unwrap();
}

/// A delivery that is sent a hundred times at once, by as many tasks.
pub(crate) async fn one_effect(store: Arc<dyn ReplayStore>) {
    let key = EventKey::of(LeaseToken::random().as_str());
    let effects = Arc::new(AtomicUsize::new(0));
    let deliveries = (0..100).map(|_| {
        let (store, key, effects) = (store.clone(), key.clone(), effects.clone());
        tokio::spawn(async move {
            if let Begun::Acquired(token) = store.begin(&key, LEASE).await.unwrap() {
                effects.fetch_add(1, Ordering::SeqCst);
                let settled = store.complete(&key, &token, RETENTION).await.unwrap();
                assert_eq!(settled, Settled::Applied);
            }
        })
    });
    for delivery in deliveries.collect::<Vec<_>>() {
        delivery.await.unwrap();
    }
    assert_eq!(effects.load(Ordering::SeqCst), 1);
    assert_eq!(store.begin(&key, LEASE).await.unwrap(), Begun::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_deliveries_at_once_have_one_effect_in_memory() {
    // case 130
    one_effect(Arc::new(memory(1000).0)).await;
}

#[tokio::test]
async fn a_handler_that_fails_leaves_the_event_to_the_next_attempt() {
    // case 131
    let (store, clock) = memory(1000);
    let (failed, died) = (EventKey::of("failed"), EventKey::of("died"));
    let token = acquire(&store, &failed).await;
    assert_eq!(store.release(&failed, &token).await, Ok(Settled::Applied));
    let token = acquire(&store, &failed).await;
    let settled = store.complete(&failed, &token, RETENTION).await;
    assert_eq!(settled, Ok(Settled::Applied));

    acquire(&store, &died).await;
    clock.advance(LEASE.saturating_sub(Duration::from_secs(1)));
    assert!(matches!(
        store.begin(&died, LEASE).await,
        Ok(Begun::InFlight(left)) if left <= Duration::from_secs(1)
    ));
    clock.advance(Duration::from_secs(1));
    acquire(&store, &died).await;
}

#[tokio::test]
async fn a_full_store_takes_nothing_rather_than_forget() {
    // cases 130, 131
    let (store, clock) = memory(3);
    let keys: Vec<_> = (0..4).map(|n| EventKey::of(&n.to_string())).collect();
    for key in &keys[..2] {
        let token = acquire(&store, key).await;
        let settled = store.complete(key, &token, RETENTION).await;
        assert_eq!(settled, Ok(Settled::Applied));
    }
    acquire(&store, &keys[2]).await;
    let full = store.begin(&keys[3], LEASE).await;
    assert_eq!(full, Err(ReplayStoreUnavailable));
    // What it knows it still knows.
    assert_eq!(store.begin(&keys[0], LEASE).await, Ok(Begun::Done));
    assert_eq!(store.len(), 3);

    // A lease that has ended makes room, and what is done does not.
    clock.advance(LEASE);
    let token = acquire(&store, &keys[3]).await;
    let settled = store.complete(&keys[3], &token, RETENTION).await;
    assert_eq!(settled, Ok(Settled::Applied));
    let full = store.begin(&keys[2], LEASE).await;
    assert_eq!(full, Err(ReplayStoreUnavailable));

    clock.advance(RETENTION);
    acquire(&store, &keys[2]).await;
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn setting_the_clock_back_or_forth_forgets_nothing() {
    let (store, clock) = memory(10);
    let (done, held) = (EventKey::of("done"), EventKey::of("held"));
    let token = acquire(&store, &done).await;
    let settled = store.complete(&done, &token, RETENTION).await;
    assert_eq!(settled, Ok(Settled::Applied));
    acquire(&store, &held).await;
    for seconds in [0, 4_000_000_000] {
        clock.jump_to(kycport::Timestamp::from_unix(seconds));
        assert_eq!(store.begin(&done, LEASE).await, Ok(Begun::Done));
        let begun = store.begin(&held, LEASE).await;
        assert!(matches!(begun, Ok(Begun::InFlight(_))));
    }
}

/// What a store may get wrong.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    EverybodyAcquires,
    CompletesForAnybody,
    ReleasesForAnybody,
    ReleasesWhatIsDone,
    NeverForgets,
    ForgetsAtOnce,
    LeaseNeverEnds,
    LeaseEndsAtOnce,
    NothingIsLeft,
    OneTokenForAll,
    KeysAreOne,
}

/// A store with a flaw.
#[derive(Debug)]
struct Flawed {
    store: MemoryReplayStore,
    flaw: Flaw,
    shared: LeaseToken,
    tokens: std::sync::Mutex<std::collections::HashMap<EventKey, LeaseToken>>,
}

impl Flawed {
    fn holder(&self, key: &EventKey, token: &LeaseToken) -> LeaseToken {
        let tokens = self.tokens.lock().unwrap();
        tokens.get(key).unwrap_or(token).clone()
    }

    fn key(&self, key: &EventKey) -> EventKey {
        match self.flaw {
            Flaw::KeysAreOne => EventKey::of("one"),
            _ => key.clone(),
        }
    }
}

#[async_trait]
impl ReplayStore for Flawed {
    async fn begin(
        &self,
        key: &EventKey,
        lease: Duration,
    ) -> Result<Begun, ReplayStoreUnavailable> {
        let lease = match self.flaw {
            Flaw::LeaseNeverEnds => Duration::MAX,
            Flaw::LeaseEndsAtOnce => Duration::ZERO,
            _ => lease,
        };
        let key = self.key(key);
        match (self.store.begin(&key, lease).await?, self.flaw) {
            (_, Flaw::EverybodyAcquires) => Ok(Begun::Acquired(LeaseToken::random())),
            (Begun::InFlight(_), Flaw::NothingIsLeft) => Ok(Begun::InFlight(Duration::ZERO)),
            (Begun::Acquired(token), flaw) => {
                self.tokens.lock().unwrap().insert(key, token.clone());
                let one = matches!(flaw, Flaw::OneTokenForAll);
                let token = if one { self.shared.clone() } else { token };
                Ok(Begun::Acquired(token))
            }
            (begun, _) => Ok(begun),
        }
    }

    async fn complete(
        &self,
        key: &EventKey,
        token: &LeaseToken,
        retention: Duration,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let key = self.key(key);
        let token = match self.flaw {
            Flaw::CompletesForAnybody | Flaw::OneTokenForAll => self.holder(&key, token),
            _ => token.clone(),
        };
        let retention = match self.flaw {
            Flaw::NeverForgets => Duration::MAX,
            Flaw::ForgetsAtOnce => Duration::ZERO,
            _ => retention,
        };
        self.store.complete(&key, &token, retention).await
    }

    async fn release(
        &self,
        key: &EventKey,
        token: &LeaseToken,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let key = self.key(key);
        let token = match self.flaw {
            Flaw::ReleasesForAnybody | Flaw::OneTokenForAll => self.holder(&key, token),
            _ => token.clone(),
        };
        if matches!(self.flaw, Flaw::ReleasesWhatIsDone) {
            let _ = self.store.complete(&key, &token, Duration::ZERO).await?;
        }
        self.store.release(&key, &token).await
    }
}

#[tokio::test]
async fn the_suite_finds_every_flaw() {
    for flaw in [
        Flaw::EverybodyAcquires,
        Flaw::CompletesForAnybody,
        Flaw::ReleasesForAnybody,
        Flaw::ReleasesWhatIsDone,
        Flaw::NeverForgets,
        Flaw::ForgetsAtOnce,
        Flaw::LeaseNeverEnds,
        Flaw::LeaseEndsAtOnce,
        Flaw::NothingIsLeft,
        Flaw::OneTokenForAll,
        Flaw::KeysAreOne,
    ] {
        let (store, clock) = memory(1000);
        let store = Flawed {
            store,
            flaw,
            shared: LeaseToken::random(),
            tokens: std::sync::Mutex::default(),
        };
        let found = conformance::check(&store, async |by| clock.advance(by)).await;
        assert!(matches!(found, Err(Breach::Rule { .. })), "{flaw:?}");
    }
    let (full, clock) = memory(1);
    let found = conformance::check(&full, async |by| clock.advance(by)).await;
    assert_eq!(found, Err(Breach::Unavailable(ReplayStoreUnavailable)));
}

#[test]
fn debug_shows_no_token() {
    // case 137
    let token = LeaseToken::random();
    let begun = Begun::Acquired(token.clone());
    assert!(!format!("{token:?} {begun:?}").contains(token.as_str()));
}
