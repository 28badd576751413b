//! Revocations that wait for replicas.

use std::time::Duration;

use futures_util::future::join;
use kycport::store::{Mark, Store as _, StoreError, Written};
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
            create(&store, &owner, key, Mark(u64::MAX)).await,
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
        create(&store, &owner, key, Mark(u64::MAX)).await,
        Ok(Written::Applied)
    );
    let start = Instant::now();
    let revocation = async {
        let revoked = store.revoke(&owner, &REVOKED, MINUTE).await;
        (revoked, start.elapsed())
    };
    // Nothing else waits for the replicas.
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
