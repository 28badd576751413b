//! Tests with missing bodies, damaged bodies, and bodies of another owner.

use bytes::Bytes;
use kycport::store::{Condition, Family, RecordId, Store as _, StoreError, Written};
use serde_json::json;

use super::{Pair, body_of, put, random_owner, read, session};

#[tokio::test]
async fn a_missing_body_is_an_absent_session() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.sessions.remove(pair.sessions.only().id);
    assert_eq!(pair.read(session(1)).await.unwrap(), None);
    assert!(pair.listed().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_session_can_be_created_where_a_body_is_missing() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.sessions.remove(pair.sessions.only().id);
    let created = pair.create(session(1), 2).await.unwrap();
    assert_eq!(created, Written::Applied);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(2)));
}

#[tokio::test]
async fn a_list_is_complete_although_bodies_are_missing() {
    let pair = Pair::new();
    let mut live = Vec::new();
    for number in 1..=30 {
        let _ = pair.create(session(number), 1).await.unwrap();
        if number % 3 == 0 {
            live.push(RecordId([number; 16]));
        }
    }
    // Deletes two thirds of the bodies and keeps the index entries.
    for number in (1..=30).filter(|number| number % 3 != 0) {
        let before = pair.sessions.ids();
        let index = pair
            .second
            .inner()
            .read(&pair.owner, &[session(number)])
            .await
            .unwrap();
        let _ = pair.delete(session(number)).await.unwrap();
        assert_eq!(pair.sessions.ids().len(), before.len() - 1);
        let entry = index.entries[0].clone().unwrap();
        let restore = put(
            session(number),
            Condition::Absent,
            entry.version,
            entry.body,
        );
        let _ = pair
            .second
            .inner()
            .write(&pair.owner, &[restore], None)
            .await
            .unwrap();
    }
    assert_eq!(pair.listed().await.unwrap(), live);
    let mut paged = Vec::new();
    loop {
        let after = paged.last().copied();
        let list = pair.store.list(&pair.owner, Family::Session, after, 3);
        let page = list.await.unwrap();
        paged.extend(page.iter().map(|(id, _)| *id));
        if page.len() < 3 {
            break;
        }
    }
    assert_eq!(paged, live);
}

#[tokio::test]
async fn a_body_without_an_index_entry_is_unreachable() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    let record = pair.sessions.only();
    let _ = pair.delete(session(1)).await.unwrap();
    pair.sessions.put(record);
    assert_eq!(pair.read(session(1)).await.unwrap(), None);
    assert!(pair.listed().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_body_of_another_owner_is_reported_as_damaged() {
    let pair = Pair::new();
    let other = random_owner();
    let write = put(session(1), Condition::Absent, 9, body_of(9));
    let _ = pair.store.write(&other, &[write], None).await.unwrap();
    let foreign = pair.sessions.only();
    let _ = pair.create(session(1), 1).await.unwrap();
    let own = pair.sessions.ids();
    let own = own.into_iter().find(|id| *id != foreign.id).unwrap();

    let mut swapped = foreign;
    swapped.id = own;
    pair.sessions.put(swapped);
    assert_eq!(pair.read(session(1)).await, Err(StoreError::Damaged));
    assert_eq!(pair.listed().await, Err(StoreError::Damaged));
    let theirs = read(&pair.store, &other, session(1)).await.unwrap();
    assert_eq!(theirs, Some(body_of(9)));
}

#[tokio::test]
async fn a_record_in_another_format_is_reported_as_damaged() {
    for data in [
        json!({}),
        json!({ "kycport": 5 }),
        json!({ "kycport": "%%" }),
        json!({ "kycport": "" }),
        json!({ "user": "AAAA" }),
    ] {
        let pair = Pair::new();
        let _ = pair.create(session(1), 1).await.unwrap();
        let mut record = pair.sessions.only();
        record.data = serde_json::from_value(data.clone()).unwrap();
        pair.sessions.put(record);
        let found = pair.read(session(1)).await;
        assert_eq!(found, Err(StoreError::Damaged), "{data}");
    }
}

#[tokio::test]
async fn a_damaged_session_can_be_revoked_and_deleted() {
    for is_revoked in [true, false] {
        let pair = Pair::new();
        let _ = pair.create(session(1), 1).await.unwrap();
        let mut record = pair.sessions.only();
        record.data.clear();
        pair.sessions.put(record);
        if is_revoked {
            let revoke = pair
                .store
                .revoke(&pair.owner, &[Family::Session], super::HOUR);
            let _ = revoke.await.unwrap();
        } else {
            let _ = pair.delete(session(1)).await.unwrap();
        }
        assert_eq!(pair.read(session(1)).await.unwrap(), None);
        assert!(pair.sessions.ids().is_empty());
    }
}

#[tokio::test]
async fn an_index_entry_in_another_format_is_an_absent_session() {
    let pair = Pair::new();
    for (number, body) in [(1, "{}"), (2, ""), (3, "kts1"), (4, "kts2")] {
        let body = Bytes::from_static(body.as_bytes());
        let write = put(session(number), Condition::Absent, 1, body);
        let _ = pair
            .second
            .inner()
            .write(&pair.owner, &[write], None)
            .await
            .unwrap();
        assert_eq!(pair.read(session(number)).await.unwrap(), None);
    }
    assert!(pair.listed().await.unwrap().is_empty());
}
