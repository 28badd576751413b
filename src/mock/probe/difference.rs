//! Difference between the expected and the actual behavior of an issuer.

/// Expected behavior of an issuer, and its actual behavior, which differs.
pub(super) struct Difference {
    pub(super) expected: String,
    pub(super) found: String,
}

/// Creates a difference for the report. `found` is untrusted text, so this function removes its
/// control characters and truncates it.
pub(super) fn differs(expected: impl Into<String>, found: &str) -> Difference {
    let printable = |c: &char| !c.is_control();
    Difference {
        expected: expected.into(),
        found: found
            .chars()
            .filter(printable)
            .take(MAX_FOUND_CHARS)
            .collect(),
    }
}

pub(super) fn same(expected: &str, found: &str) -> Result<(), Difference> {
    if expected == found {
        return Ok(());
    }
    Err(differs(expected, found))
}

const MAX_FOUND_CHARS: usize = 160;
