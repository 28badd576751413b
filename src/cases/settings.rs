//! Settings of the case client.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Maximum size of a file, in bytes (K58).
    pub(crate) max_file_bytes: u64,
    /// Maximum time of an upload, until the end of the response.
    pub(crate) upload_deadline: Duration,
    /// First pause between two reads of `wait_until_decided`.
    pub(crate) first_pause: Duration,
    /// Maximum pause between two reads.
    pub(crate) max_pause: Duration,
}

impl Settings {
    pub(crate) const DEFAULT: Self = Self {
        max_file_bytes: 20 * 1024 * 1024,
        upload_deadline: Duration::from_secs(120),
        first_pause: Duration::from_secs(1),
        max_pause: Duration::from_secs(10),
    };
}
