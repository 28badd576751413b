//! Tests that settle leases in a transaction of the app.

use std::time::Duration;

use bytes::Bytes;
use kycport::store::{Acquired, LeaseKey, LeaseToken, Settlement, SqliteStore, Store as _};
use sqlx::{Connection as _, SqliteConnection};

use super::directory::Directory;
use crate::samples::{LONG, random_event};

const RESULT: Bytes = Bytes::from_static(b"result");

fn done() -> Settlement {
    Settlement::Done {
        result: RESULT,
        keep_for: LONG,
    }
}

async fn setup() -> (
    Directory,
    SqliteStore,
    SqliteConnection,
    LeaseKey,
    LeaseToken,
) {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    let connection = directory.connection().await;
    let (key, token) = (random_event(), LeaseToken::random());
    let acquired = store.acquire(&key, token, LONG).await.unwrap();
    assert!(matches!(acquired, Acquired::Granted { .. }));
    (directory, store, connection, key, token)
}

async fn acquire(store: &SqliteStore, key: &LeaseKey) -> Acquired {
    let other = LeaseToken::random();
    store.acquire(key, other, LONG).await.unwrap()
}

#[tokio::test]
async fn work_is_done_when_the_transaction_commits() {
    let (_directory, store, mut connection, key, token) = setup().await;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let settled = store.settle_in(&mut transaction, &key, token, done());
    assert!(settled.await.unwrap());
    assert!(matches!(acquire(&store, &key).await, Acquired::Held(_)));
    transaction.commit().await.unwrap();
    assert_eq!(acquire(&store, &key).await, Acquired::Done(RESULT));
    assert!(store.settle(&key, token, done()).await.unwrap());
}

#[tokio::test]
async fn work_is_not_done_when_the_transaction_rolls_back() {
    let (_directory, store, mut connection, key, token) = setup().await;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let settled = store.settle_in(&mut transaction, &key, token, done());
    assert!(settled.await.unwrap());
    transaction.rollback().await.unwrap();
    assert!(matches!(acquire(&store, &key).await, Acquired::Held(_)));
    assert!(store.settle(&key, token, done()).await.unwrap());
}

#[tokio::test]
async fn another_token_cannot_settle_the_lease() {
    let (_directory, store, mut connection, key, _) = setup().await;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let other = LeaseToken::random();
    let settled = store.settle_in(&mut transaction, &key, other, done());
    assert!(!settled.await.unwrap());
    transaction.commit().await.unwrap();
}

/// A handler that runs longer than its lease can still complete the lease. In this time, the next
/// handler waits.
#[tokio::test]
async fn an_expired_lease_is_not_granted_while_it_is_completed() {
    let (_directory, store, mut connection, ..) = setup().await;
    let (key, token) = (random_event(), LeaseToken::random());
    let _ = store.acquire(&key, token, Duration::ZERO).await.unwrap();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let settled = store.settle_in(&mut transaction, &key, token, done());
    assert!(settled.await.unwrap());
    let next = {
        let store = store.clone();
        tokio::spawn(async move { acquire(&store, &key).await })
    };
    tokio::task::yield_now().await;
    transaction.commit().await.unwrap();
    assert_eq!(next.await.unwrap(), Acquired::Done(RESULT));
}

#[tokio::test]
async fn the_file_of_the_store_is_recognised() {
    let (_directory, store, mut connection, ..) = setup().await;
    assert!(store.is_database_of(&mut connection).await.unwrap());
    let (_other, _, mut connection, ..) = setup().await;
    assert!(!store.is_database_of(&mut connection).await.unwrap());
    let memory = SqliteConnection::connect("sqlite::memory:");
    let mut memory = memory.await.unwrap();
    assert!(!store.is_database_of(&mut memory).await.unwrap());
}
