//! A tower-sessions store that fails, hangs or loses answers.

use kycport::store::{Family, Store as _, StoreError, Written};

use super::{
    HOUR, Pair, body_of,
    first::{Fault, Op},
    session,
};

#[tokio::test]
async fn a_failing_store_is_an_error_and_never_an_absent_session() {
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
async fn a_hanging_store_is_an_error_after_the_deadline() {
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
async fn revoking_and_deleting_do_not_depend_on_the_store() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let pair = Pair::new();
        let _ = pair.create(session(1), 1).await.unwrap();
        let _ = pair.create(session(2), 2).await.unwrap();
        pair.sessions.break_down(fault);
        let deleted = pair.delete(session(1)).await.unwrap();
        assert_eq!(deleted, Written::Applied);
        let revoke = pair.store.revoke(&pair.owner, &[Family::Session], HOUR);
        let _ = revoke.await.unwrap();

        // The bodies are left over, and unreachable.
        pair.sessions.repair();
        assert_eq!(pair.sessions.ids().len(), 2);
        assert_eq!(pair.read(session(1)).await.unwrap(), None);
        assert_eq!(pair.read(session(2)).await.unwrap(), None);
        assert!(pair.listed().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn other_records_do_not_depend_on_the_store() {
    let pair = Pair::new();
    pair.sessions.break_down(Fault::Fails);
    let key = kycport::store::RecordKey::only(Family::Assurance);
    assert_eq!(pair.create(key, 1).await.unwrap(), Written::Applied);
    assert_eq!(pair.read(key).await.unwrap(), Some(body_of(1)));
}

#[tokio::test]
async fn a_lost_answer_to_a_creation_makes_no_session_that_is_half_there() {
    let pair = Pair::new();
    pair.sessions.break_on(Op::Create, Fault::LosesAnswer);
    // The adapter sees that the body is there.
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
async fn a_store_that_forgets_is_damaged() {
    let pair = Pair::new();
    pair.store.check().await.unwrap();
    assert!(pair.sessions.ids().is_empty());
    pair.sessions.break_on(Op::Delete, Fault::Fails);
    assert_eq!(pair.store.check().await, Err(StoreError::Failed));
}

#[tokio::test]
async fn no_error_shows_what_the_store_says() {
    let pair = Pair::new();
    pair.sessions.break_down(Fault::Fails);
    let error = pair.create(session(1), 1).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary"), "{shown}");
}
