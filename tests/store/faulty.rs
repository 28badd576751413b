//! Tests that `FaultyStore` injects the requested faults.

use std::{sync::Arc, time::Duration};

use kycport::store::{
    Acquired, Change, Condition, Family, FaultyStore, LeaseFamily, LeaseKey, LeaseToken,
    MemoryStore, Operation, Owner, RecordKey, Settlement, Store, StoreError, Target, When, Write,
    Written, conformance,
};
use tokio::task::JoinHandle;

const OWNER: Owner = Owner {
    namespace: [1; 16],
    id: [2; 16],
};
const LEASE: LeaseKey = LeaseKey {
    namespace: [1; 16],
    family: LeaseFamily::Event,
    id: [3; 16],
};
const MINUTE: Duration = Duration::from_secs(60);
const DOWN: StoreError = StoreError::Unreachable;

fn store() -> FaultyStore {
    FaultyStore::new(MemoryStore::default())
}

fn put(family: Family) -> Write {
    Write {
        key: RecordKey::only(family),
        condition: Condition::Absent,
        change: Change::Put {
            version: 7,
            body: "body".into(),
            keep_for: MINUTE,
        },
    }
}

async fn write(store: &FaultyStore, families: &[Family]) -> Result<Written, StoreError> {
    let writes: Vec<_> = families.iter().copied().map(put).collect();
    store.write(&OWNER, &writes, None).await
}

async fn is_stored(store: &FaultyStore, family: Family) -> bool {
    let keys = [RecordKey::only(family)];
    let snapshot = store.inner().read(&OWNER, &keys).await.unwrap();
    snapshot.entries[0].is_some()
}

fn spawn_write(store: &FaultyStore, family: Family) -> JoinHandle<Result<Written, StoreError>> {
    let store = store.clone();
    tokio::spawn(async move { write(&store, &[family]).await })
}

/// Calls every operation once, and returns the errors of the operations.
async fn every_operation(store: &dyn Store) -> Vec<Option<StoreError>> {
    let token = LeaseToken([4; 16]);
    let (release, families) = (Settlement::Release, [Family::Session]);
    vec![
        store.read(&OWNER, &[]).await.err(),
        store.write(&OWNER, &[], None).await.err(),
        store.revoke(&OWNER, &families, MINUTE).await.err(),
        store.list(&OWNER, Family::Session, None, 9).await.err(),
        store.acquire(&LEASE, token, MINUTE).await.err(),
        store.settle(&LEASE, token, release).await.err(),
        store.sweep(9).await.err(),
        store.check().await.err(),
    ]
}

const OPERATIONS: [Operation; 8] = [
    Operation::Read,
    Operation::Write,
    Operation::Revoke,
    Operation::List,
    Operation::Acquire,
    Operation::Settle,
    Operation::Sweep,
    Operation::Check,
];

#[tokio::test]
async fn a_faulty_store_without_faults_conforms() {
    let clock = kycport::TestClock::new();
    let store = FaultyStore::new(MemoryStore::new(10_000, Arc::new(clock.clone())));
    let pass = async |by| clock.advance(by);
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test]
async fn all_operations_fail_until_the_store_is_repaired() {
    let store = store();
    store.fail(Target::ALL, When::Before, DOWN);
    for _ in 0..3 {
        assert_eq!(every_operation(&store).await, [Some(DOWN); 8]);
    }
    store.repair();
    assert_eq!(every_operation(&store).await, [None; 8]);
}

#[tokio::test]
async fn only_the_operations_of_the_target_fail() {
    for (index, operation) in OPERATIONS.into_iter().enumerate() {
        let store = store();
        store.fail(operation, When::Before, StoreError::Timeout);
        let mut expected = [None; 8];
        expected[index] = Some(StoreError::Timeout);
        assert_eq!(every_operation(&store).await, expected);
    }
}

#[tokio::test]
async fn the_next_operations_fail_and_later_operations_succeed() {
    let store = store();
    store.fail_next(2, Operation::Write, When::Before, DOWN);
    assert_eq!(write(&store, &[Family::Session]).await, Err(DOWN));
    assert_eq!(write(&store, &[Family::Tokens]).await, Err(DOWN));
    let written = write(&store, &[Family::Session]).await;
    assert_eq!(written, Ok(Written::Applied));
}

#[tokio::test]
async fn a_failure_before_the_operation_leaves_no_effect() {
    let store = store();
    store.fail_next(1, Operation::Write, When::Before, DOWN);
    assert_eq!(write(&store, &[Family::Session]).await, Err(DOWN));
    assert!(!is_stored(&store, Family::Session).await);
}

#[tokio::test]
async fn a_failure_after_the_operation_simulates_a_lost_response() {
    let store = store();
    store.fail_next(1, Operation::Write, When::After, DOWN);
    assert_eq!(write(&store, &[Family::Session]).await, Err(DOWN));
    assert!(is_stored(&store, Family::Session).await);
    let Written::Conflict(found) = write(&store, &[Family::Session]).await.unwrap() else {
        panic!("the repeated write did not conflict with the first write");
    };
    assert_eq!(found.entries[0].as_ref().unwrap().version, 7);
}

#[tokio::test]
async fn a_fault_of_a_family_affects_operations_that_name_the_family() {
    let store = store();
    let target = Operation::Write.of(Family::Tokens);
    store.fail(target, When::Before, DOWN);
    assert!(write(&store, &[Family::Session]).await.is_ok());
    let both = [Family::Activity, Family::Tokens];
    assert_eq!(write(&store, &both).await, Err(DOWN));
    assert!(!is_stored(&store, Family::Activity).await);
    assert!(store.list(&OWNER, Family::Tokens, None, 9).await.is_ok());

    store.repair();
    store.fail(Target::family(Family::Tokens), When::Before, DOWN);
    let listed = store.list(&OWNER, Family::Tokens, None, 9).await;
    assert_eq!(listed, Err(DOWN));
    let revoked = store.revoke(&OWNER, &[Family::Session], MINUTE).await;
    assert!(revoked.is_ok());
    let revoked = store.revoke(&OWNER, &Family::ALL, MINUTE).await;
    assert_eq!(revoked, Err(DOWN));
}

#[tokio::test]
async fn a_fault_of_a_lease_family_affects_leases_of_the_family() {
    let store = store();
    let target = Operation::Acquire.of_lease(LeaseFamily::Login);
    store.fail(target, When::Before, DOWN);
    let token = LeaseToken::random();
    assert!(store.acquire(&LEASE, token, MINUTE).await.is_ok());
    let login = LeaseKey {
        family: LeaseFamily::Login,
        ..LEASE
    };
    assert_eq!(store.acquire(&login, token, MINUTE).await, Err(DOWN));
    let released = store.settle(&login, token, Settlement::Release).await;
    assert_eq!(released, Ok(false));

    let target = Target::lease_family(LeaseFamily::Login);
    store.fail(target, When::Before, StoreError::Busy);
    let released = store.settle(&login, token, Settlement::Release).await;
    assert_eq!(released, Err(StoreError::Busy));
}

#[tokio::test]
async fn after_a_lost_response_the_same_token_acquires_the_lease_again() {
    let store = store();
    store.fail_next(1, Operation::Acquire, When::After, DOWN);
    let token = LeaseToken::random();
    assert_eq!(store.acquire(&LEASE, token, MINUTE).await, Err(DOWN));
    let other = store.acquire(&LEASE, LeaseToken::random(), MINUTE).await;
    assert!(matches!(other, Ok(Acquired::Held(_))));
    let same = store.acquire(&LEASE, token, MINUTE).await;
    assert!(matches!(same, Ok(Acquired::Granted { .. })));
}

#[tokio::test]
async fn a_pause_before_the_operation_delays_its_effect() {
    let store = store();
    let point = store.pause(Operation::Write, When::Before);
    let waiting = spawn_write(&store, Family::Session);
    point.reached().await;
    assert!(!is_stored(&store, Family::Session).await);
    // Only the next operation waits at the pause point.
    let other = write(&store, &[Family::Tokens]).await;
    assert_eq!(other, Ok(Written::Applied));
    assert!(!waiting.is_finished());
    point.resume();
    assert_eq!(waiting.await.unwrap(), Ok(Written::Applied));
    assert!(is_stored(&store, Family::Session).await);
}

#[tokio::test]
async fn a_pause_after_the_operation_delays_its_result_only() {
    let store = store();
    let point = store.pause(Operation::Write.of(Family::Session), When::After);
    let waiting = spawn_write(&store, Family::Session);
    point.reached().await;
    assert!(is_stored(&store, Family::Session).await);
    assert!(!waiting.is_finished());
    point.resume();
    assert_eq!(waiting.await.unwrap(), Ok(Written::Applied));
}

#[tokio::test]
async fn a_read_paused_before_the_operation_sees_later_writes() {
    let store = store();
    let point = store.pause(Operation::Read, When::Before);
    let reader = store.clone();
    let reading = tokio::spawn(async move {
        let keys = [RecordKey::only(Family::Session)];
        reader.read(&OWNER, &keys).await
    });
    point.reached().await;
    let written = write(&store, &[Family::Session]).await;
    assert_eq!(written, Ok(Written::Applied));
    point.resume();
    let snapshot = reading.await.unwrap().unwrap();
    assert!(snapshot.entries[0].is_some());
}

#[tokio::test]
async fn all_operations_hang_until_they_are_resumed() {
    let store = store();
    let point = store.hang(Operation::Write, When::Before);
    let families = [Family::Session, Family::Tokens, Family::Activity];
    let waiting = families.map(|family| spawn_write(&store, family));
    for _ in &waiting {
        point.reached().await;
    }
    assert!(waiting.iter().all(|it| !it.is_finished()));
    point.resume();
    for task in waiting {
        assert_eq!(task.await.unwrap(), Ok(Written::Applied));
    }
    let later = write(&store, &[Family::Assurance]).await;
    assert_eq!(later, Ok(Written::Applied));
}

#[tokio::test]
async fn one_operation_after_another_is_resumed() {
    let store = store();
    let point = store.hang(Operation::Write, When::Before);
    let first = spawn_write(&store, Family::Session);
    point.reached().await;
    let second = spawn_write(&store, Family::Tokens);
    point.reached().await;
    point.resume_one();
    assert_eq!(first.await.unwrap(), Ok(Written::Applied));
    assert!(!is_stored(&store, Family::Tokens).await);
    point.resume_one();
    assert_eq!(second.await.unwrap(), Ok(Written::Applied));

    // A later operation passes the pause point and counts as an arrival.
    point.resume();
    let later = write(&store, &[Family::Activity]).await;
    assert_eq!(later, Ok(Written::Applied));
    point.reached().await;
}

#[tokio::test]
async fn gathered_operations_end_when_all_have_arrived() {
    let store = store();
    store.gather_next(2, Operation::Write, When::After);
    let first = spawn_write(&store, Family::Session);
    while !is_stored(&store, Family::Session).await {
        tokio::task::yield_now().await;
    }
    assert!(!first.is_finished());
    let second = write(&store, &[Family::Tokens]).await;
    assert_eq!(second, Ok(Written::Applied));
    assert_eq!(first.await.unwrap(), Ok(Written::Applied));
    // The store does not gather later operations.
    let later = write(&store, &[Family::Activity]).await;
    assert_eq!(later, Ok(Written::Applied));
}

#[tokio::test]
async fn waiting_operations_keep_waiting_after_the_faults_are_removed() {
    let store = store();
    let point = store.hang(Operation::Write, When::Before);
    let waiting = spawn_write(&store, Family::Session);
    point.reached().await;
    store.remove_faults();
    let other = write(&store, &[Family::Tokens]).await;
    assert_eq!(other, Ok(Written::Applied));
    assert!(!is_stored(&store, Family::Session).await);
    point.resume();
    assert_eq!(waiting.await.unwrap(), Ok(Written::Applied));
}

#[tokio::test]
async fn lost_fences_are_found_again_after_a_repair() {
    let store = store();
    let fence = store.revoke(&OWNER, &Family::ALL, MINUTE).await.unwrap();
    for restore in [FaultyStore::repair, FaultyStore::remove_faults] {
        store.lose_fences();
        assert_eq!(store.read(&OWNER, &[]).await.unwrap().fence, None);
        let missing = Write {
            condition: Condition::Present,
            ..put(Family::Session)
        };
        let Written::Conflict(found) = store.write(&OWNER, &[missing], None).await.unwrap() else {
            panic!("the write did not conflict");
        };
        assert_eq!(found.fence, None);
        restore(&store);
        assert_eq!(store.read(&OWNER, &[]).await.unwrap().fence, Some(fence));
    }
}

#[tokio::test]
async fn a_repair_and_a_dropped_point_resume_waiting_operations() {
    let store = store();
    let point = store.hang(Operation::Write, When::Before);
    let waiting = spawn_write(&store, Family::Session);
    point.reached().await;
    store.repair();
    assert_eq!(waiting.await.unwrap(), Ok(Written::Applied));

    let point = store.pause(Operation::Write, When::After);
    let waiting = spawn_write(&store, Family::Tokens);
    point.reached().await;
    drop(point);
    assert_eq!(waiting.await.unwrap(), Ok(Written::Applied));
}

#[tokio::test]
async fn a_cancelled_operation_does_not_block_a_pause_point() {
    let store = store();
    let point = store.hang(Operation::Write, When::Before);
    let waiting = spawn_write(&store, Family::Session);
    point.reached().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert!(!is_stored(&store, Family::Session).await);
    let other = spawn_write(&store, Family::Session);
    point.reached().await;
    point.resume();
    assert_eq!(other.await.unwrap(), Ok(Written::Applied));
}

#[tokio::test]
async fn faults_apply_in_the_order_in_which_they_were_added() {
    let store = store();
    store.fail_next(1, Operation::Write, When::Before, StoreError::Busy);
    store.fail_next(1, Target::ALL, When::Before, StoreError::Full);
    let session = [Family::Session];
    assert_eq!(write(&store, &session).await, Err(StoreError::Busy));
    assert_eq!(write(&store, &session).await, Err(StoreError::Full));
    assert_eq!(write(&store, &session).await, Ok(Written::Applied));
}

#[tokio::test]
async fn calls_are_counted_by_operation_and_family() {
    let store = store();
    assert_eq!(store.counts().of(Target::ALL), 0);
    let _ = every_operation(&store).await;
    let counts = store.counts();
    assert_eq!(counts.operations(), OPERATIONS);
    for operation in OPERATIONS {
        assert_eq!(counts.of(operation), 1);
    }
    store.fail_next(1, Operation::Write, When::Before, DOWN);
    let both = [Family::Session, Family::Tokens];
    assert_eq!(write(&store, &both).await, Err(DOWN));
    store.clone().read(&OWNER, &[]).await.unwrap();
    let counts = store.counts();
    assert_eq!(counts.of(Target::ALL), 10);
    assert_eq!(counts.of(Operation::Write), 2);
    assert_eq!(counts.of(Operation::Write.of(Family::Session)), 1);
    assert_eq!(counts.of(Operation::Write.of(Family::Tokens)), 1);
    assert_eq!(counts.of(Operation::Write.of(Family::Activity)), 0);
    assert_eq!(counts.of(Target::family(Family::Session)), 3);
    let events = Operation::Acquire.of_lease(LeaseFamily::Event);
    assert_eq!(counts.of(events), 1);
    store.reset_counts();
    assert_eq!(store.counts().of(Target::ALL), 0);
}

#[tokio::test]
async fn the_conformance_suite_reports_the_rule_in_which_the_store_failed() {
    let store = store();
    let target = Operation::Revoke;
    store.fail(target, When::Before, StoreError::ReadOnly);
    let pass = async |_| {};
    let violation = conformance::check(&store, pass).await.unwrap_err();
    assert_eq!(violation.rule, "a conflict contains the owner's fence");
    assert_eq!(violation.found, StoreError::ReadOnly.to_string());
}
