//! Public ID of a session.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::RecordId;

/// Length of an ID, in bytes: half a SHA-256 digest.
const BYTES: usize = 16;

/// Public ID of a session, for support and for pages that list a person's devices.
///
/// The ID is a hash of the session's first key, and never changes. The ID is not secret: it grants
/// no access, and no session key can be derived from it. The text of the ID has 22 characters, which are
/// safe in URLs and forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SessionId([u8; BYTES]);

/// Error for a text that is not a session ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid session ID: expected 22 characters of base64url")]
pub struct InvalidSessionId;

impl SessionId {
    /// Parses a session ID from its text.
    ///
    /// # Errors
    /// Returns [`InvalidSessionId`] if the text is not a session ID.
    pub fn parse(text: &str) -> Result<Self, InvalidSessionId> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidSessionId)?;
        bytes.try_into().map(Self).map_err(|_| InvalidSessionId)
    }

    /// Returns the ID of the session with this first key.
    pub(super) fn of(key: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"kycport session id\0")
            .chain_update(key)
            .finalize();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// Returns the ID of the session's records.
    pub(super) fn record_id(self) -> RecordId {
        RecordId(self.0)
    }

    pub(super) fn of_record(id: RecordId) -> Self {
        Self(id.0)
    }
}

impl TryFrom<String> for SessionId {
    type Error = InvalidSessionId;

    fn try_from(text: String) -> Result<Self, InvalidSessionId> {
        Self::parse(&text)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        URL_SAFE_NO_PAD.encode(id.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::SessionId;

    #[test]
    fn only_the_text_of_an_id_is_parsed() {
        let id = SessionId::of(b"key");
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(SessionId::parse(&id.to_string()), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<SessionId>(&json).unwrap(), id);
        for text in [
            "",
            "x",
            &"A".repeat(21),
            &"A".repeat(43),
            "../../etc/passwd",
            "AAAAAAAAAAAAAAAAAAAAA ",
        ] {
            assert!(SessionId::parse(text).is_err(), "{text}");
            assert!(serde_json::from_value::<SessionId>(text.into()).is_err());
        }
    }
}
