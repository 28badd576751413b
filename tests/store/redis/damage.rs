//! Tests with values that a server lost, and with values that another client wrote.

use kycport::store::{
    Acquired, Change, Condition, LeaseToken, RedisStore, RevocationMark, Settlement, Store as _,
    StoreError, Write, Written,
};

use super::{
    samples::{MINUTE, REVOKED, counter_of, create, hash_of, lease_of, login, owner, put, session},
    server::Server,
};

async fn current_mark(store: &RedisStore, namespace: [u8; 16]) -> RevocationMark {
    let key = login(namespace);
    match store.acquire(&key, LeaseToken::random(), MINUTE).await {
        Ok(Acquired::Granted { mark }) => mark,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lost_fence_reads_as_none() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    assert_eq!(server.command::<i64>(&["HDEL", &hash_of(&owner), "f"]), 1);
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert!(snapshot.fence.is_none() && snapshot.entries[0].is_some());
}

#[tokio::test]
async fn a_lost_counter_restarts_above_all_earlier_marks() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner) = (server.store(), owner());
    let (name, mut highest) = (counter_of(&owner.namespace), RevocationMark(0));
    for _ in 0..3 {
        let claimed = current_mark(&store, owner.namespace).await;
        assert!(claimed >= highest);
        assert_eq!(server.command::<i64>(&["DEL", &name]), 1);
        let revoked = store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
        assert!(revoked > claimed);
        assert_eq!(server.command::<i64>(&["DEL", &name]), 1);
        highest = revoked;
    }
}

/// In a failover, a server can lose the last values of the counter and keep a fence. A fence is the
/// lowest mark that is still valid.
#[tokio::test]
async fn a_counter_below_a_fence_is_raised_at_the_next_login() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    let before = current_mark(&store, owner.namespace).await;
    let fence = store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    let name = counter_of(&owner.namespace);
    server.command::<()>(&["SET", &name, &before.0.to_string()]);
    let low = current_mark(&store, owner.namespace).await;
    assert_eq!(low, before);
    assert_eq!(create(&store, &owner, key, low).await, Ok(Written::Fenced));
    let mark = current_mark(&store, owner.namespace).await;
    assert_eq!(mark, fence);
    assert_eq!(
        create(&store, &owner, key, mark).await,
        Ok(Written::Applied)
    );
}

#[tokio::test]
async fn a_key_of_the_wrong_type_is_damaged_and_not_absent() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    server.command::<()>(&["SET", &hash_of(&owner), "text"]);
    let damaged = StoreError::Damaged;
    assert_eq!(store.read(&owner, &[key]).await, Err(damaged));
    let list = store.list(&owner, key.family, None, 9).await;
    assert_eq!(list, Err(damaged));
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Err(damaged)
    );
    let revoked = store.revoke(&owner, &REVOKED, MINUTE).await;
    assert_eq!(revoked, Err(damaged));

    let (lease, token) = (login(owner.namespace), LeaseToken::random());
    server.command::<i64>(&["LPUSH", &lease_of(&lease), "text"]);
    let acquired = store.acquire(&lease, token, MINUTE).await;
    assert_eq!(acquired, Err(damaged));
    let settled = store.settle(&lease, token, Settlement::Release).await;
    assert_eq!(settled, Err(damaged));

    let name = counter_of(&owner.namespace);
    server.command::<()>(&["DEL", &name]);
    server.command::<i64>(&["LPUSH", &name, "text"]);
    let other = login(owner.namespace);
    let acquired = store.acquire(&other, token, MINUTE).await;
    assert_eq!(acquired, Err(damaged));
    // The connection still works after the error.
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_is_damaged_until_it_is_overwritten() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut field = vec![key.family.number()];
    field.extend(key.id.0);
    let mut set = redis::cmd("HSET");
    set.arg(hash_of(&owner)).arg(field).arg("short");
    set.exec(&mut connection).unwrap();

    let damaged = StoreError::Damaged;
    assert_eq!(store.read(&owner, &[key]).await, Err(damaged));
    assert_eq!(store.list(&owner, key.family, None, 9).await, Err(damaged));
    for condition in [Condition::Absent, Condition::Present, Condition::Version(1)] {
        let written = store.write(&owner, &[put(key, condition)], None).await;
        assert_eq!(written, Err(damaged));
    }
    let overwrite = [put(key, Condition::Any)];
    let written = store.write(&owner, &overwrite, None).await;
    assert_eq!(written, Ok(Written::Applied));
    store.read(&owner, &[key]).await.unwrap();
}

#[tokio::test]
async fn a_damaged_fence_invalidates_sessions_until_the_next_revocation() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    for fence in ["", "-1", "1e3", "nan"] {
        server.command::<i64>(&["HSET", &hash_of(&owner), "f", fence]);
        assert_eq!(store.read(&owner, &[key]).await, Err(StoreError::Damaged));
        let written = create(&store, &owner, session(), RevocationMark(u64::MAX)).await;
        assert_eq!(written, Err(StoreError::Damaged));
    }
    let mark = store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert_eq!(snapshot.fence, Some(mark));
    assert_eq!(snapshot.entries, [None]);
}

#[tokio::test]
async fn a_damaged_lease_is_damaged_and_not_free() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, token) = (server.store(), owner(), LeaseToken::random());
    let lease = login(owner.namespace);
    server.command::<()>(&["SET", &lease_of(&lease), "short"]);
    let acquired = store.acquire(&lease, token, MINUTE).await;
    assert_eq!(acquired, Err(StoreError::Damaged));
    let settled = store.settle(&lease, token, Settlement::Release).await;
    assert_eq!(settled, Err(StoreError::Damaged));
}

#[tokio::test]
async fn a_write_without_changes_creates_no_key() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    for change in [Change::Keep, Change::Delete] {
        let write = Write {
            key,
            condition: Condition::Absent,
            change,
        };
        let written = store.write(&owner, &[write], Some(RevocationMark(0))).await;
        assert_eq!(written, Ok(Written::Applied));
        assert_eq!(server.keys(""), [""; 0]);
    }
}

#[tokio::test]
async fn logins_and_revocations_remove_expired_records() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner) = (server.store(), owner());
    let short = |key| Write {
        key,
        condition: Condition::Any,
        change: Change::Put {
            version: 1,
            body: (&b"body"[..]).into(),
            keep_for: std::time::Duration::from_millis(1),
        },
    };
    let fields = || server.command::<i64>(&["HLEN", &hash_of(&owner)]);
    let kept = session();
    assert_eq!(
        create(&store, &owner, kept, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    for _ in 0..2 {
        for _ in 0..5 {
            let written = store.write(&owner, &[short(session())], None).await;
            assert_eq!(written, Ok(Written::Applied));
        }
        assert_eq!(fields(), 7);
        super::conformance::pass(std::time::Duration::from_millis(5)).await;
        let again = [put(kept, Condition::Any)];
        let written = store.write(&owner, &again, Some(RevocationMark(0))).await;
        assert_eq!(written, Ok(Written::Applied));
        assert_eq!(fields(), 2);
    }
    let written = store.write(&owner, &[short(session())], None).await;
    assert_eq!(written, Ok(Written::Applied));
    super::conformance::pass(std::time::Duration::from_millis(5)).await;
    store.revoke(&owner, &[], MINUTE).await.unwrap();
    assert_eq!(fields(), 2);
}
