//! Tests with faults of the tower-sessions store: failures, hangs and lost responses.

use kycport::store::{Family, Store as _, StoreError, Written};

use super::{
    HOUR, Pair, body_of,
    first::{Fault, Op},
    session,
};

#[tokio::test]
async fn a_failure_of_the_tower_sessions_store_is_an_error_not_an_absent_session() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    for (fault, error) in [
        (Fault::Fails, StoreError::Failed),
        (Fault::CannotDecode, StoreError::Damaged),
    ] {
        pair.sessions.break_down(fault);
        assert_eq!(pair.read(session(1)).await, Err(error));
        assert_eq!(pair.listed().await, Err(error));
        assert_eq!(pair.create(session(2), 2).await, Err(error));
        assert_eq!(pair.store.check().await, Err(error));
        pair.sessions.repair();
        assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(1)));
        assert_eq!(pair.read(session(2)).await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_tower_sessions_store_times_out() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.sessions.break_down(Fault::Hangs);
    let timeout = Err(StoreError::Timeout);
    assert_eq!(pair.read(session(1)).await, timeout);
    assert_eq!(pair.listed().await.map(|_| None), timeout);
    assert_eq!(pair.create(session(2), 2).await.map(|_| None), timeout);
    assert_eq!(pair.store.check().await.map(|()| None), timeout);
}

#[tokio::test(start_paused = true)]
async fn revocations_and_deletions_succeed_without_the_tower_sessions_store() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let pair = Pair::new();
        let _ = pair.create(session(1), 1).await.unwrap();
        let _ = pair.create(session(2), 2).await.unwrap();
        pair.sessions.break_down(fault);
        let deleted = pair.delete(session(1)).await.unwrap();
        assert_eq!(deleted, Written::Applied);
        let revoke = pair.store.revoke(&pair.owner, &[Family::Session], HOUR);
        let _ = revoke.await.unwrap();

        // The bodies remain in the tower-sessions store, but no request can reach the bodies.
        pair.sessions.repair();
        assert_eq!(pair.sessions.ids().len(), 2);
        assert_eq!(pair.read(session(1)).await.unwrap(), None);
        assert_eq!(pair.read(session(2)).await.unwrap(), None);
        assert!(pair.listed().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn other_records_work_without_the_tower_sessions_store() {
    let pair = Pair::new();
    pair.sessions.break_down(Fault::Fails);
    let key = kycport::store::RecordKey::only(Family::Assurance);
    assert_eq!(pair.create(key, 1).await.unwrap(), Written::Applied);
    assert_eq!(pair.read(key).await.unwrap(), Some(body_of(1)));
}

#[tokio::test]
async fn a_lost_response_to_a_creation_leaves_no_partial_session() {
    let pair = Pair::new();
    pair.sessions.break_on(Op::Create, Fault::LosesAnswer);
    // The adapter recognises the existing body.
    let created = pair.create(session(1), 1).await.unwrap();
    assert_eq!(created, Written::Applied);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(1)));

    pair.sessions.break_on(Op::Load, Fault::Fails);
    let created = pair.create(session(2), 2).await;
    assert_eq!(created, Err(StoreError::Failed));
    pair.sessions.repair();
    assert_eq!(pair.read(session(2)).await.unwrap(), None);
    assert_eq!(pair.sessions.ids().len(), 1);
}

#[tokio::test]
async fn the_check_fails_if_the_tower_sessions_store_cannot_delete() {
    let pair = Pair::new();
    pair.store.check().await.unwrap();
    assert!(pair.sessions.ids().is_empty());
    pair.sessions.break_on(Op::Delete, Fault::Fails);
    assert_eq!(pair.store.check().await, Err(StoreError::Failed));
}

#[tokio::test]
async fn errors_contain_no_text_of_the_tower_sessions_store() {
    let pair = Pair::new();
    pair.sessions.break_down(Fault::Fails);
    let error = pair.create(session(1), 1).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary"), "{shown}");
}
