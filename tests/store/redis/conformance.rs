//! Tests that run the conformance suite on a Redis server.

use std::{sync::Arc, time::Duration};

use kycport::store::{RedisStore, Store as _, conformance};

use super::server::Server;

#[expect(clippy::disallowed_methods, reason = "Redis uses the machine's clock")]
pub(super) async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_conforms() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_redis_store_conforms_with_callers_on_several_threads() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    for _ in 0..10 {
        let store = Arc::new(server.store());
        conformance::check_in_parallel(store).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_conforms_with_resp3_and_another_prefix() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let client = redis::Client::open(format!("{}/?protocol=resp3", server.url())).unwrap();
    let store = RedisStore::with_client(&client).prefix("other {app}:");
    conformance::check(&store, pass).await.unwrap();
    let other: Vec<String> = server.command(&["KEYS", "other {app}:*"]);
    let all: Vec<String> = server.command(&["KEYS", "*"]);
    assert_eq!(other.len(), all.len());
}

#[tokio::test]
async fn every_stored_key_expires() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = server.store();
    conformance::check(&store, pass).await.unwrap();
    for ending in ["o", "l"] {
        let keys = server.keys(ending);
        assert!(!keys.is_empty());
        for key in keys {
            let left: i64 = server.command(&["PTTL", &key]);
            assert!(left > 0 || left == -2, "{key} expires in {left} ms");
        }
    }
}

#[test]
fn the_redis_store_is_shared_and_durable() {
    let store = RedisStore::open("redis://localhost").unwrap();
    let properties = store.properties();
    assert!(properties.shared && properties.durable);
    assert_eq!(properties.name, "redis");
}
