//! What the case client is told.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// No file is larger, in bytes (K58).
    pub(crate) max_file_bytes: u64,
    /// One attempt at an upload, up to the answer's last byte.
    pub(crate) upload_deadline: Duration,
    /// The first pause between two looks at a case that is waited for.
    pub(crate) first_pause: Duration,
    /// No pause is longer.
    pub(crate) longest_pause: Duration,
}

impl Settings {
    pub(crate) const DEFAULT: Self = Self {
        max_file_bytes: 20 * 1024 * 1024,
        upload_deadline: Duration::from_secs(120),
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(10),
    };
}
