//! Validation of person ids, case ids and event ids.

/// Maximum length of an id, in bytes. OpenID Connect Core 1.0 section 2 sets this limit for `sub`.
pub(crate) const MAX_ID_BYTES: usize = 255;

/// Returns whether the text can be an id.
///
/// An id must be usable as a path segment. The ids `.` and `..` would change the path. URL parsers
/// remove tabs and newlines, so the remaining text could be the id of another person. U+FFFD
/// replaces unreadable text, so different ids could become equal.
pub(crate) fn is_id(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.len() <= MAX_ID_BYTES
        && !text
            .contains(|letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER)
}
