//! Tests that the event log works on an in-memory store with a test clock.

use std::{sync::Arc, time::Duration};

use kycport::{
    MemoryStore, TestClock, Timestamp,
    store::{Acquired, LeaseFamily, LeaseKey, LeaseToken, Store as _, StoreError},
    webhook::{BeginOutcome, EventKey, EventLog, SettleOutcome},
};

use crate::{
    event_log::{LEASE, RETENTION, acquire, assert_done, in_flight, unique},
    recording_store::RecordingStore,
};

fn memory() -> (EventLog, TestClock) {
    let clock = TestClock::new();
    let store = MemoryStore::new(100, Arc::new(clock.clone()));
    (EventLog::new(store, "orders"), clock)
}

#[tokio::test]
async fn receivers_with_different_names_have_separate_events() {
    let (one, _) = memory();
    let store = MemoryStore::default();
    let logs = ["a", "ab", ""].map(|name| EventLog::new(store.clone(), name));
    for log in &logs {
        acquire(log, &EventKey::of("event")).await;
    }
    acquire(&one, &EventKey::of("event")).await;
}

#[tokio::test]
async fn leases_and_retention_end_exactly_on_time() {
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
    // The store accepts a completion until one hour after the end of the lease.
    clock.advance(LEASE + Duration::from_secs(3600));
    assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Lost));
    acquire(&log, &event).await;
}

/// The operation fails after 5 s of real time, because 5 s is the time limit.
#[tokio::test]
async fn a_store_that_does_not_respond_times_out() {
    let (_, clock) = memory();
    let store = RecordingStore::over(MemoryStore::new(10, Arc::new(clock)));
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
async fn a_full_store_rejects_new_events_and_keeps_known_events() {
    // Covers threat cases 130, 131.
    let clock = TestClock::new();
    clock.freeze();
    let store = MemoryStore::new(1, Arc::new(clock.clone()));
    let log = EventLog::new(store.clone(), "orders");
    let (done, held) = (unique(), unique());
    let lease = acquire(&log, &done).await;
    assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
    acquire(&log, &held).await;
    // The test fills the remaining capacity with leases. One lease expires now, and the other
    // leases expire later.
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
    // The store keeps known events, and callers can complete current leases.
    assert_done(&log, &done).await;
    in_flight(&log, &held).await;
    // Logins have a separate capacity.
    let login = LeaseKey {
        namespace: [1; 16],
        family: LeaseFamily::Login,
        id: [1; 16],
    };
    let acquired = store.acquire(&login, LeaseToken([1; 16]), LEASE).await;
    assert!(matches!(acquired, Ok(Acquired::Granted { .. })));
    // The store evicts an event after the time in which the holder can complete the lease.
    clock.advance(Duration::from_secs(3602));
    acquire(&log, &new).await;
    assert_eq!(log.begin(&unique(), LEASE, RETENTION).await, full);
    assert_done(&log, &done).await;
}

#[tokio::test]
async fn setting_the_clock_back_keeps_completed_events() {
    let (log, clock) = memory();
    let event = unique();
    let lease = acquire(&log, &event).await;
    assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
    clock.jump_to(Timestamp::from_unix(0));
    assert_done(&log, &event).await;
}

#[test]
fn debug_output_contains_no_event_and_no_token() {
    // Covers threat case 137.
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
