//! Temporary files for the SQLite store.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

/// SQLite file in a separate directory. Dropping this value removes the directory.
#[derive(Debug)]
pub(crate) struct SqliteFile(PathBuf);

impl SqliteFile {
    pub(crate) fn new() -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let number = LAST.fetch_add(1, Ordering::SeqCst);
        let name = format!("kycport-test-{}-sqlite-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.join("kycport.db")
    }

    /// URL of the file, in the form of `KYCPORT_STORE`.
    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }
}

impl Drop for SqliteFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
