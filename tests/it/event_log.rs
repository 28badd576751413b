//! Tests on every engine that an event takes effect once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kycport::{
    mock::MockIssuer,
    store::{LeaseToken, Store as _, StoreError},
    webhook::{BeginOutcome, EventKey, EventLease, EventLog, SettleOutcome},
};

use crate::{
    engines::Engine,
    recording_store::{EVENT, Op, RecordingStore},
    stages::Named,
};

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const RETENTION: Duration = Duration::from_secs(97 * 3600);

/// Number of concurrent callers.
const CONCURRENT_CALLERS: usize = 100;

/// Returns an event key that no other test uses.
pub(crate) fn unique() -> EventKey {
    EventKey::of(&format!("{:?}", LeaseToken::random().0))
}

/// Begins handling an event. Panics if another caller has a lease on the event, or if the event is
/// done.
pub(crate) async fn acquire(log: &EventLog, event: &EventKey) -> EventLease {
    match log.begin(event, LEASE, RETENTION).await.unwrap() {
        BeginOutcome::Acquired(lease) => lease,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn assert_done(log: &EventLog, event: &EventKey) {
    let begun = log.begin(event, LEASE, RETENTION).await;
    assert_eq!(begun, Ok(BeginOutcome::Done));
}

/// Asserts that another caller holds the lease of the event, and returns the remaining time of the
/// lease.
pub(crate) async fn in_flight(log: &EventLog, event: &EventKey) -> Duration {
    match log.begin(event, LEASE, RETENTION).await.unwrap() {
        BeginOutcome::InFlight(left) => left,
        other => panic!("{other:?}"),
    }
}

/// Engine, and the mock whose clock the in-memory engine uses.
struct EventLogTest {
    store: RecordingStore,
    kyc: MockIssuer,
}

impl EventLogTest {
    fn log(&self) -> EventLog {
        EventLog::new(self.store.clone(), "orders")
    }

    /// Advances the engine's clock, or waits.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test cannot set a server's clock"
    )]
    async fn pass(&self, by: Duration) {
        if self.store.properties().name == "memory" {
            self.kyc.clock().advance(by);
        } else {
            tokio::time::sleep(by).await;
        }
    }
}

/// Runs the test on every installed engine.
async fn everywhere(test: impl AsyncFn(EventLogTest)) {
    let kyc = MockIssuer::start().await;
    for engine in Engine::all(&kyc).await {
        let _named = Named(engine.name());
        let setup = EventLogTest {
            store: engine.recording_store(),
            kyc: kyc.clone(),
        };
        test(setup).await;
    }
}

#[tokio::test]
async fn an_event_is_done_after_its_completion() {
    // Covers threat case 130.
    everywhere(async |setup| {
        let log = setup.log();
        let event = unique();
        let lease = acquire(&log, &event).await;
        assert_eq!(lease.event(), &event);
        assert_eq!(lease.retention(), RETENTION);
        let left = in_flight(&log, &event).await;
        assert!(left <= LEASE && left > LEASE / 2, "{left:?}");
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        assert_done(&log, &event).await;
        // A second completion of the event has no effect.
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        // A caller cannot release a completed event.
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Lost));
        assert_done(&log, &event).await;
        // A caller can still acquire other events.
        acquire(&log, &unique()).await;
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_released_is_acquired_again() {
    // Covers threat case 131.
    everywhere(async |setup| {
        let log = setup.log();
        let event = unique();
        let lease = acquire(&log, &event).await;
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Applied));
        let second = acquire(&log, &event).await;
        assert_ne!(lease, second);
        // The first lease is no longer valid.
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Lost));
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Lost));
        in_flight(&log, &event).await;
        assert_eq!(log.complete(&second).await, Ok(SettleOutcome::Applied));
        assert_done(&log, &event).await;
    })
    .await;
}

#[tokio::test]
async fn a_released_event_is_not_completed() {
    everywhere(async |setup| {
        let log = setup.log();
        let event = unique();
        let lease = acquire(&log, &event).await;
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Applied));
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Lost));
        acquire(&log, &event).await;
    })
    .await;
}

/// Asserts that exactly one of many concurrent callers handles the event. Each of these callers
/// runs in a separate task.
async fn assert_one_effect(log: EventLog) {
    let event = unique();
    let effects = Arc::new(AtomicUsize::new(0));
    let deliveries = (0..CONCURRENT_CALLERS).map(|_| {
        let (log, event, effects) = (log.clone(), event.clone(), Arc::clone(&effects));
        tokio::spawn(async move {
            let begun = log.begin(&event, LEASE, RETENTION).await.unwrap();
            if let BeginOutcome::Acquired(lease) = begun {
                effects.fetch_add(1, Ordering::SeqCst);
                let settled = log.complete(&lease).await.unwrap();
                assert_eq!(settled, SettleOutcome::Applied);
            }
        })
    });
    for delivery in deliveries.collect::<Vec<_>>() {
        delivery.await.unwrap();
    }
    assert_eq!(effects.load(Ordering::SeqCst), 1);
    assert_done(&log, &event).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_hundred_simultaneous_deliveries_takes_effect() {
    // Covers threat case 130.
    everywhere(async |setup| assert_one_effect(setup.log()).await).await;
}

#[tokio::test]
async fn only_receivers_with_the_same_name_share_events() {
    // Covers threat case 130.
    everywhere(async |setup| {
        let (one, same) = (setup.log(), setup.log());
        let other = EventLog::new(setup.store.clone(), "mails");
        let event = unique();
        let lease = acquire(&one, &event).await;
        in_flight(&same, &event).await;
        let at_other = acquire(&other, &event).await;
        // Any instance can complete the lease of an event.
        assert_eq!(same.complete(&lease).await, Ok(SettleOutcome::Applied));
        assert_done(&one, &event).await;
        in_flight(&other, &event).await;
        assert_eq!(other.release(&at_other).await, Ok(SettleOutcome::Applied));
        acquire(&other, &event).await;
        assert_done(&same, &event).await;
    })
    .await;
}

#[tokio::test]
async fn an_event_is_free_again_after_its_lease_expires() {
    // Covers threat case 131.
    everywhere(async |setup| {
        let (log, event) = (setup.log(), unique());
        let short = Duration::from_millis(200);
        let begun = log.begin(&event, short, RETENTION).await;
        let Ok(BeginOutcome::Acquired(first)) = begun else {
            panic!("{begun:?}");
        };
        setup.pass(2 * short).await;
        let second = acquire(&log, &event).await;
        assert_eq!(log.complete(&first).await, Ok(SettleOutcome::Lost));
        assert_eq!(log.release(&first).await, Ok(SettleOutcome::Lost));
        in_flight(&log, &event).await;
        assert_eq!(log.complete(&second).await, Ok(SettleOutcome::Applied));
        assert_done(&log, &event).await;
    })
    .await;
}

#[tokio::test]
async fn an_event_can_be_completed_after_its_lease_expired() {
    // Covers threat case 131.
    everywhere(async |setup| {
        let (log, event) = (setup.log(), unique());
        let short = Duration::from_millis(50);
        let begun = log.begin(&event, short, RETENTION).await;
        let Ok(BeginOutcome::Acquired(lease)) = begun else {
            panic!("{begun:?}");
        };
        setup.pass(4 * short).await;
        // A caller cannot release the expired lease, because the event is already free.
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Lost));
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        assert_done(&log, &event).await;
    })
    .await;
}

#[tokio::test]
async fn a_completed_event_is_forgotten_after_its_retention() {
    // Covers threat case 130.
    everywhere(async |setup| {
        let (log, event) = (setup.log(), unique());
        let short = Duration::from_millis(400);
        let begun = log.begin(&event, LEASE, short).await;
        let Ok(BeginOutcome::Acquired(lease)) = begun else {
            panic!("{begun:?}");
        };
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        setup.pass(short + short / 4).await;
        acquire(&log, &event).await;
    })
    .await;
}

#[tokio::test]
async fn an_operation_with_a_lost_response_can_be_repeated() {
    // Covers threat case 131.
    everywhere(async |setup| {
        let (log, event) = (setup.log(), unique());
        setup.store.lose_answer(Op::Acquire, EVENT);
        let lost = log.begin(&event, LEASE, RETENTION).await;
        assert_eq!(lost, Err(StoreError::Timeout));
        // The event stays in flight until the lease expires, because the lease token is lost.
        in_flight(&log, &event).await;
        let event = unique();
        let lease = acquire(&log, &event).await;
        setup.store.lose_answer(Op::Settle, EVENT);
        assert_eq!(log.complete(&lease).await, Err(StoreError::Timeout));
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        assert_done(&log, &event).await;
        let event = unique();
        let lease = acquire(&log, &event).await;
        setup.store.lose_answer(Op::Settle, EVENT);
        assert_eq!(log.release(&lease).await, Err(StoreError::Timeout));
        acquire(&log, &event).await;
    })
    .await;
}

#[tokio::test]
async fn a_store_failure_is_returned_and_has_no_effect() {
    // Covers threat case 131.
    everywhere(async |setup| {
        let (log, event) = (setup.log(), unique());
        let lease = acquire(&log, &event).await;
        setup.store.fail();
        let down = Err(StoreError::Unreachable);
        assert_eq!(log.complete(&lease).await, down);
        assert_eq!(log.release(&lease).await, down);
        let other = unique();
        let begun = log.begin(&other, LEASE, RETENTION).await;
        assert_eq!(begun, Err(StoreError::Unreachable));
        setup.store.heal();
        in_flight(&log, &event).await;
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        acquire(&log, &other).await;
    })
    .await;
}
