//! Tests that each record is in the correct one of the two stores, and that the adapter removes
//! bodies.

use kycport::store::{
    Change, Condition, Entry, Family, MemoryStore, RecordKey, Store as _, TowerSessionsStore,
    Write, Written,
};

use super::{
    HOUR, Pair, body_of,
    first::{Op, Taken, TestSessions},
    put, random_owner,
    second::{Fault, Op as SecondOp, TestSecond},
    session,
};

#[tokio::test]
async fn only_the_body_of_a_session_is_in_the_tower_sessions_store() {
    let pair = Pair::new();
    let mut writes = Vec::new();
    for family in Family::ALL {
        let key = RecordKey::new(family, session(1).id);
        writes.push(put(key, Condition::Absent, 7, body_of(7)));
    }
    let written = pair.store.write(&pair.owner, &writes, None).await.unwrap();
    assert_eq!(written, Written::Applied);

    let record = pair.sessions.only();
    assert_eq!(record.data.keys().collect::<Vec<_>>(), ["kycport"]);
    assert!(record.data["kycport"].is_string());
    for write in &writes {
        assert_eq!(pair.read(write.key).await.unwrap(), Some(body_of(7)));
    }
    let index = pair.second.inner().read(&pair.owner, &[session(1)]).await;
    let index = index.unwrap().entries[0].clone().unwrap();
    assert_eq!(index.version, 7);
    assert_eq!(index.body.len(), 36);
}

#[tokio::test]
async fn the_body_expires_after_the_index_entry_in_whole_seconds() {
    let pair = Pair::new();
    let before = kycport::Clock::now(&kycport::SystemClock::new());
    let _ = pair.create(session(1), 1).await.unwrap();
    let expiry = pair.sessions.only().expiry_date;
    assert_eq!(expiry.nanosecond(), 0);
    let margin = expiry.unix_timestamp() - before.saturating_add(HOUR).as_unix();
    assert!((60..90).contains(&margin), "{margin}");
}

#[tokio::test]
async fn a_rejected_write_keeps_the_session_and_leaves_no_body() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    let conflict = pair.create(session(1), 2).await.unwrap();
    let Written::Conflict(snapshot) = conflict else {
        panic!("{conflict:?}");
    };
    let expected = Entry {
        version: 1,
        body: body_of(1),
    };
    assert_eq!(snapshot.entries, [Some(expected)]);
    assert_eq!(pair.sessions.ids().len(), 1);

    let revoked = pair.store.revoke(&pair.owner, &[], HOUR).await.unwrap();
    assert!(revoked > kycport::store::RevocationMark(0));
    assert_eq!(pair.create(session(2), 3).await.unwrap(), Written::Fenced);
    assert_eq!(pair.sessions.ids().len(), 1);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(1)));
}

#[tokio::test]
async fn replaced_and_deleted_sessions_leave_no_body() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    let first = pair.sessions.only().id;
    let replace = put(session(1), Condition::Version(1), 2, body_of(2));
    let written = pair.store.write(&pair.owner, &[replace], None).await;
    assert_eq!(written.unwrap(), Written::Applied);
    assert_ne!(pair.sessions.only().id, first);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(2)));

    let _ = pair.delete(session(1)).await.unwrap();
    assert!(pair.sessions.ids().is_empty());
}

#[tokio::test]
async fn a_revocation_deletes_only_the_bodies_of_its_owner() {
    let pair = Pair::new();
    for number in 1..=20 {
        let _ = pair.create(session(number), 1).await.unwrap();
    }
    let other = random_owner();
    let write = put(session(1), Condition::Absent, 1, body_of(1));
    let _ = pair.store.write(&other, &[write], None).await.unwrap();
    let families = [Family::Session, Family::Activity];
    let _ = pair.store.revoke(&pair.owner, &families, HOUR).await;
    assert_eq!(pair.sessions.ids().len(), 1);
    let found = super::read(&pair.store, &other, session(1)).await.unwrap();
    assert_eq!(found, Some(body_of(1)));
}

#[tokio::test]
async fn a_condition_without_a_change_writes_no_record() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    let created = pair.sessions.count(Op::Create);
    let keep = Write {
        key: session(1),
        condition: Condition::Present,
        change: Change::Keep,
    };
    let activity = put(
        RecordKey::new(Family::Activity, session(1).id),
        Condition::Any,
        2,
        body_of(2),
    );
    let written = pair.store.write(&pair.owner, &[keep, activity], None).await;
    assert_eq!(written.unwrap(), Written::Applied);
    assert_eq!(pair.sessions.count(Op::Create), created);
    assert_eq!(pair.sessions.count(Op::Load), 0);
    assert_eq!(pair.sessions.count(Op::Delete), 0);
}

#[tokio::test]
async fn a_repeated_write_restores_the_body_and_recognises_its_own_session() {
    for taken in [Taken::OtherId, Taken::Fails] {
        let sessions = TestSessions::with(taken);
        let second = TestSecond::new(MemoryStore::default());
        let store = TowerSessionsStore::danger_unshared(sessions.clone(), second.clone());
        let owner = random_owner();
        let write = [put(session(1), Condition::Absent, 1, body_of(1))];
        let own = Entry {
            version: 1,
            body: body_of(1),
        };

        second.break_on(SecondOp::Write, Fault::LosesAnswer);
        store.write(&owner, &write, None).await.unwrap_err();
        second.repair();
        for _ in 0..2 {
            let repeated = store.write(&owner, &write, None).await.unwrap();
            let Written::Conflict(snapshot) = repeated else {
                panic!("{repeated:?}");
            };
            assert_eq!(snapshot.entries, [Some(own.clone())]);
            let found = super::read(&store, &owner, session(1)).await.unwrap();
            assert_eq!(found, Some(body_of(1)));
            assert_eq!(sessions.ids().len(), 1, "{taken:?}");
        }
    }
}

#[tokio::test]
async fn an_unshared_second_store_is_rejected() {
    let sessions = tower_sessions::MemoryStore::default;
    let error = TowerSessionsStore::new(sessions(), MemoryStore::default()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("(memory)") && text.contains("danger_unshared"),
        "{text}"
    );
    let store = TowerSessionsStore::danger_unshared(sessions(), MemoryStore::default());
    assert!(!store.properties().shared);

    let shared = TestSecond::new(MemoryStore::default()).shared();
    let properties = TowerSessionsStore::new(sessions(), shared)
        .unwrap()
        .properties();
    assert_eq!(properties.name, "tower-sessions");
    assert!(properties.shared && properties.durable);
}

#[tokio::test]
async fn debug_output_contains_no_session() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    let shown = format!("{:?}", pair.store);
    assert!(!shown.contains("canary"), "{shown}");
}
