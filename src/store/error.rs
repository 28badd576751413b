//! Errors from store operations.

/// Failed store operation.
///
/// After an error, it is unknown whether the operation took effect. The error contains no text from
/// the engine, because the engine's text can contain addresses and keys. The log contains the
/// engine's error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine cannot be reached, or the connection broke.
    #[error("the store cannot be reached")]
    Unreachable,
    /// The engine did not answer within 5 s.
    #[error("the store did not answer in time")]
    Timeout,
    /// The engine rejects the user name or password, or the user lacks a permission.
    #[error(
        "access to the store was denied: check the user name, the password and the permissions"
    )]
    AccessDenied,
    /// The engine rejects writes, for example because it is a replica.
    #[error("the store is read-only: check that it is the primary")]
    ReadOnly,
    /// The memory or the disk is full.
    #[error("the store is full")]
    Full,
    /// The engine has no free connection or is locked by another process.
    #[error("the store is busy: no connection is free, or another process holds its lock")]
    Busy,
    /// The engine is starting or loading its data.
    #[error("the store is starting")]
    Starting,
    /// The tables are missing, or this release does not support their version.
    #[error("the store's tables are missing or have an unsupported version: run the migration")]
    Schema,
    /// Stored data is damaged or was not written by this crate.
    #[error("the store returned damaged or foreign data")]
    Damaged,
    /// Any other failure of the engine.
    #[error("the store failed")]
    Failed,
}

impl StoreError {
    /// Returns a short code for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::AccessDenied => "access_denied",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::Busy => "busy",
            Self::Starting => "starting",
            Self::Schema => "schema",
            Self::Damaged => "damaged",
            Self::Failed => "failed",
        }
    }
}
