//! Tests with faults of the second store: failures, hangs and lost responses.

use kycport::store::{Condition, Family, RevocationMark, Store as _, StoreError, Written};

use super::{
    HOUR, Pair, body_of, put,
    second::{Fault, Op},
    session,
};

#[tokio::test]
async fn a_failure_of_the_second_store_is_an_error_not_an_absent_session() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    for op in [Op::Read, Op::List, Op::Write, Op::Revoke] {
        pair.second.break_on(op, Fault::Fails);
    }
    let error = StoreError::Unreachable;
    assert_eq!(pair.read(session(1)).await, Err(error));
    assert_eq!(pair.listed().await, Err(error));
    assert_eq!(pair.create(session(2), 2).await, Err(error));
    assert_eq!(pair.delete(session(1)).await, Err(error));
    assert_eq!(pair.store.check().await, Err(error));
    let revoke = pair.store.revoke(&pair.owner, &[Family::Session], HOUR);
    assert_eq!(revoke.await, Err(error));

    pair.second.repair();
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(1)));
    assert_eq!(pair.sessions.ids().len(), 1, "the body of a failed write");
}

#[tokio::test]
async fn a_revocation_succeeds_although_the_index_cannot_be_read() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.second.break_on(Op::List, Fault::Fails);
    let revoke = pair.store.revoke(&pair.owner, &[Family::Session], HOUR);
    assert!(revoke.await.unwrap() > RevocationMark(0));
    pair.second.repair();
    assert_eq!(pair.read(session(1)).await.unwrap(), None);
    let created = pair.create(session(1), 2).await.unwrap();
    assert_eq!(created, Written::Fenced);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_waits_at_most_a_second_for_the_index() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.second.break_on(Op::List, Fault::Hangs);
    let before = tokio::time::Instant::now();
    let revoke = pair.store.revoke(&pair.owner, &[Family::Session], HOUR);
    let _ = revoke.await.unwrap();
    assert!(before.elapsed().as_secs() < 2);
}

#[tokio::test]
async fn a_revocation_with_a_lost_response_has_taken_effect() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.second.break_on(Op::Revoke, Fault::LosesAnswer);
    let revoke = pair.store.revoke(&pair.owner, &[Family::Session], HOUR);
    assert_eq!(revoke.await, Err(StoreError::Unreachable));
    pair.second.repair();
    assert_eq!(pair.read(session(1)).await.unwrap(), None);
    assert_eq!(pair.create(session(2), 2).await.unwrap(), Written::Fenced);
}

#[tokio::test]
async fn a_lost_response_to_a_creation_leaves_no_partial_session() {
    let pair = Pair::new();
    pair.second.break_on(Op::Write, Fault::LosesAnswer);
    let created = pair.create(session(1), 1).await;
    assert_eq!(created, Err(StoreError::Unreachable));
    pair.second.repair();
    assert_eq!(pair.read(session(1)).await.unwrap(), None);
    assert!(pair.listed().await.unwrap().is_empty());
    assert!(pair.sessions.ids().is_empty());
    // A caller can create another session at this key.
    assert_eq!(pair.create(session(1), 2).await.unwrap(), Written::Applied);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(2)));
}

#[tokio::test]
async fn a_failed_replacement_keeps_the_session() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    for op in [Op::Read, Op::Write] {
        pair.second.break_on(op, Fault::Fails);
        let replace = put(session(1), Condition::Present, 2, body_of(2));
        let written = pair.store.write(&pair.owner, &[replace], None).await;
        assert_eq!(written, Err(StoreError::Unreachable));
        pair.second.repair();
        assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(1)));
        assert_eq!(pair.sessions.ids().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_second_store_times_out() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.second.break_on(Op::Read, Fault::Hangs);
    pair.second.break_on(Op::Write, Fault::Hangs);
    let timeout = Err(StoreError::Timeout);
    assert_eq!(pair.read(session(1)).await, timeout);
    assert_eq!(pair.create(session(2), 2).await.map(|_| None), timeout);
    assert_eq!(pair.sessions.ids().len(), 1);
}

#[tokio::test]
async fn a_dropped_write_is_applied_completely_or_not_at_all() {
    let pair = Pair::new();
    pair.second.break_on(Op::Write, Fault::Hangs);
    let write = pair.create(session(1), 1);
    assert!(futures_util::FutureExt::now_or_never(write).is_none());
    pair.second.repair();
    assert_eq!(pair.read(session(1)).await.unwrap(), None);
    assert_eq!(pair.create(session(1), 1).await.unwrap(), Written::Applied);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(1)));
    assert_eq!(pair.sessions.ids().len(), 1);
}
