//! Tests that the SQLite store follows the rules of `Store`.

mod damage;
mod directory;
mod disk;
mod processes;
mod transactions;

use std::{sync::Arc, time::Duration};

use kycport::store::{
    Acquired, LeaseToken, SqliteConnectError, SqliteStore, Store as _, StoreError, conformance,
};
use sqlx::{Connection as _, SqliteConnection};

use crate::samples::{LONG, create, has, pass, random_event, random_owner, write_and_read};
use directory::Directory;

#[tokio::test]
async fn the_sqlite_store_conforms() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_store_conforms_with_callers_on_several_threads() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    conformance::check_in_parallel(Arc::new(store))
        .await
        .unwrap();
}

#[test]
fn a_store_opened_outside_a_runtime_works_in_several_runtimes() {
    let directory = Directory::new();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let store = SqliteStore::open(&format!("sqlite://{}", directory.file())).unwrap();
    let owner = random_owner();
    let key = runtime().block_on(create(&store, &owner));
    assert!(runtime().block_on(has(&store, &owner, key)));
    assert!(runtime().block_on(has(&store, &owner, key)));
}

#[tokio::test]
async fn records_survive_a_restart() {
    let directory = Directory::new();
    let owner = random_owner();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    let key = create(&store, &owner).await;
    drop(store);
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    assert!(has(&store, &owner, key).await);
    let properties = store.properties();
    assert!(properties.shared && properties.durable);
    assert_eq!(format!("{store:?}"), "SqliteStore { .. }");
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    create(&store, &random_owner()).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = std::fs::metadata(directory.file() + suffix).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn deleted_bytes_are_overwritten() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    let owner = random_owner();
    let key = create(&store, &owner).await;
    let body = store.read(&owner, &[key]).await.unwrap().entries[0].clone();
    let body = body.unwrap().body;
    directory.checkpoint().await;
    assert!(contains(&directory.bytes(), &body));
    let revoked = store.revoke(&owner, &[key.family], LONG).await;
    revoked.unwrap();
    directory.checkpoint().await;
    assert!(!contains(&directory.bytes(), &body));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    store.check().await.unwrap();
    let mut connection = directory.connection().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn tables_of_an_unknown_version_are_rejected() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    let mut connection = directory.connection().await;
    let newer = "UPDATE kycport_schema SET version = 2";
    sqlx::raw_sql(newer).execute(&mut connection).await.unwrap();
    SqliteStore::connect(&directory.file()).await.unwrap();
    let newer = "UPDATE kycport_schema SET compatible_with = 2";
    sqlx::raw_sql(newer).execute(&mut connection).await.unwrap();
    let schema = StoreError::Schema;
    let error = SqliteStore::connect(&directory.file()).await.unwrap_err();
    assert_eq!(error, SqliteConnectError::Store(schema));
    assert_eq!(store.check().await, Err(schema));
    let opened = SqliteStore::open(&directory.file()).unwrap();
    let (written, read) = write_and_read(&opened).await;
    assert_eq!((written, read), (Err(schema), Some(schema)));
}

#[tokio::test]
async fn dropped_tables_are_reported_as_a_schema_error() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    let mut connection = directory.connection().await;
    let drop = "DROP TABLE kycport_records";
    sqlx::raw_sql(drop).execute(&mut connection).await.unwrap();
    let schema = StoreError::Schema;
    assert_eq!(write_and_read(&store).await, (Err(schema), Some(schema)));
}

#[tokio::test]
async fn the_apps_own_tables_are_not_changed() {
    let directory = Directory::new();
    let url = format!("sqlite://{}?mode=rwc", directory.file());
    let mut app = SqliteConnection::connect(&url).await.unwrap();
    let tables = "CREATE TABLE app (id INTEGER); INSERT INTO app VALUES (7); \
                  PRAGMA user_version = 12";
    sqlx::raw_sql(tables).execute(&mut app).await.unwrap();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    store.check().await.unwrap();
    let found: (i64, i64) = sqlx::query_as("SELECT id, user_version FROM app, pragma_user_version")
        .fetch_one(&mut app)
        .await
        .unwrap();
    assert_eq!(found, (7, 12));
}

#[tokio::test]
async fn one_of_many_callers_acquires_a_lease() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    let key = random_event();
    let callers = (0..64).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let token = LeaseToken::random();
            store.acquire(&key, token, Duration::from_secs(60)).await
        })
    });
    let mut granted = 0;
    for caller in callers.collect::<Vec<_>>() {
        if let Acquired::Granted { .. } = caller.await.unwrap().unwrap() {
            granted += 1;
        }
    }
    assert_eq!(granted, 1);
}
