//! Temporary directory with one database file.

use std::path::PathBuf;

use kycport::store::LeaseToken;
use sqlx::{Connection as _, SqliteConnection};

/// Temporary directory. Dropping this value removes the directory.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Self {
        let name = u128::from_be_bytes(LeaseToken::random().0);
        let path = std::env::temp_dir().join(format!("kycport-sqlite-{name:032x}"));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// Returns the path of the database file.
    pub(super) fn file(&self) -> String {
        self.0.join("kycport.db").to_str().unwrap().to_owned()
    }

    /// Opens a connection of an app to the database file.
    pub(super) async fn connection(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.file());
        SqliteConnection::connect(&url).await.unwrap()
    }

    /// Moves the content of the `-wal` file into the database file.
    pub(super) async fn checkpoint(&self) {
        let mut connection = self.connection().await;
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as(checkpoint)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(busy, 0);
        connection.close().await.unwrap();
    }

    /// Returns the content of all files in the directory.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let suffixes = ["", "-wal"];
        let files = suffixes.map(|suffix| std::fs::read(self.file() + suffix));
        files.into_iter().flatten().flatten().collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
