//! Tests that a revocation and a login have the correct result in every order of their commands.

use kycport::store::{
    Acquired, LeaseToken, Owner, RecordKey, RedisStore, RevocationMark, Store as _, Written,
};

use super::{
    proxy::Proxy,
    samples::{MINUTE, REVOKED, create, login, owner, session},
    server::Server,
};

async fn login_mark(store: &RedisStore, owner: &Owner) -> RevocationMark {
    let key = login(owner.namespace);
    match store.acquire(&key, LeaseToken::random(), MINUTE).await {
        Ok(Acquired::Granted { mark }) => mark,
        other => panic!("{other:?}"),
    }
}

async fn is_signed_in(
    store: &RedisStore,
    owner: &Owner,
    key: RecordKey,
    mark: RevocationMark,
) -> bool {
    let snapshot = store.read(owner, &[key]).await.unwrap();
    snapshot.entries[0].is_some() && snapshot.fence.is_some_and(|fence| fence <= mark)
}

#[tokio::test]
async fn a_login_that_began_before_the_revocation_is_fenced() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    let mark = login_mark(&store, &owner).await;
    store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    let written = create(&store, &owner, key, mark).await;
    assert_eq!(written, Ok(Written::Fenced));
    assert!(!is_signed_in(&store, &owner, key, mark).await);
}

#[tokio::test]
async fn a_session_created_before_the_revocation_is_deleted() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    let mark = login_mark(&store, &owner).await;
    let written = create(&store, &owner, key, mark).await;
    assert_eq!(written, Ok(Written::Applied));
    store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    assert!(!is_signed_in(&store, &owner, key, mark).await);
}

#[tokio::test]
async fn a_login_that_began_after_the_revocation_succeeds() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    let mark = login_mark(&store, &owner).await;
    let written = create(&store, &owner, key, mark).await;
    assert_eq!(written, Ok(Written::Applied));
    assert!(is_signed_in(&store, &owner, key, mark).await);
}

/// The revocation has raised the counter but has not yet stored the fence. A fence is the lowest
/// mark that is still valid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_created_during_the_revocation_is_deleted() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let (slow, store) = (proxy.store(), server.store());
    slow.read(&owner(), &[]).await.unwrap();
    for is_claimed_before in [true, false] {
        let (owner, key) = (owner(), session());
        let before = login_mark(&store, &owner).await;
        proxy.hold_after_reply(1);
        let revoking = slow.clone();
        let revocation =
            tokio::spawn(async move { revoking.revoke(&owner, &REVOKED, MINUTE).await });
        proxy.is_holding().await;
        let mark = if is_claimed_before {
            before
        } else {
            login_mark(&store, &owner).await
        };
        let written = create(&store, &owner, key, mark).await;
        assert_eq!(written, Ok(Written::Applied));
        proxy.release();
        let fence = revocation.await.unwrap().unwrap();
        assert!(fence > before);
        assert!(!is_signed_in(&store, &owner, key, mark).await);
        let written = create(&store, &owner, key, before).await;
        assert_eq!(written, Ok(Written::Fenced));
    }
}
