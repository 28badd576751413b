//! Permissions and file system of the database file.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::store::{StoreError, sql::Failure};

/// Network file systems. SQLite's shared memory does not work across machines. The list omits FUSE,
/// which has both local and network file systems.
const NETWORK: [&str; 14] = [
    "afs",
    "ceph",
    "cifs",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

/// Creates the file if it is missing. Only the file's owner can read the new file. SQLite creates
/// its `-wal` and `-shm` files with the permissions of the database file.
pub(super) async fn create(path: &Path) -> Result<(), Failure> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    match options.open(path).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::AlreadyExists => Ok(()),
            kind => Err(Failure::new(by_kind(kind), kind.to_string())),
        },
    }
}

fn by_kind(kind: ErrorKind) -> StoreError {
    match kind {
        ErrorKind::PermissionDenied => StoreError::AccessDenied,
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Unreachable,
    }
}

/// Determines why SQLite cannot open the file. SQLite does not report the cause.
pub(super) async fn explain(path: &Path, failure: Failure) -> Failure {
    let opened = tokio::fs::OpenOptions::new().write(true).open(path).await;
    match opened {
        Err(error) => Failure::new(by_kind(error.kind()), failure.code),
        // The `-wal` or `-shm` file is missing and cannot be created, or the path is not a file.
        Ok(file) => match file.metadata().await {
            Ok(file) if file.is_file() => Failure::new(StoreError::ReadOnly, failure.code),
            _ => failure,
        },
    }
}

/// Rejects a network file system if the operating system reports it.
pub(super) async fn require_local(path: &Path) -> Result<(), Failure> {
    let Ok(path) = tokio::fs::canonicalize(path).await else {
        return Ok(());
    };
    let Ok(mounts) = tokio::fs::read_to_string("/proc/self/mounts").await else {
        return Ok(());
    };
    if is_on_network(&mounts, &path) {
        return Err(Failure::new(StoreError::Failed, "network_file_system"));
    }
    Ok(())
}

/// Evaluates lines of the form `device directory type options`. If several file systems are mounted
/// on a directory, uses the last line.
fn is_on_network(mounts: &str, path: &Path) -> bool {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((unescape(fields.next()?), fields.next()?))
    });
    let above = mounts.filter(|(directory, _)| path.starts_with(directory));
    let nearest = above.max_by_key(|(directory, _)| directory.components().count());
    nearest.is_some_and(|(_, kind)| NETWORK.contains(&kind))
}

/// Decodes octal escapes of spaces and backslashes.
fn unescape(directory: &str) -> PathBuf {
    let directory = directory.replace("\\040", " ").replace("\\011", "\t");
    directory
        .replace("\\012", "\n")
        .replace("\\134", "\\")
        .into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_on_network;

    const MOUNTS: &str = "\
overlay / overlay rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/local ext4 rw 0 0
//server/files /mnt/two\\040words cifs rw 0 0
/dev/sdc1 /data ext4 rw 0 0
server:/data /data nfs rw 0 0
";

    #[test]
    fn the_nearest_mount_determines_the_file_system() {
        for (path, expected) in [
            ("/var/lib/kycport.db", false),
            ("/home/app/kycport.db", true),
            ("/home/local/kycport.db", false),
            ("/homes/kycport.db", false),
            ("/mnt/two words/kycport.db", true),
            ("/data/kycport.db", true),
        ] {
            assert_eq!(is_on_network(MOUNTS, Path::new(path)), expected, "{path}");
        }
        assert!(!is_on_network("", Path::new("/kycport.db")));
    }
}
