//! The replay stores on real servers.

use std::{sync::Arc, time::Duration};

use kycport::webhook::{
    Begun, Claim, EventKey, LeaseToken, PostgresReplayStore, RedisReplayStore, ReplayStore,
    ReplayStoreUnavailable, Settled, conformance,
};
use sqlx::PgPool;

use crate::{
    replay_store::one_effect,
    servers::{self, Server},
};

const LEASE: Duration = Duration::from_secs(600);

fn key() -> EventKey {
    EventKey::of(LeaseToken::random().as_str())
}

/// The servers have clocks of their own.
#[expect(clippy::disallowed_methods, reason = "no test moves a server's clock")]
async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}

async fn acquire(store: &dyn ReplayStore, key: &EventKey) -> LeaseToken {
    match store.begin(key, LEASE).await.unwrap() {
        Begun::Acquired(token) => token,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_store_in_redis_does_what_a_store_must() {
    // cases 130, 131
    let Some(server) = servers::redis() else {
        return;
    };
    let store = RedisReplayStore::new(server.redis_pool().await);
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_deliveries_at_once_have_one_effect_in_redis() {
    // case 130
    let Some(server) = servers::redis() else {
        return;
    };
    one_effect(Arc::new(RedisReplayStore::new(server.redis_pool().await))).await;
}

#[tokio::test]
async fn two_instances_share_a_redis_and_two_apps_do_not() {
    // case 130
    let Some(server) = servers::redis() else {
        return;
    };
    let one = RedisReplayStore::new(server.redis_pool().await);
    let two = RedisReplayStore::new(server.redis_pool().await);
    let other = RedisReplayStore::new(server.redis_pool().await).prefix("other:");
    let key = key();
    let token = acquire(&one, &key).await;
    assert!(matches!(
        two.begin(&key, LEASE).await,
        Ok(Begun::InFlight(_))
    ));
    assert_eq!(
        two.complete(&key, &token, LEASE).await,
        Ok(Settled::Applied)
    );
    assert_eq!(one.begin(&key, LEASE).await, Ok(Begun::Done));
    acquire(&other, &key).await;
}

#[tokio::test]
async fn a_redis_that_is_down_is_not_available() {
    // case 131
    let Some(mut server) = Server::redis() else {
        return;
    };
    let store = RedisReplayStore::new(server.redis_pool().await);
    let key = key();
    let token = acquire(&store, &key).await;
    server.stop();
    let (begun, completed, released) = tokio::join!(
        store.begin(&key, LEASE),
        store.complete(&key, &token, LEASE),
        store.release(&key, &token),
    );
    assert_eq!(begun, Err(ReplayStoreUnavailable));
    assert_eq!(completed, Err(ReplayStoreUnavailable));
    assert_eq!(released, Err(ReplayStoreUnavailable));
}

async fn postgres() -> Option<(PostgresReplayStore, PgPool)> {
    let pool = servers::postgres()?.postgres_pool().await;
    let store = PostgresReplayStore::new(pool.clone());
    store.migrate().await.unwrap();
    Some((store, pool))
}

#[tokio::test]
async fn the_store_in_postgres_does_what_a_store_must() {
    // cases 130, 131
    let Some((store, _)) = postgres().await else {
        return;
    };
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_deliveries_at_once_have_one_effect_in_postgres() {
    // case 130
    let Some((store, _)) = postgres().await else {
        return;
    };
    one_effect(Arc::new(store)).await;
}

#[tokio::test]
async fn instances_may_all_migrate_at_once_and_again() {
    let Some((store, pool)) = postgres().await else {
        return;
    };
    let others: Vec<_> = (0..4)
        .map(|_| PostgresReplayStore::new(pool.clone()))
        .collect();
    futures_util::future::try_join_all(others.iter().map(PostgresReplayStore::migrate))
        .await
        .unwrap();
    store.migrate().await.unwrap();
}

#[tokio::test]
async fn a_postgres_that_is_down_is_not_available() {
    // case 131
    let Some(mut server) = Server::postgres() else {
        return;
    };
    let store = PostgresReplayStore::new(server.postgres_pool().await);
    let no_table = store.begin(&key(), LEASE).await;
    assert_eq!(no_table, Err(ReplayStoreUnavailable));
    store.migrate().await.unwrap();
    let key = key();
    let token = acquire(&store, &key).await;
    server.stop();
    let (begun, completed, released) = tokio::join!(
        store.begin(&key, LEASE),
        store.complete(&key, &token, LEASE),
        store.release(&key, &token),
    );
    assert_eq!(begun, Err(ReplayStoreUnavailable));
    assert_eq!(completed, Err(ReplayStoreUnavailable));
    assert_eq!(released, Err(ReplayStoreUnavailable));
}

/// A table for the effects of a test.
async fn effects(pool: &PgPool) {
    let table = "CREATE TABLE IF NOT EXISTS effects (key text)";
    let mut transaction = pool.begin().await.unwrap();
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(1)");
    lock.execute(&mut *transaction).await.unwrap();
    sqlx::query(table).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn write(transaction: &mut sqlx::PgConnection, key: &EventKey) {
    let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(key.as_str());
    insert.execute(transaction).await.unwrap();
}

async fn written(pool: &PgPool, key: &EventKey) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM effects WHERE key = $1");
    count.bind(key.as_str()).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn an_event_is_done_when_its_effect_commits_and_not_before() {
    // cases 130, 131
    let Some((store, pool)) = postgres().await else {
        return;
    };
    effects(&pool).await;
    let key = key();
    let claim = Claim::new(key.clone(), acquire(&store, &key).await, LEASE);

    let mut transaction = pool.begin().await.unwrap();
    write(&mut transaction, &key).await;
    let settled = store.complete_in(&mut transaction, &claim).await;
    assert_eq!(settled, Ok(Settled::Applied));
    transaction.rollback().await.unwrap();
    assert_eq!(written(&pool, &key).await, 0);
    assert!(matches!(
        store.begin(&key, LEASE).await,
        Ok(Begun::InFlight(_))
    ));

    let mut transaction = pool.begin().await.unwrap();
    write(&mut transaction, &key).await;
    let settled = store.complete_in(&mut transaction, &claim).await;
    assert_eq!(settled, Ok(Settled::Applied));
    transaction.commit().await.unwrap();
    assert_eq!(written(&pool, &key).await, 1);
    assert_eq!(store.begin(&key, LEASE).await, Ok(Begun::Done));
}

#[tokio::test]
async fn who_was_replaced_cannot_commit() {
    // case 130
    let Some((store, pool)) = postgres().await else {
        return;
    };
    effects(&pool).await;
    let key = key();
    let first = match store.begin(&key, Duration::ZERO).await {
        Ok(Begun::Acquired(token)) => token,
        other => panic!("{other:?}"),
    };
    pass(Duration::from_millis(50)).await;
    let second = acquire(&store, &key).await;
    let mut transaction = pool.begin().await.unwrap();
    write(&mut transaction, &key).await;
    let settled = store
        .complete_in(&mut transaction, &Claim::new(key.clone(), first, LEASE))
        .await;
    assert_eq!(settled, Ok(Settled::Lost));
    transaction.rollback().await.unwrap();
    let settled = store.complete(&key, &second, LEASE).await;
    assert_eq!(settled, Ok(Settled::Applied));
    assert_eq!(written(&pool, &key).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_in_the_handlers_transaction_has_one_effect() {
    // cases 130, 131
    let Some((store, pool)) = postgres().await else {
        return;
    };
    effects(&pool).await;
    let key = key();
    let consumers = (0..20).map(|n| {
        let (store, pool, key) = (store.clone(), pool.clone(), key.clone());
        tokio::spawn(async move {
            let mut transaction = pool.begin().await.unwrap();
            let claimed = store.claim_in(&mut transaction, &key, LEASE).await.unwrap();
            if let Begun::Acquired(_) = claimed {
                write(&mut transaction, &key).await;
                // The first few fail after they claimed.
                if n < 3 {
                    return transaction.rollback().await.unwrap();
                }
            }
            transaction.commit().await.unwrap();
        })
    });
    for consumer in consumers.collect::<Vec<_>>() {
        consumer.await.unwrap();
    }
    assert_eq!(written(&pool, &key).await, 1);
    assert_eq!(store.begin(&key, LEASE).await, Ok(Begun::Done));

    let held = self::key();
    let _ = acquire(&store, &held).await;
    let mut transaction = pool.begin().await.unwrap();
    let claimed = store.claim_in(&mut transaction, &held, LEASE).await;
    assert!(matches!(claimed, Ok(Begun::InFlight(_))));
}

#[tokio::test]
async fn what_need_not_be_remembered_is_swept() {
    let Some((store, pool)) = postgres().await else {
        return;
    };
    let rows = async |key: &EventKey| -> i64 {
        let count =
            sqlx::query_scalar("SELECT count(*) FROM kycport_webhook_events WHERE key = $1");
        count.bind(key.as_str()).fetch_one(&pool).await.unwrap()
    };
    let (gone, stays, held) = (key(), key(), key());
    let token = acquire(&store, &gone).await;
    let settled = store.complete(&gone, &token, Duration::ZERO).await;
    assert_eq!(settled, Ok(Settled::Applied));
    acquire(&store, &held).await;
    pass(Duration::from_millis(50)).await;
    let token = acquire(&store, &stays).await;
    // Completing sweeps.
    let settled = store.complete(&stays, &token, LEASE).await;
    assert_eq!(settled, Ok(Settled::Applied));
    // Or another test does, which may not have committed yet.
    for _ in 0..100 {
        if rows(&gone).await == 0 {
            break;
        }
        pass(Duration::from_millis(20)).await;
    }
    assert_eq!(
        (rows(&gone).await, rows(&stays).await, rows(&held).await),
        (0, 1, 1)
    );
}

/// Every completion sweeps: it must not get slower with all that is remembered.
#[tokio::test]
async fn what_is_remembered_is_not_read_when_sweeping() {
    let Some(server) = Server::postgres() else {
        return;
    };
    let pool = server.postgres_pool().await;
    let store = PostgresReplayStore::new(pool.clone());
    store.migrate().await.unwrap();
    let many = "INSERT INTO kycport_webhook_events
        SELECT n::text, '', NULL, now() + interval '1 day' FROM generate_series(1, 10000) AS n";
    sqlx::query(many).execute(&pool).await.unwrap();
    assert_eq!(store.sweep().await, Ok(0));
    let rows = rows_read(&server, pool, "kycport_webhook_events_keep_until").await;
    assert!(rows < 100, "{rows}");
}

/// How many entries of an index were read through `pool`, which used it.
pub(crate) async fn rows_read(server: &Server, pool: PgPool, index: &str) -> i64 {
    // A connection says what it read when it ends, at the latest.
    pool.close().await;
    let pool = server.postgres_pool().await;
    let read = "SELECT idx_scan, idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = $1";
    for _ in 0..250 {
        let read = sqlx::query_as(read).bind(index);
        let (scans, rows): (i64, i64) = read.fetch_one(&pool).await.unwrap();
        if scans > 0 {
            return rows;
        }
        pass(Duration::from_millis(20)).await;
    }
    panic!("the index was not used");
}

#[tokio::test]
async fn debug_shows_nothing_of_the_connection() {
    // case 137
    if let Some(server) = servers::redis() {
        let store = RedisReplayStore::new(server.redis_pool().await);
        assert_eq!(
            format!("{store:?}"),
            "RedisReplayStore { prefix: \"kycport:webhook:\", .. }"
        );
    }
    if let Some((store, _)) = postgres().await {
        assert_eq!(format!("{store:?}"), "PostgresReplayStore");
    }
}
