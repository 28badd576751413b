//! Tests with both stores on the same server, as in an app with several instances.

use std::{sync::Arc, time::Duration};

use kycport::store::{
    LeaseToken, PostgresStore, RedisStore, SqliteStore, Store, TowerSessionsStore, conformance,
};
use sqlx::{PgPool, SqlitePool};
use tower_sessions::SessionStore;
use tower_sessions_redis_store::RedisStore as RedisSessions;
use tower_sessions_sqlx_store::{PostgresStore as PostgresSessions, SqliteStore as SqliteSessions};

use super::SUITES;
use crate::servers::{self, Server};

async fn check(sessions: impl SessionStore, second: impl Store) {
    let _turn = SUITES.lock().await;
    let store = TowerSessionsStore::new(sessions, second).unwrap();
    store.check().await.unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the stores run on the server's clock"
    )]
    let pass = |by: Duration| tokio::time::sleep(by);
    conformance::check(&store, pass).await.unwrap();
    conformance::check_in_parallel(Arc::new(store))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tower_sessions_and_the_second_store_in_redis_conform() {
    let Some(redis) = servers::redis() else {
        return;
    };
    let sessions = RedisSessions::new(redis.redis_pool().await);
    let url = format!("redis://:{}@127.0.0.1:{}", Server::PASSWORD, redis.port());
    check(sessions, RedisStore::connect(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tower_sessions_and_the_second_store_in_postgres_conform() {
    let Some(postgres) = servers::postgres() else {
        return;
    };
    let admin = postgres.postgres_pool().await;
    let database = format!("tower_{:032x}", u128::from_be_bytes(LeaseToken::random().0));
    sqlx::raw_sql(&format!("CREATE DATABASE {database}"))
        .execute(&admin)
        .await
        .unwrap();
    let port = postgres.port();
    let url = format!("postgres://postgres@127.0.0.1:{port}/{database}");
    let pool = PgPool::connect(&url).await.unwrap();
    let sessions = PostgresSessions::new(pool);
    sessions.migrate().await.unwrap();
    check(sessions, PostgresStore::connect(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tower_sessions_and_the_second_store_in_sqlite_conform() {
    let folder = format!(
        "kycport-tower-{:032x}",
        u128::from_be_bytes(LeaseToken::random().0)
    );
    let folder = std::env::temp_dir().join(folder);
    std::fs::create_dir(&folder).unwrap();
    let sessions = format!("sqlite://{}/sessions.db?mode=rwc", folder.display());
    let pool = SqlitePool::connect(&sessions).await.unwrap();
    sqlx::raw_sql("PRAGMA journal_mode = WAL")
        .execute(&pool)
        .await
        .unwrap();
    let sessions = SqliteSessions::new(pool.clone());
    sessions.migrate().await.unwrap();
    let url = format!("sqlite://{}/kycport.db", folder.display());
    check(sessions, SqliteStore::connect(&url).await.unwrap()).await;
    pool.close().await;
    std::fs::remove_dir_all(folder).unwrap();
}
