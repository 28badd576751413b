//! Damaged files.

use kycport::store::{SqliteConnectError, SqliteStore, Store as _, StoreError};

use super::directory::Directory;
use crate::samples::{create, random_owner, write_and_read};

const DAMAGED: StoreError = StoreError::Damaged;

#[tokio::test]
async fn a_file_that_is_not_a_database_is_reported_as_damaged() {
    let directory = Directory::new();
    std::fs::write(directory.file(), [0x55; 8192]).unwrap();
    let error = SqliteStore::connect(&directory.file()).await.unwrap_err();
    assert_eq!(error, SqliteConnectError::Store(DAMAGED));
    let store = SqliteStore::open(&directory.file()).unwrap();
    let (written, read) = write_and_read(&store).await;
    assert_eq!((written, read), (Err(DAMAGED), Some(DAMAGED)));
    assert_eq!(store.check().await, Err(DAMAGED));
    let content = std::fs::read(directory.file()).unwrap();
    assert!(content.iter().all(|byte| *byte == 0x55));
}

#[tokio::test]
async fn a_damaged_page_is_reported_as_damaged() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    let owner = random_owner();
    let mut keys = Vec::new();
    for _ in 0..40 {
        keys.push(create(&store, &owner).await);
    }
    drop(store);
    directory.checkpoint().await;
    let mut content = std::fs::read(directory.file()).unwrap();
    // Overwrites all pages except the first page, which describes the tables.
    for byte in &mut content[4096..] {
        *byte ^= 0x5a;
    }
    std::fs::write(directory.file(), content).unwrap();
    let store = SqliteStore::open(&directory.file()).unwrap();
    assert_eq!(store.read(&owner, &keys).await.unwrap_err(), DAMAGED);
    let (written, read) = write_and_read(&store).await;
    assert_eq!((written, read), (Err(DAMAGED), Some(DAMAGED)));
}

#[tokio::test]
async fn a_missing_directory_is_reported_as_unreachable() {
    let directory = Directory::new();
    let file = directory.path().join("missing/kycport.db");
    let store = SqliteStore::open(file.to_str().unwrap()).unwrap();
    let gone = StoreError::Unreachable;
    assert_eq!(write_and_read(&store).await, (Err(gone), Some(gone)));
    let store = SqliteStore::open(directory.path().to_str().unwrap()).unwrap();
    assert_eq!(write_and_read(&store).await, (Err(gone), Some(gone)));
    std::fs::create_dir(directory.path().join("missing")).unwrap();
    let store = SqliteStore::open(file.to_str().unwrap()).unwrap();
    assert_eq!(write_and_read(&store).await, (Ok(()), None));
}
