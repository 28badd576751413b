//! Tests that revocations and deletions wait for replicas.

use std::time::Duration;

use futures_util::future::join;
use kycport::store::{
    Change, Condition, Family, RecordKey, RevocationMark, Store as _, StoreError, Write, Written,
};
use tokio::time::Instant;

use super::{
    samples::{MINUTE, REVOKED, create, eventually, owner, session},
    server::Server,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_waits_for_the_replicas() {
    let Some(primary) = Server::start(&[]) else {
        return;
    };
    let of = format!("127.0.0.1 {}", primary.port());
    let Some(mut replica) = Server::start(&["--replicaof", &of]) else {
        return;
    };
    let store = primary.store().wait_for_replicas(1);
    let owner = owner();
    eventually(true, async || {
        store.revoke(&owner, &REVOKED, MINUTE).await.is_ok()
    })
    .await;
    for _ in 0..5 {
        let key = session();
        assert_eq!(
            create(&store, &owner, key, RevocationMark(u64::MAX)).await,
            Ok(Written::Applied)
        );
        let mark = store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
        let name = super::samples::hash_of(&owner);
        let fence: String = replica.command(&["HGET", &name, "f"]);
        assert_eq!(fence, mark.0.to_string());
    }

    replica.kill();
    let key = session();
    assert_eq!(
        create(&store, &owner, key, RevocationMark(u64::MAX)).await,
        Ok(Written::Applied)
    );
    let start = Instant::now();
    let revocation = async {
        let revoked = store.revoke(&owner, &REVOKED, MINUTE).await;
        (revoked, start.elapsed())
    };
    // No other operation waits for the replicas.
    let reads = async {
        for _ in 0..20 {
            store.read(&owner, &[key]).await.unwrap();
        }
        start.elapsed()
    };
    let ((revoked, waited), read) = join(revocation, reads).await;
    assert_eq!(revoked, Err(StoreError::Failed));
    assert!(
        waited >= Duration::from_millis(900) && read < waited,
        "{waited:?} {read:?}"
    );
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert_eq!(snapshot.entries, [None]);
}

/// A sign-out writes only deletions.
fn sign_out(session: RecordKey) -> [Write; 3] {
    [Family::Session, Family::Activity, Family::Tokens].map(|family| Write {
        key: RecordKey::new(family, session.id),
        condition: Condition::Any,
        change: Change::Delete,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_only_deletes_waits_for_the_replicas() {
    let Some(primary) = Server::start(&[]) else {
        return;
    };
    let of = format!("127.0.0.1 {}", primary.port());
    let Some(replica) = Server::start(&["--replicaof", &of]) else {
        return;
    };
    let store = primary.store().wait_for_replicas(1);
    let owner = owner();
    let name = super::samples::hash_of(&owner);
    let applied = || Ok::<_, StoreError>(Written::Applied);
    eventually(applied(), async || {
        store.write(&owner, &sign_out(session()), None).await
    })
    .await;
    let key = session();
    for _ in 0..5 {
        assert_eq!(
            create(&store, &owner, key, RevocationMark(0)).await,
            applied()
        );
        assert_eq!(store.write(&owner, &sign_out(key), None).await, applied());
        // The replica has the deletion when the store reports success. Only the fence remains. A
        // fence is the lowest mark that is still valid.
        let kept: Vec<Vec<u8>> = replica.command(&["HKEYS", &name]);
        assert_eq!(kept, [b"f"]);
    }

    replica.pause();
    // A write that stores a record does not wait for the replicas.
    let start = Instant::now();
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        applied()
    );
    let created = start.elapsed();
    let start = Instant::now();
    let deleted = store.write(&owner, &sign_out(key), None).await;
    let waited = start.elapsed();
    assert_eq!(deleted, Err(StoreError::Failed));
    assert!(
        waited >= Duration::from_millis(900) && created < waited,
        "{waited:?} {created:?}"
    );
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert_eq!(
        snapshot.entries,
        [None],
        "the primary has not applied the deletion"
    );
    replica.resume();
    eventually(applied(), async || {
        store.write(&owner, &sign_out(key), None).await
    })
    .await;
    let kept: Vec<Vec<u8>> = replica.command(&["HKEYS", &name]);
    assert_eq!(kept, [b"f"]);
}
