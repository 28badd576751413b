//! Tests that settle leases in a transaction of the app.

use std::time::Duration;

use bytes::Bytes;
use kycport::store::{
    Acquired, LeaseKey, LeaseToken, PostgresStore, Settlement, Store as _, StoreError,
};
use sqlx::{Connection as _, PgConnection};

use super::support::{database, server};
use crate::samples::{LONG, random_event};

const RESULT: Bytes = Bytes::from_static(b"result");

fn done() -> Settlement {
    Settlement::Done {
        result: RESULT,
        keep_for: LONG,
    }
}

/// Creates a store with an acquired lease, and a connection of the app to the same database.
async fn setup() -> Option<(PostgresStore, PgConnection, LeaseKey, LeaseToken)> {
    let url = database(server()?).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let connection = PgConnection::connect(&url).await.unwrap();
    let (key, token) = (random_event(), LeaseToken::random());
    let acquired = store.acquire(&key, token, LONG).await.unwrap();
    assert!(matches!(acquired, Acquired::Granted { .. }));
    Some((store, connection, key, token))
}

async fn acquire(store: &PostgresStore, key: &LeaseKey) -> Acquired {
    let other = LeaseToken::random();
    store.acquire(key, other, LONG).await.unwrap()
}

#[tokio::test]
async fn work_is_done_when_the_transaction_commits() {
    let Some((store, mut connection, key, token)) = setup().await else {
        return;
    };
    let mut transaction = connection.begin().await.unwrap();
    let settled = store.settle_in(&mut transaction, &key, token, done());
    assert!(settled.await.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(acquire(&store, &key).await, Acquired::Done(RESULT));
    // The webhook receiver completes the lease again.
    assert!(store.settle(&key, token, done()).await.unwrap());
}

#[tokio::test]
async fn work_is_not_done_when_the_transaction_rolls_back() {
    let Some((store, mut connection, key, token)) = setup().await else {
        return;
    };
    let mut transaction = connection.begin().await.unwrap();
    let settled = store.settle_in(&mut transaction, &key, token, done());
    assert!(settled.await.unwrap());
    transaction.rollback().await.unwrap();
    assert!(matches!(acquire(&store, &key).await, Acquired::Held(_)));
    assert!(store.settle(&key, token, done()).await.unwrap());
}

#[tokio::test]
async fn a_lease_settled_in_a_transaction_is_held_until_its_end() {
    let Some((store, mut connection, key, token)) = setup().await else {
        return;
    };
    let mut transaction = connection.begin().await.unwrap();
    for settlement in [Settlement::Extend(Duration::ZERO), done()] {
        let settled = store.settle_in(&mut transaction, &key, token, settlement);
        let _ = settled.await.unwrap();
        let Acquired::Held(left) = acquire(&store, &key).await else {
            panic!("the lease is not held");
        };
        assert!(!left.is_zero() && left <= LONG);
    }
    transaction.commit().await.unwrap();
}

/// A handler that runs longer than its lease can still complete the lease. In this time, no other
/// handler starts.
#[tokio::test]
async fn an_expired_lease_is_held_while_it_is_completed() {
    let Some((store, mut connection, ..)) = setup().await else {
        return;
    };
    let (key, token) = (random_event(), LeaseToken::random());
    let _ = store.acquire(&key, token, Duration::ZERO).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let settled = store.settle_in(&mut transaction, &key, token, done());
    assert!(settled.await.unwrap());
    assert!(matches!(acquire(&store, &key).await, Acquired::Held(_)));
    transaction.commit().await.unwrap();
    assert_eq!(acquire(&store, &key).await, Acquired::Done(RESULT));
}

#[tokio::test]
async fn another_token_cannot_settle_the_lease() {
    let Some((store, mut connection, key, _)) = setup().await else {
        return;
    };
    let mut transaction = connection.begin().await.unwrap();
    let other = LeaseToken::random();
    let settled = store.settle_in(&mut transaction, &key, other, done());
    assert!(!settled.await.unwrap());
    transaction.commit().await.unwrap();
    assert!(matches!(acquire(&store, &key).await, Acquired::Held(_)));
}

#[tokio::test]
async fn a_failed_transaction_is_an_error() {
    let Some((store, mut connection, key, token)) = setup().await else {
        return;
    };
    let mut transaction = connection.begin().await.unwrap();
    let failed = sqlx::raw_sql("SELECT 1 / 0").execute(&mut *transaction);
    failed.await.unwrap_err();
    let settled = store.settle_in(&mut transaction, &key, token, done());
    assert_eq!(settled.await, Err(StoreError::Failed));
}

#[tokio::test]
async fn the_database_of_the_store_is_recognised() {
    let Some((store, mut connection, ..)) = setup().await else {
        return;
    };
    assert!(store.is_database_of(&mut connection).await.unwrap());
    let mut transaction = connection.begin().await.unwrap();
    assert!(store.is_database_of(&mut transaction).await.unwrap());
    assert!(store.is_database_of(&mut transaction).await.unwrap());
    transaction.commit().await.unwrap();

    let other = database(server().unwrap()).await;
    let mut other = PgConnection::connect(&other).await.unwrap();
    assert!(!store.is_database_of(&mut other).await.unwrap());
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let Some((store, mut connection, key, token)) = setup().await else {
        return;
    };
    let mut transaction = connection.begin().await.unwrap();
    let off = "SET LOCAL synchronous_commit = off";
    sqlx::raw_sql(off).execute(&mut *transaction).await.unwrap();
    let settled = store.settle_in(&mut transaction, &key, token, done());
    assert!(settled.await.unwrap());
    let setting: String = sqlx::query_scalar("SHOW synchronous_commit")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(setting, "on");
}
