//! Tests with servers that do not respond.

use std::time::Duration;

use kycport::store::{LeaseToken, RedisStore, RevocationMark, Store as _, StoreError, Written};
use tokio::{task::JoinSet, time::Instant};

use super::{
    samples::{MINUTE, REVOKED, create, eventually, login, owner, put, random, session},
    server::{Server, free_port},
};

#[test]
fn a_store_can_be_opened_outside_a_runtime_and_without_a_server() {
    let port = free_port();
    let store = RedisStore::open(&format!("redis://127.0.0.1:{port}")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let check = || runtime.block_on(store.check());
    assert_eq!(check(), Err(StoreError::Unreachable));
    if Server::start(&[]).is_none() {
        return;
    }
    let server = Server::start_on(port, &[]).unwrap();
    assert_eq!(server.command::<String>(&["PING"]), "PONG");
    runtime.block_on(eventually(Ok(()), async || store.check().await));
}

#[test]
fn a_store_works_in_successive_runtimes() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = server.store();
    for _ in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(store.check()).unwrap();
    }
}

#[tokio::test]
async fn a_store_without_a_server_is_unreachable() {
    let port = free_port();
    let url = format!("redis://127.0.0.1:{port}");
    let connected = RedisStore::connect(&url).await;
    assert_eq!(connected.err(), Some(StoreError::Unreachable));
    let store = RedisStore::open(&url).unwrap();
    let (unreachable, key) = (StoreError::Unreachable, login(random()));
    assert_eq!(store.read(&owner(), &[]).await, Err(unreachable));
    let acquired = store.acquire(&key, LeaseToken::random(), MINUTE).await;
    assert_eq!(acquired, Err(unreachable));
    let unknown = RedisStore::connect("redis://no-such-host.invalid").await;
    assert_eq!(unknown.err(), Some(unreachable));
    let invalid = RedisStore::connect("redis://host/one").await;
    assert_eq!(invalid.err(), Some(unreachable));
}

#[test]
fn debug_output_contains_no_password() {
    let store = RedisStore::open("rediss://user:canary@host/1").unwrap();
    let shown = format!("{store:?}");
    assert!(!shown.contains("canary") && !shown.contains("user:") && !shown.contains("host"));
    assert!(shown.contains("kycport:"), "{shown}");
    let store = RedisStore::open("redis+cluster://user:canary@host").unwrap();
    assert!(!format!("{store:?}").contains("canary"));
}

#[tokio::test]
async fn a_closed_connection_is_replaced_without_a_failed_operation() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner) = (server.store(), owner());
    for _ in 0..5 {
        let written = create(&store, &owner, session(), RevocationMark(0)).await;
        assert_eq!(written, Ok(Written::Applied));
        server.disconnect_all();
        // The connection's task needs time to detect the closed connection.
        super::conformance::pass(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_recovers_after_the_server_was_killed_and_restarted() {
    let Some(mut server) = Server::durable(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    let revoked = super::samples::owner();
    let fence = store.revoke(&revoked, &REVOKED, MINUTE).await.unwrap();
    server.kill();
    for _ in 0..3 {
        let read = store.read(&owner, &[key]).await;
        assert_eq!(read, Err(StoreError::Unreachable));
    }
    server.restart();
    eventually(Ok(()), async || store.check().await).await;
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert!(snapshot.entries[0].is_some() && snapshot.fence == Some(RevocationMark(0)));
    let snapshot = store.read(&revoked, &[]).await.unwrap();
    assert_eq!(snapshot.fence, Some(fence));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_times_out_and_recovers() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    server.pause();
    let start = Instant::now();
    let mut reads = JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        reads.spawn(async move { store.read(&owner, &[key]).await });
    }
    // The server may execute a write from the silent period when the server resumes.
    let late = session();
    let written = create(&store, &owner, late, RevocationMark(0)).await;
    assert_eq!(written, Err(StoreError::Timeout));
    for read in reads.join_all().await {
        assert_eq!(read, Err(StoreError::Timeout));
    }
    let passed = start.elapsed();
    let expected = Duration::from_millis(4900)..Duration::from_secs(7);
    assert!(expected.contains(&passed), "{passed:?}");
    // The store has closed the silent connection, and a new connection receives no response.
    let read = store.read(&owner, &[key]).await;
    assert_eq!(read, Err(StoreError::Unreachable));

    server.resume();
    eventually(Ok(()), async || store.check().await).await;
    for _ in 0..100 {
        let snapshot = store.read(&owner, &[key]).await.unwrap();
        assert!(snapshot.entries[0].is_some());
    }
}

/// The server is silent for less time than the deadline of an operation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_survive_a_short_silence() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    server.pause();
    let mut reads = JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        reads.spawn(async move { store.read(&owner, &[key]).await });
    }
    super::conformance::pass(Duration::from_millis(800)).await;
    server.resume();
    for read in reads.join_all().await {
        assert!(read.unwrap().entries[0].is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_operation_does_not_affect_others() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    let first = put(key, kycport::store::Condition::Any);
    let written = store.write(&owner, &[first], Some(RevocationMark(0))).await;
    assert_eq!(written, Ok(Written::Applied));
    let mut dropped = 0;
    for round in 0..400 {
        let limit = Duration::from_micros(round % 40 * 5);
        let write = [put(session(), kycport::store::Condition::Absent)];
        let cut = tokio::time::timeout(limit, store.write(&owner, &write, None)).await;
        dropped += usize::from(cut.is_err());
        let other = super::samples::owner();
        let snapshot = store.read(&other, &[key]).await.unwrap();
        assert_eq!(snapshot.entries, [None]);
        let snapshot = store.read(&owner, &[key]).await.unwrap();
        assert!(snapshot.entries[0].is_some());
    }
    assert!(dropped > 0);
}

/// The test cancels the caller that connects on behalf of all callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_dropped_connection_attempt_the_next_operation_connects() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    server.pause();
    let store = server.store();
    let cut = tokio::time::timeout(Duration::from_millis(50), store.check()).await;
    assert!(cut.is_err());
    server.resume();
    store.check().await.unwrap();
}
