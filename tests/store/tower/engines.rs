//! Tests that run the conformance suite on the adapter with existing tower-sessions stores.

use std::sync::Arc;

use async_trait::async_trait;
use kycport::{
    TestClock,
    store::{Condition, Entry, MemoryStore, Store as _, TowerSessionsStore, Written, conformance},
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::Result,
};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use super::{
    SUITES, body_of, put, random_owner, read,
    second::{Fault, Op, TestSecond},
    session,
};
use crate::servers;

/// Checks the adapter on a tower-sessions store and a second store with a test clock.
async fn check(sessions: impl SessionStore + Clone) {
    let _turn = SUITES.lock().await;
    let clock = TestClock::new();
    let second = MemoryStore::new(100_000, Arc::new(clock.clone()));
    let store = TowerSessionsStore::danger_unshared(sessions.clone(), second);
    store.check().await.unwrap();
    conformance::check(&store, async |by| clock.advance(by))
        .await
        .unwrap();
    conformance::check_in_parallel(Arc::new(store))
        .await
        .unwrap();
    check_taken_id(sessions).await;
}

/// Checks that the adapter accepts a body that already exists. A body can already exist if the
/// first attempt of a write lost its response, and the adapter could not delete the body.
async fn check_taken_id(sessions: impl SessionStore) {
    let second = TestSecond::new(MemoryStore::default());
    let store = TowerSessionsStore::danger_unshared(KeepsBodies(sessions), second.clone());
    let owner = random_owner();
    let write = [put(session(1), Condition::Absent, 1, body_of(1))];
    second.break_on(Op::Write, Fault::LosesAnswer);
    store.write(&owner, &write, None).await.unwrap_err();
    second.repair();
    let repeated = store.write(&owner, &write, None).await.unwrap();
    let Written::Conflict(snapshot) = repeated else {
        panic!("{repeated:?}");
    };
    let own = Entry {
        version: 1,
        body: body_of(1),
    };
    assert_eq!(snapshot.entries, [Some(own)]);
    let found = read(&store, &owner, session(1)).await.unwrap();
    assert_eq!(found, Some(body_of(1)));
}

/// Tower-sessions store that never deletes a record.
#[derive(Debug, Clone)]
struct KeepsBodies<S>(S);

#[async_trait]
impl<S: SessionStore> SessionStore for KeepsBodies<S> {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.0.create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.0.save(record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.0.load(id).await
    }

    async fn delete(&self, _: &Id) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tower_sessions_in_memory_with_a_second_store_conform() {
    check(tower_sessions::MemoryStore::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tower_sessions_in_redis_with_a_second_store_conform() {
    let Some(redis) = servers::redis() else {
        return;
    };
    check(RedisStore::new(redis.redis_pool().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tower_sessions_in_postgres_with_a_second_store_conform() {
    let Some(postgres) = servers::postgres() else {
        return;
    };
    let sessions = PostgresStore::new(postgres.postgres_pool().await);
    sessions.migrate().await.unwrap();
    check(sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tower_sessions_in_sqlite_with_a_second_store_conform() {
    let name = format!("kycport-tower-{}.db", std::process::id());
    let file = std::env::temp_dir().join(name);
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off);
    let pool = SqlitePoolOptions::new().max_connections(4);
    let pool = pool.connect_with(options).await.unwrap();
    let sessions = SqliteStore::new(pool.clone());
    sessions.migrate().await.unwrap();
    check(sessions).await;
    pool.close().await;
    std::fs::remove_file(file).unwrap();
}
