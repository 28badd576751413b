//! `Debug` implementations that omit stored content, because a body or a result can contain tokens.

use std::fmt::{Debug, Formatter, Result};

use super::{Acquired, Change, Entry, Settlement};

/// Shows the length of the body instead of the body.
impl Debug for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Entry")
            .field("version", &self.version)
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// Shows the length of the body instead of the body.
impl Debug for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Put {
                version,
                body,
                keep_for,
            } => f
                .debug_struct("Put")
                .field("version", version)
                .field("bytes", &body.len())
                .field("keep_for", keep_for)
                .finish(),
            Self::Delete => f.write_str("Delete"),
            Self::Keep => f.write_str("Keep"),
        }
    }
}

/// Shows the length of the result instead of the result.
impl Debug for Acquired {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Granted { mark } => f.debug_struct("Granted").field("mark", mark).finish(),
            Self::Held(left) => f.debug_tuple("Held").field(left).finish(),
            Self::Done(result) => f
                .debug_struct("Done")
                .field("bytes", &result.len())
                .finish(),
        }
    }
}

/// Shows the length of the result instead of the result.
impl Debug for Settlement {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Done { result, keep_for } => f
                .debug_struct("Done")
                .field("bytes", &result.len())
                .field("keep_for", keep_for)
                .finish(),
            Self::Release => f.write_str("Release"),
            Self::Extend(length) => f.debug_tuple("Extend").field(length).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{Acquired, Change, Entry, Settlement};
    use crate::store::Snapshot;

    #[test]
    fn debug_output_has_no_stored_content() {
        let body = Bytes::from_static(b"canary");
        let entry = Entry {
            version: 1,
            body: body.clone(),
        };
        let put = Change::Put {
            version: 1,
            body: body.clone(),
            keep_for: Duration::ZERO,
        };
        let done = Settlement::Done {
            result: body.clone(),
            keep_for: Duration::ZERO,
        };
        let snapshot = Snapshot {
            fence: None,
            entries: vec![Some(entry.clone())],
        };
        let acquired = Acquired::Done(body);
        let text = format!("{entry:?} {put:?} {done:?} {acquired:?} {snapshot:?}");
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("bytes: 6"), "{text}");
    }
}
