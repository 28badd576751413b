//! The event log: an event takes effect once, on every engine.

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
    faulty_store::{EVENT, FaultyStore, Op},
    stages::Named,
};

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const RETENTION: Duration = Duration::from_secs(97 * 3600);

/// Number of simultaneous callers.
const CROWD: usize = 100;

/// An event that no other test has.
pub(crate) fn unique() -> EventKey {
    EventKey::of(&format!("{:?}", LeaseToken::random().0))
}

/// Begins with an event that is free.
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

/// Asserts that another caller has the event. Returns for how long at most.
pub(crate) async fn in_flight(log: &EventLog, event: &EventKey) -> Duration {
    match log.begin(event, LEASE, RETENTION).await.unwrap() {
        BeginOutcome::InFlight(left) => left,
        other => panic!("{other:?}"),
    }
}

/// An engine, and the time that its clock shows.
struct Stage {
    store: FaultyStore,
    kyc: MockIssuer,
}

impl Stage {
    fn log(&self) -> EventLog {
        EventLog::new(self.store.clone(), "orders")
    }

    /// Lets time pass for the engine.
    #[expect(
        clippy::disallowed_methods,
        reason = "no test moves the clock of a server"
    )]
    async fn pass(&self, by: Duration) {
        if self.store.properties().name == "memory" {
            self.kyc.clock().advance(by);
        } else {
            tokio::time::sleep(by).await;
        }
    }
}

/// Plays the scene on every engine that is installed here.
async fn everywhere(scene: impl AsyncFn(Stage)) {
    let kyc = MockIssuer::start().await;
    for engine in Engine::all(&kyc).await {
        let _named = Named(engine.name());
        let stage = Stage {
            store: engine.faulty_store(),
            kyc: kyc.clone(),
        };
        scene(stage).await;
    }
}

#[tokio::test]
async fn an_event_is_done_after_its_completion() {
    // case 130
    everywhere(async |stage| {
        let log = stage.log();
        let event = unique();
        let lease = acquire(&log, &event).await;
        assert_eq!(lease.event(), &event);
        assert_eq!(lease.retention(), RETENTION);
        let left = in_flight(&log, &event).await;
        assert!(left <= LEASE && left > LEASE / 2, "{left:?}");
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        assert_done(&log, &event).await;
        // Completing again changes nothing.
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        // What is done cannot be given back.
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Lost));
        assert_done(&log, &event).await;
        // Other events are free.
        acquire(&log, &unique()).await;
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_released_is_acquired_again() {
    // case 131
    everywhere(async |stage| {
        let log = stage.log();
        let event = unique();
        let lease = acquire(&log, &event).await;
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Applied));
        let second = acquire(&log, &event).await;
        assert_ne!(lease, second);
        // The first lease settles nothing any more.
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
    everywhere(async |stage| {
        let log = stage.log();
        let event = unique();
        let lease = acquire(&log, &event).await;
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Applied));
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Lost));
        acquire(&log, &event).await;
    })
    .await;
}

/// Of many simultaneous callers, each in a task of its own, one handles the event.
async fn assert_one_effect(log: EventLog) {
    let event = unique();
    let effects = Arc::new(AtomicUsize::new(0));
    let deliveries = (0..CROWD).map(|_| {
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
async fn of_a_hundred_simultaneous_deliveries_one_takes_effect() {
    // case 130
    everywhere(async |stage| assert_one_effect(stage.log()).await).await;
}

#[tokio::test]
async fn receivers_of_one_name_share_events_and_others_do_not() {
    // case 130
    everywhere(async |stage| {
        let (one, same) = (stage.log(), stage.log());
        let other = EventLog::new(stage.store.clone(), "mails");
        let event = unique();
        let lease = acquire(&one, &event).await;
        in_flight(&same, &event).await;
        let at_other = acquire(&other, &event).await;
        // A lease belongs to the event, whichever instance settles it.
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
async fn a_lease_that_ends_leaves_the_event_to_the_next_attempt() {
    // case 131
    everywhere(async |stage| {
        let (log, event) = (stage.log(), unique());
        let short = Duration::from_millis(200);
        let begun = log.begin(&event, short, RETENTION).await;
        let Ok(BeginOutcome::Acquired(first)) = begun else {
            panic!("{begun:?}");
        };
        stage.pass(2 * short).await;
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
async fn an_event_that_nobody_else_has_is_completed_late() {
    // case 131
    everywhere(async |stage| {
        let (log, event) = (stage.log(), unique());
        let short = Duration::from_millis(50);
        let begun = log.begin(&event, short, RETENTION).await;
        let Ok(BeginOutcome::Acquired(lease)) = begun else {
            panic!("{begun:?}");
        };
        stage.pass(4 * short).await;
        // It cannot be given back any more, because it is free.
        assert_eq!(log.release(&lease).await, Ok(SettleOutcome::Lost));
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        assert_done(&log, &event).await;
    })
    .await;
}

#[tokio::test]
async fn a_completed_event_is_forgotten_after_its_retention() {
    // case 130
    everywhere(async |stage| {
        let (log, event) = (stage.log(), unique());
        let short = Duration::from_millis(400);
        let begun = log.begin(&event, LEASE, short).await;
        let Ok(BeginOutcome::Acquired(lease)) = begun else {
            panic!("{begun:?}");
        };
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        stage.pass(short + short / 4).await;
        acquire(&log, &event).await;
    })
    .await;
}

#[tokio::test]
async fn an_operation_whose_answer_is_lost_can_be_repeated() {
    // case 131
    everywhere(async |stage| {
        let (log, event) = (stage.log(), unique());
        stage.store.lose_answer(Op::Acquire, EVENT);
        let lost = log.begin(&event, LEASE, RETENTION).await;
        assert_eq!(lost, Err(StoreError::Timeout));
        // The event stays acquired until the lease ends: its token is lost.
        in_flight(&log, &event).await;
        let event = unique();
        let lease = acquire(&log, &event).await;
        stage.store.lose_answer(Op::Settle, EVENT);
        assert_eq!(log.complete(&lease).await, Err(StoreError::Timeout));
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        assert_done(&log, &event).await;
        let event = unique();
        let lease = acquire(&log, &event).await;
        stage.store.lose_answer(Op::Settle, EVENT);
        assert_eq!(log.release(&lease).await, Err(StoreError::Timeout));
        acquire(&log, &event).await;
    })
    .await;
}

#[tokio::test]
async fn a_store_that_fails_begins_and_settles_nothing() {
    // case 131
    everywhere(async |stage| {
        let (log, event) = (stage.log(), unique());
        let lease = acquire(&log, &event).await;
        stage.store.fail();
        let down = Err(StoreError::Unreachable);
        assert_eq!(log.complete(&lease).await, down);
        assert_eq!(log.release(&lease).await, down);
        let other = unique();
        let begun = log.begin(&other, LEASE, RETENTION).await;
        assert_eq!(begun, Err(StoreError::Unreachable));
        stage.store.heal();
        in_flight(&log, &event).await;
        assert_eq!(log.complete(&lease).await, Ok(SettleOutcome::Applied));
        acquire(&log, &other).await;
    })
    .await;
}
