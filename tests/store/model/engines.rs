//! Tests that compare the model with engines whose clock a test cannot change.

use kycport::store::{
    MemoryStore, PostgresStore, RedisStore, SqliteStore, Store, TowerSessionsStore,
};
use tower_sessions::MemoryStore as TowerStore;

use super::{Time, run, seeds};
use crate::servers;

/// Number of random sequences per engine.
const SEQUENCES: u64 = 4;

async fn check(store: &dyn Store) {
    for seed in seeds(SEQUENCES) {
        run(store, seed, Time::Real { waits: 2 }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_matches_the_model() {
    let Some(server) = servers::redis() else {
        return;
    };
    check(&RedisStore::connect(&server.url()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_matches_the_model() {
    let Some(server) = servers::postgres() else {
        return;
    };
    check(&PostgresStore::connect(&server.url()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_matches_the_model() {
    let name = format!("kycport-model-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("kycport.db");
    let store = SqliteStore::connect(file.to_str().unwrap()).await.unwrap();
    check(&store).await;
    drop(store);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_tower_sessions_adapter_matches_the_model() {
    let second = MemoryStore::default();
    let store = TowerSessionsStore::danger_unshared(TowerStore::default(), second);
    check(&store).await;
}
