//! The event log over the store in memory, on a clock that the test moves.

use std::{sync::Arc, time::Duration};

use kycport::{
    MemoryStore, TestClock, Timestamp,
    store::{Acquired, LeaseFamily, LeaseKey, LeaseToken, Store as _, StoreError},
    webhook::{BeginOutcome, EventKey, EventLog, SettleOutcome},
};

use crate::{
    event_log::{LEASE, RETENTION, acquire, assert_done, in_flight, unique},
    faulty_store::FaultyStore,
};

fn memory() -> (EventLog, TestClock) {
    let clock = TestClock::new();
    let store = MemoryStore::new(100, Arc::new(clock.clone()));
    (EventLog::new(store, "orders"), clock)
}

#[tokio::test]
async fn names_and_events_are_not_confused_with_each_other() {
    let (one, _) = memory();
    let store = MemoryStore::default();
    let logs = ["a", "ab", ""].map(|name| EventLog::new(store.clone(), name));
    for log in &logs {
        acquire(log, &EventKey::of("event")).await;
    }
    acquire(&one, &EventKey::of("event")).await;
}

#[tokio::test]
async fn the_lease_and_the_retention_are_exact_on_a_test_clock() {
    let (log, clock) = memory();
    clock.freeze();
    let event = unique();
    let second = Duration::from_secs(1);
    acquire(&log, &event).await;
    clock.advance(LEASE.saturating_sub(second));
    assert_eq!(in_flight(&log, &event).await, second);
    clock.advance(second);
    let lease = acquire(&log, &event).await;
    clock.advance(LEASE + second);
    assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
    clock.advance(RETENTION.saturating_sub(second));
    assert_done(&log, &event).await;
    clock.advance(second);
    let lease = acquire(&log, &event).await;
    // A completion is accepted for an hour after the end of the lease.
    clock.advance(LEASE + Duration::from_secs(3600));
    assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Lost));
    acquire(&log, &event).await;
}

/// Real time: the limit of an operation is 5 s.
#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up() {
    let (_, clock) = memory();
    let store = FaultyStore::over(MemoryStore::new(10, Arc::new(clock)));
    let log = EventLog::new(store.clone(), "orders");
    let lease = acquire(&log, &unique()).await;
    store.hang();
    let other = unique();
    let (begun, completed, released) = tokio::join!(
        log.begin(&other, LEASE, RETENTION),
        log.complete(&lease),
        log.release(&lease),
    );
    assert_eq!(begun, Err(StoreError::Timeout));
    assert_eq!(completed, Err(StoreError::Timeout));
    assert_eq!(released, Err(StoreError::Timeout));
}

#[tokio::test]
async fn a_full_memory_refuses_new_events_instead_of_forgetting_others() {
    // cases 130, 131
    let clock = TestClock::new();
    clock.freeze();
    let store = MemoryStore::new(1, Arc::new(clock.clone()));
    let log = EventLog::new(store.clone(), "orders");
    let (done, held) = (unique(), unique());
    let lease = acquire(&log, &done).await;
    assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
    acquire(&log, &held).await;
    // The rest of the memory: leases that end later, and one that ends now.
    let mut events = 2;
    for n in 0_u128.. {
        let key = LeaseKey {
            namespace: [1; 16],
            family: LeaseFamily::Event,
            id: n.to_be_bytes(),
        };
        let length = if n == 0 {
            Duration::from_secs(1)
        } else {
            RETENTION
        };
        match store.acquire(&key, LeaseToken([1; 16]), length).await {
            Ok(_) => events += 1,
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                break;
            }
        }
    }
    assert_eq!(events, 100_000);
    let new = unique();
    let full = Err(StoreError::Full);
    assert_eq!(log.begin(&new, LEASE, RETENTION).await, full);
    // What is known stays known, and what is held can be settled.
    assert_done(&log, &done).await;
    in_flight(&log, &held).await;
    // Logins have room of their own.
    let login = LeaseKey {
        namespace: [1; 16],
        family: LeaseFamily::Login,
        id: [1; 16],
    };
    let acquired = store.acquire(&login, LeaseToken([1; 16]), LEASE).await;
    assert!(matches!(acquired, Ok(Acquired::Granted { .. })));
    // An event makes room when nothing about it can be settled any more.
    clock.advance(Duration::from_secs(3602));
    acquire(&log, &new).await;
    assert_eq!(log.begin(&unique(), LEASE, RETENTION).await, full);
    assert_done(&log, &done).await;
}

#[tokio::test]
async fn setting_the_clock_back_forgets_nothing_that_is_done() {
    let (log, clock) = memory();
    let event = unique();
    let lease = acquire(&log, &event).await;
    assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
    clock.jump_to(Timestamp::from_unix(0));
    assert_done(&log, &event).await;
}

#[test]
fn debug_shows_neither_an_event_nor_a_token() {
    // case 137
    let (log, _) = memory();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let event = EventKey::of("evt_canary");
    let lease = runtime.block_on(acquire(&log, &event));
    let text = format!(
        "{log:?} {lease:?} {:?}",
        BeginOutcome::Acquired(lease.clone())
    );
    assert!(!text.contains("canary"), "{text}");
    assert!(!text.contains(event.as_str()), "{text}");
    assert!(text.contains("LeaseToken(…)"), "{text}");
}
