//! Tests that the Postgres store follows the rules of `Store`.

mod faults;
mod lost_answers;
mod pooler;
mod races;
mod support;
mod tables;
mod tls;
mod transactions;

use std::{sync::Arc, time::Duration};

use kycport::store::{Condition, PostgresStore, RevocationMark, Store, conformance};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::samples::{self, LONG, create, has, pass, put_for, random_owner, random_session};
use support::{database, server};

#[tokio::test]
async fn the_postgres_store_conforms() {
    let Some(server) = server() else { return };
    let store = PostgresStore::connect(&database(server).await)
        .await
        .unwrap();
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_postgres_store_conforms_with_callers_on_several_threads() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    conformance::check_in_parallel(Arc::new(store))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_postgres_store_conforms_on_the_pool_of_an_app() {
    let Some(server) = server() else { return };
    let pool = PgPool::connect(&database(server).await).await.unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    conformance::check(&store, pass).await.unwrap();
    conformance::check_in_parallel(Arc::new(store))
        .await
        .unwrap();
}

/// At a stricter isolation level, a statement does not see changes that another transaction commits
/// while the statement waits for a lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_postgres_store_conforms_if_serializable_is_the_default() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let admin = PgPool::connect(&url).await.unwrap();
    let name = url.rsplit_once('/').unwrap().1;
    let setting = "default_transaction_isolation = 'serializable'";
    let alter = format!("ALTER DATABASE {name} SET {setting}");
    sqlx::raw_sql(&alter).execute(&admin).await.unwrap();
    let own = PostgresStore::connect(&url).await.unwrap();
    let pooled = PostgresStore::new(PgPool::connect(&url).await.unwrap());
    for store in [own, pooled] {
        conformance::check_in_parallel(Arc::new(store))
            .await
            .unwrap();
    }
}

#[test]
fn a_store_opened_outside_a_runtime_works_in_several_runtimes() {
    let Some(server) = server() else { return };
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let url = runtime().block_on(database(server));
    let store = PostgresStore::open(&url).unwrap();
    let owner = random_owner();
    let key = runtime().block_on(create(&store, &owner));
    assert!(runtime().block_on(has(&store, &owner, key)));
    assert!(runtime().block_on(has(&store, &owner, key)));
}

#[tokio::test]
async fn a_lost_fence_is_reported_as_none() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let owner = random_owner();
    let key = create(&store, &owner).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let delete = "DELETE FROM kycport_records WHERE get_byte(key, 32) = 0";
    sqlx::query(delete).execute(&mut connection).await.unwrap();
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert!(snapshot.fence.is_none() && snapshot.entries[0].is_some());
}

#[tokio::test]
async fn cancelled_reads_do_not_affect_others() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let owner = random_owner();
    let key = create(&store, &owner).await;
    for round in 0..40 {
        let reads = (0..8).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { has(&store, &owner, key).await })
        });
        let reads: Vec<_> = reads.collect();
        for _ in 0..round % 5 {
            tokio::task::yield_now().await;
        }
        for (number, read) in reads.into_iter().enumerate() {
            if number % 2 == round % 2 {
                read.abort();
            } else {
                assert!(read.await.unwrap());
            }
        }
    }
    assert!(has(&store, &owner, key).await);
}

#[tokio::test]
async fn a_sweep_skips_locked_rows() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let owner = random_owner();
    let short = Duration::from_secs(1);
    let writes: Vec<_> = (0..3)
        .map(|_| put_for(random_session(), Condition::Any, short))
        .collect();
    let _ = store.write(&owner, &writes, None).await.unwrap();

    // The test locks the row before the row expires, because the store also removes expired rows by
    // itself.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let lock = "SELECT key FROM kycport_records LIMIT 1 FOR UPDATE";
    sqlx::query(lock)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    pass(short).await;
    assert!(store.sweep(100).await.unwrap() <= 2);
    let count = "SELECT count(*) FROM kycport_records";
    let left: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(left, 1);
    transaction.rollback().await.unwrap();
    assert!(store.sweep(100).await.unwrap() <= 1);
    let left: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_sweep_finds_expired_rows_by_an_index() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let fill = "INSERT INTO kycport_records SELECT decode(md5(i::text), 'hex'), 0, \
                now() + interval '1 day', '' FROM generate_series(1, 20000) AS i";
    sqlx::query(fill).execute(&mut connection).await.unwrap();
    sqlx::raw_sql("ANALYZE")
        .execute(&mut connection)
        .await
        .unwrap();
    let explain = "EXPLAIN SELECT key FROM kycport_records \
                   WHERE expires_at <= statement_timestamp() ORDER BY expires_at LIMIT 100 \
                   FOR UPDATE SKIP LOCKED";
    let plan: Vec<String> = sqlx::query_scalar(explain)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("kycport_records_expires_at"), "{plan}");
    assert_eq!(store.sweep(100).await.unwrap(), 0);
}

#[tokio::test]
async fn the_postgres_store_is_shared_and_durable_and_passes_its_check() {
    let Some(server) = server() else { return };
    let store = PostgresStore::connect(&database(server).await)
        .await
        .unwrap();
    let properties = store.properties();
    assert!(properties.shared && properties.durable);
    store.check().await.unwrap();
    assert_eq!(format!("{store:?}"), "PostgresStore { .. }");
}

#[tokio::test]
async fn the_mark_of_a_login_is_lower_than_the_mark_of_a_later_revocation() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let (one, other) = (
        PostgresStore::connect(&url).await.unwrap(),
        PostgresStore::connect(&url).await.unwrap(),
    );
    let owner = random_owner();
    let mut highest = RevocationMark(0);
    for _ in 0..5 {
        let first = one.revoke(&owner, &samples::REVOKED, LONG).await.unwrap();
        let second = other.revoke(&owner, &samples::REVOKED, LONG).await.unwrap();
        assert!(highest < first && first < second);
        highest = second;
    }
}
