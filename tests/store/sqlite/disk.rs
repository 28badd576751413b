//! Tests with full and read-only disks. Only root can mount a disk.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use kycport::store::{SqliteStore, Store as _, StoreError};

use super::directory::Directory;
use crate::samples::{create, has, random_owner, write_and_read};

/// Small in-memory disk.
struct Disk(Directory);

impl Disk {
    fn mount() -> Option<Self> {
        let disk = Self(Directory::new());
        if disk.run("mount", &["-t", "tmpfs", "-o", "size=512k", "tmpfs"]) {
            return Some(disk);
        }
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: this user cannot mount a disk").unwrap();
        None
    }

    fn remount(&self, mode: &str) {
        assert!(self.run("mount", &["-o", &format!("remount,{mode}")]));
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).arg(self.0.path());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Writes until the disk is full.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.run("umount", &["--lazy"]);
    }
}

#[tokio::test]
async fn a_full_disk_is_reported_until_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let store = SqliteStore::connect(&disk.0.file()).await.unwrap();
    let owner = random_owner();
    let key = create(&store, &owner).await;
    disk.fill();
    let full = StoreError::Full;
    // The disk may have space for a few more records.
    let mut last = Ok(());
    for _ in 0..200 {
        last = write_and_read(&store).await.0;
        if last.is_err() {
            break;
        }
    }
    assert_eq!(last, Err(full));
    assert_eq!(store.check().await, Err(full));
    assert!(has(&store, &owner, key).await);
    std::fs::remove_file(disk.filler()).unwrap();
    assert_eq!(write_and_read(&store).await, (Ok(()), None));
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_reported_when_the_file_is_created() {
    let Some(disk) = Disk::mount() else { return };
    disk.fill();
    let store = SqliteStore::open(&disk.0.file()).unwrap();
    let (written, _) = write_and_read(&store).await;
    assert_eq!(written, Err(StoreError::Full));
    std::fs::remove_file(disk.filler()).unwrap();
    assert_eq!(write_and_read(&store).await, (Ok(()), None));
}

#[tokio::test]
async fn a_read_only_disk_is_reported() {
    let Some(disk) = Disk::mount() else { return };
    let read_only = StoreError::ReadOnly;
    disk.remount("ro");
    let store = SqliteStore::open(&disk.0.file()).unwrap();
    let (written, read) = write_and_read(&store).await;
    assert_eq!((written, read), (Err(read_only), Some(read_only)));
    disk.remount("rw");
    let owner = random_owner();
    let key = create(&store, &owner).await;
    drop(store);
    disk.0.checkpoint().await;

    disk.remount("ro");
    let store = SqliteStore::open(&disk.0.file()).unwrap();
    let (written, read) = write_and_read(&store).await;
    assert_eq!((written, read), (Err(read_only), Some(read_only)));
    assert_eq!(store.check().await, Err(read_only));
    disk.remount("rw");
    assert!(has(&store, &owner, key).await);
    assert_eq!(write_and_read(&store).await, (Ok(()), None));
}
