//! Session key in the session cookie.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng as _;
use zeroize::Zeroizing;

use super::id::SessionId;
use crate::{
    secret::Secret,
    state::Namespace,
    store::{Owner, RecordId},
};

/// Length of the random part, in bytes.
const RANDOM: usize = 32;
/// Length of the whole key, in bytes: the random part and the owner's ID.
const LENGTH: usize = RANDOM + 16;
/// Length of the key as text, in characters.
const TEXT: usize = 64;

/// Session key in the cookie: 256 random bits and the 128-bit ID of the owner.
///
/// Because the key contains the owner's ID, one read returns the session, the owner's fence and the
/// latest assurance. A mark is the value of the revocation counter when a login started. The fence
/// is the lowest mark that is still valid. The session ID is a hash over all 48 bytes, and the
/// session's subject is compared with the owner. A forged key with another owner's ID therefore has
/// no session.
#[derive(Clone)]
pub(in crate::web) struct SessionKey {
    id: SessionId,
    owner_id: [u8; 16],
    bytes: Zeroizing<[u8; LENGTH]>,
}

impl SessionKey {
    /// Generates the key of a new session.
    pub(in crate::web) fn draw(owner: &Owner) -> Self {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        let (random, owner_id) = bytes.split_at_mut(RANDOM);
        rand::rng().fill_bytes(random);
        owner_id.copy_from_slice(&owner.id);
        Self::new(bytes)
    }

    /// Parses the value of the cookie. Accepts only the canonical encoding of 48 bytes.
    pub(in crate::web) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != TEXT {
            return None;
        }
        let mut bytes = Zeroizing::new([0; LENGTH]);
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes).ok()?;
        (length == LENGTH).then(|| Self::new(bytes))
    }

    fn new(bytes: Zeroizing<[u8; LENGTH]>) -> Self {
        let owner_id = bytes.last_chunk().copied().unwrap_or_default();
        Self {
            id: SessionId::of(&*bytes),
            owner_id,
            bytes,
        }
    }

    pub(in crate::web) fn id(&self) -> SessionId {
        self.id
    }

    pub(in crate::web) fn record_id(&self) -> RecordId {
        self.id.record_id()
    }

    pub(in crate::web) fn owner(&self, namespace: &Namespace) -> Owner {
        namespace.owner(self.owner_id)
    }

    /// Returns the value of the cookie.
    pub(in crate::web) fn to_cookie(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.bytes.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::{RANDOM, SessionKey};
    use crate::state::Namespace;

    #[test]
    fn only_the_canonical_encoding_of_a_key_is_parsed() {
        let namespace = Namespace::of("issuer", "client");
        let owner = namespace.owner_of("ada");
        let key = SessionKey::draw(&owner);
        let text = key.to_cookie();
        let read = SessionKey::parse(text.expose().as_bytes()).unwrap();
        assert_eq!(read.id(), key.id());
        assert_eq!(read.owner(&namespace), owner);
        assert_ne!(SessionKey::draw(&owner).id(), key.id());
        for text in [
            "",
            &"A".repeat(43),
            &"A".repeat(63),
            &"A".repeat(65),
            &"=".repeat(64),
            &"+".repeat(64),
            &" ".repeat(64),
        ] {
            assert!(SessionKey::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(SessionKey::parse(&[0xff; 64]).is_none());
    }

    #[test]
    fn the_owner_is_part_of_what_the_id_hashes() {
        let namespace = Namespace::of("issuer", "client");
        let key = SessionKey::draw(&namespace.owner_of("ada"));
        let mut bytes = key.bytes.clone();
        bytes[RANDOM..].copy_from_slice(&namespace.owner_of("bob").id);
        let text = URL_SAFE_NO_PAD.encode(bytes.as_slice());
        let forged = SessionKey::parse(text.as_bytes()).unwrap();
        assert_eq!(forged.owner(&namespace), namespace.owner_of("bob"));
        assert_ne!(forged.id(), key.id());
    }
}
