//! Tests that repeat an operation after its response was lost.

use kycport::store::{
    Acquired, Condition, LeaseFamily, LeaseKey, LeaseToken, RedisStore, RevocationMark, Settlement,
    Store as _, StoreError, Written,
};

use super::{
    proxy::Proxy,
    samples::{MINUTE, REVOKED, create, login, owner, put, random, session, version_of},
    server::Server,
};

/// Connects, and makes the server load the scripts. The next reply is then a reply to the test's
/// operation.
async fn ready(store: &RedisStore) {
    let owner = owner();
    let lease = login(owner.namespace);
    let acquired = store.acquire(&lease, LeaseToken::random(), MINUTE).await;
    assert!(matches!(acquired, Ok(Acquired::Granted { .. })));
    let written = create(store, &owner, session(), RevocationMark(0)).await;
    assert_eq!(written, Ok(Written::Applied));
}

#[tokio::test]
async fn a_repeated_write_conflicts_with_its_own_version() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let (store, owner, key) = (proxy.store(), owner(), session());
    ready(&store).await;

    let write = [put(key, Condition::Absent)];
    proxy.lose_reply(1);
    let lost = store.write(&owner, &write, Some(RevocationMark(0))).await;
    assert_eq!(lost, Err(StoreError::Unreachable));
    let Written::Conflict(found) = store
        .write(&owner, &write, Some(RevocationMark(0)))
        .await
        .unwrap()
    else {
        panic!("no conflict");
    };
    let version = found.entries[0].as_ref().unwrap().version;
    assert_eq!(version, version_of(&write[0]));
}

#[tokio::test]
async fn a_repeated_acquisition_is_granted() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let (store, key, token) = (proxy.store(), login(random()), LeaseToken::random());
    // The first reply is the reply of the counter.
    for number in [1, 2] {
        ready(&store).await;
        proxy.lose_reply(number);
        let lost = store.acquire(&key, token, MINUTE).await;
        assert_eq!(lost, Err(StoreError::Unreachable));
    }
    let other = store.acquire(&key, LeaseToken::random(), MINUTE).await;
    assert!(matches!(other, Ok(Acquired::Held(_))), "{other:?}");
    let again = store.acquire(&key, token, MINUTE).await;
    assert!(matches!(again, Ok(Acquired::Granted { .. })), "{again:?}");
}

#[tokio::test]
async fn a_completion_can_be_repeated() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let (store, token) = (proxy.store(), LeaseToken::random());
    let key = LeaseKey {
        namespace: random(),
        family: LeaseFamily::Event,
        id: random(),
    };
    let granted = store.acquire(&key, token, MINUTE).await.unwrap();
    assert!(matches!(granted, Acquired::Granted { .. }));
    let done = Settlement::Done {
        result: (&b"\0\xff result"[..]).into(),
        keep_for: MINUTE,
    };
    proxy.lose_reply(1);
    let lost = store.settle(&key, token, done.clone()).await;
    assert_eq!(lost, Err(StoreError::Unreachable));
    assert_eq!(store.settle(&key, token, done).await, Ok(true));
    let found = store.acquire(&key, LeaseToken::random(), MINUTE).await;
    assert_eq!(found, Ok(Acquired::Done((&b"\0\xff result"[..]).into())));
}

#[tokio::test]
async fn a_repeated_revocation_has_a_higher_mark() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let (store, owner, key) = (proxy.store(), owner(), session());
    let before = store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    for number in [1, 2] {
        ready(&store).await;
        proxy.lose_reply(number);
        let lost = store.revoke(&owner, &REVOKED, MINUTE).await;
        assert_eq!(lost, Err(StoreError::Unreachable));
    }
    let after = store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    assert!(after > before);
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert_eq!(snapshot.fence, Some(after));
}

#[tokio::test]
async fn a_read_is_repeated_by_the_store() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let (store, owner, key) = (proxy.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    for _ in 0..3 {
        proxy.lose_reply(1);
        let snapshot = store.read(&owner, &[key]).await.unwrap();
        assert!(snapshot.entries[0].is_some());
    }
}
