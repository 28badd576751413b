//! Error of an upload from a browser.

use super::{
    applicant::ApplicantError,
    error::{CaseError, UploadError},
};

/// Maximum length of a part's name in logs and responses, in characters.
const MAX_SHOWN_CHARS: usize = 64;

/// Returns the name of a part for logs and responses: shortened, and with control characters
/// escaped.
pub(super) fn printable_name(name: &str) -> String {
    let escaped = name
        .chars()
        .take(MAX_SHOWN_CHARS)
        .flat_map(char::escape_default);
    escaped.collect()
}
