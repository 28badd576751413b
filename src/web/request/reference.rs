//! Correlation ID of a request.

use std::{fmt, sync::OnceLock};

use super::random;

/// Correlation ID of a request, in its error response and in its log lines. The ID is generated on
/// first use.
#[derive(Debug, Default)]
pub(in crate::web) struct Reference(OnceLock<String>);

impl Reference {
    pub(in crate::web) fn as_str(&self) -> &str {
        self.0.get_or_init(random::reference)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
