//! What joins an answer to the lines of the log.

use std::{fmt, sync::OnceLock};

use super::random;

/// The reference of one request: on the page or in the JSON that it is answered with if it does not
/// go on, and on its lines in the log. Drawn when it is first asked for, which most never are.
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
