//! Why a store operation failed.

/// The store did not do what it was asked.
///
/// Whether an operation took effect is unknown after an error. Nothing that the engine said is in
/// here, because an engine's text can hold addresses and keys; the log has the engine's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine cannot be reached, or the connection broke.
    #[error("the store cannot be reached")]
    Unreachable,
    /// The engine did not answer within 5 s.
    #[error("the store did not answer in time")]
    Timeout,
    /// The engine refuses the user or the password, or the user lacks a right.
    #[error("the store refuses access: check the user, the password and its rights")]
    AccessDenied,
    /// The engine takes no writes, for instance because it is a replica.
    #[error("the store is read-only: check that it is the primary")]
    ReadOnly,
    /// There is no room, in memory or on the disk.
    #[error("the store is full")]
    Full,
    /// The engine has no free connection or is locked by another process.
    #[error("the store is busy: no connection is free, or another process holds its lock")]
    Busy,
    /// The engine is starting or loading its data.
    #[error("the store is starting")]
    Starting,
    /// The tables are missing, or of a version that this release does not know.
    #[error("the store has no tables of this version: run its migration")]
    Schema,
    /// What is stored is damaged, or not what was written.
    #[error("the store is damaged, or returns what was not written")]
    Damaged,
    /// Any other failure.
    #[error("the store failed")]
    Failed,
}

impl StoreError {
    /// Short code for logs and metrics.
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
