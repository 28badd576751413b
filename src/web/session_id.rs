//! The public name of a session.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// Half a SHA-256: as long as the ids in the store.
const BYTES: usize = 16;

/// Names a session, for support and for a page that lists a person's devices.
///
/// It is a hash of the key in the cookie. So it is not secret: it opens nothing, and says nothing of
/// the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SessionId(String);

/// This names no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of a session")]
pub struct NoSessionId;

impl SessionId {
    /// Reads an id that came back, from a form or from a person on the telephone.
    ///
    /// # Errors
    /// [`NoSessionId`] if it cannot be one.
    pub fn parse(text: &str) -> Result<Self, NoSessionId> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoSessionId)?;
        if bytes.len() == BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoSessionId)
        }
    }

    /// As text of 22 characters, which an address and a form can hold as they are.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the session that has this key.
    pub(super) fn of(key: &Secret) -> Self {
        let digest = Sha256::new()
            .chain_update(b"kycport session id\0")
            .chain_update(key.expose())
            .finalize();
        let half: [u8; BYTES] = digest.first_chunk().copied().unwrap_or_default();
        Self(URL_SAFE_NO_PAD.encode(half))
    }

    /// What a session's records are found by: whoever knows the id can end the session, and
    /// whoever knows the key alone can be it.
    pub(super) fn record_key(&self) -> Secret {
        Secret::new(self.0.as_str())
    }
}

impl TryFrom<String> for SessionId {
    type Error = NoSessionId;

    fn try_from(text: String) -> Result<Self, NoSessionId> {
        Self::parse(&text)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::SessionId;
    use crate::secret::Secret;

    #[test]
    fn an_id_survives_a_form_and_nothing_else_is_one() {
        let id = SessionId::of(&Secret::new("key"));
        assert_eq!(SessionId::parse(id.as_str()), Ok(id.clone()));
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
