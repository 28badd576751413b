//! Session key in the session cookie.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::id::SessionId;
use crate::{
    secret::Secret,
    state::Namespace,
    store::{Owner, RecordId},
};

/// Length of the random part, in bytes.
const RANDOM: usize = 32;
/// Length of a first key, in bytes: the random part and the owner's ID.
const FIRST: usize = RANDOM + 16;
/// Length of a first key as text, in characters.
const FIRST_TEXT: usize = 64;
/// Length of a rotated key, in bytes: the session ID, the owner's ID and the random part.
const ROTATED: usize = 16 + 16 + RANDOM;
/// Length of a rotated key as text, in characters.
const ROTATED_TEXT: usize = 86;

/// Session key in the cookie. Every key contains 256 random bits and the 128-bit ID of the owner.
///
/// Because the key contains the owner's ID, one read returns the session, the owner's fence and the
/// latest assurance. A mark is the value of the revocation counter when a login started. The fence
/// is the lowest mark that is still valid.
///
/// A login creates a first key. The session ID is a hash over all 48 bytes of the first key, and
/// the session's subject is compared with the owner. So a forged key with another owner's ID has no
/// session.
///
/// A step-up creates a rotated key. A rotated key contains the session ID, which is public.
/// Therefore the session record contains a digest of the rotated key, and a rotated key without a
/// matching digest is invalid.
#[derive(Clone)]
pub(in crate::web) struct SessionKey {
    id: SessionId,
    owner_id: [u8; 16],
    bytes: Bytes,
}

/// Form of a key with its bytes.
#[derive(Clone)]
enum Bytes {
    First(Zeroizing<[u8; FIRST]>),
    Rotated(Zeroizing<[u8; ROTATED]>),
}

impl SessionKey {
    /// Generates the first key of a new session.
    pub(in crate::web) fn draw(owner: &Owner) -> Self {
        let mut bytes = Zeroizing::new([0; FIRST]);
        let (random, owner_id) = bytes.split_at_mut(RANDOM);
        rand::rng().fill_bytes(random);
        owner_id.copy_from_slice(&owner.id);
        Self::first(bytes)
    }

    /// Generates a further key of a session.
    pub(super) fn rotated(id: SessionId, owner: &Owner) -> Self {
        let mut bytes = Zeroizing::new([0; ROTATED]);
        let (ids, random) = bytes.split_at_mut(32);
        let (session_id, owner_id) = ids.split_at_mut(16);
        session_id.copy_from_slice(&id.record_id().0);
        owner_id.copy_from_slice(&owner.id);
        rand::rng().fill_bytes(random);
        Self {
            id,
            owner_id: owner.id,
            bytes: Bytes::Rotated(bytes),
        }
    }

    /// Parses the value of the cookie. Accepts only the canonical encoding of a key.
    pub(in crate::web) fn parse(text: &[u8]) -> Option<Self> {
        match text.len() {
            FIRST_TEXT => decode(text).map(Self::first),
            ROTATED_TEXT => decode::<ROTATED>(text).and_then(Self::of_rotated),
            _ => None,
        }
    }

    fn first(bytes: Zeroizing<[u8; FIRST]>) -> Self {
        Self {
            id: SessionId::of(&*bytes),
            owner_id: bytes.last_chunk().copied().unwrap_or_default(),
            bytes: Bytes::First(bytes),
        }
    }

    fn of_rotated(bytes: Zeroizing<[u8; ROTATED]>) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let owner_id = *rest.first_chunk()?;
        Some(Self {
            id: SessionId::of_record(RecordId(*id)),
            owner_id,
            bytes: Bytes::Rotated(bytes),
        })
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

    /// Returns whether this key has the form of a first key, whose hash is the session ID.
    pub(super) fn is_first(&self) -> bool {
        matches!(self.bytes, Bytes::First(_))
    }

    pub(super) fn digest(&self) -> KeyDigest {
        let digest = Sha256::new()
            .chain_update(b"kycport session key\0")
            .chain_update(self.as_bytes());
        KeyDigest(digest.finalize().into())
    }

    /// Returns the value of the cookie.
    pub(in crate::web) fn to_cookie(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.as_bytes()))
    }

    fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::First(bytes) => bytes.as_slice(),
            Bytes::Rotated(bytes) => bytes.as_slice(),
        }
    }
}

fn decode<const N: usize>(text: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes).ok()?;
    (length == N).then_some(bytes)
}

/// SHA-256 digest of a session key. A comparison takes constant time.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct KeyDigest([u8; 32]);

/// Error for a text that is not a digest of a session key.
#[derive(Debug, thiserror::Error)]
#[error("invalid digest of a session key")]
pub(super) struct InvalidKeyDigest;

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl TryFrom<String> for KeyDigest {
    type Error = InvalidKeyDigest;

    fn try_from(text: String) -> Result<Self, InvalidKeyDigest> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidKeyDigest)?;
        bytes.try_into().map(Self).map_err(|_| InvalidKeyDigest)
    }
}

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> Self {
        URL_SAFE_NO_PAD.encode(digest.0)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::{Bytes, RANDOM, SessionKey};
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
            &"A".repeat(85),
            &"A".repeat(87),
            &"=".repeat(86),
            // The unused bits of the last character are not zero.
            &format!("{}B", "A".repeat(85)),
        ] {
            assert!(SessionKey::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(SessionKey::parse(&[0xff; 64]).is_none());
        assert!(SessionKey::parse(&[0xff; 86]).is_none());
    }

    #[test]
    fn a_rotated_key_names_its_session_and_its_owner() {
        let namespace = Namespace::of("issuer", "client");
        let owner = namespace.owner_of("ada");
        let first = SessionKey::draw(&owner);
        let key = SessionKey::rotated(first.id(), &owner);
        let text = key.to_cookie();
        assert_eq!(text.expose().len(), 86);
        let read = SessionKey::parse(text.expose().as_bytes()).unwrap();
        assert_eq!(read.id(), first.id());
        assert_eq!(read.owner(&namespace), owner);
        assert!(first.is_first() && !read.is_first());
        assert!(read.digest() == key.digest());
        assert!(first.digest() != key.digest());
        let other = SessionKey::rotated(first.id(), &owner);
        assert!(other.digest() != key.digest());
        let other = SessionKey::rotated(first.id(), &namespace.owner_of("bob"));
        assert!(other.digest() != key.digest());
    }

    #[test]
    fn only_the_text_of_a_digest_is_read() {
        let key = SessionKey::draw(&Namespace::of("issuer", "client").owner_of("ada"));
        let json = serde_json::to_string(&key.digest()).unwrap();
        assert!(serde_json::from_str::<super::KeyDigest>(&json).unwrap() == key.digest());
        for text in ["", "A", &"A".repeat(42), &"A".repeat(44), &"!".repeat(43)] {
            assert!(serde_json::from_value::<super::KeyDigest>(text.into()).is_err());
        }
    }

    #[test]
    fn the_owner_is_part_of_what_the_id_hashes() {
        let namespace = Namespace::of("issuer", "client");
        let key = SessionKey::draw(&namespace.owner_of("ada"));
        let Bytes::First(mut bytes) = key.bytes.clone() else {
            panic!("expected a first key");
        };
        bytes[RANDOM..].copy_from_slice(&namespace.owner_of("bob").id);
        let text = URL_SAFE_NO_PAD.encode(bytes.as_slice());
        let forged = SessionKey::parse(text.as_bytes()).unwrap();
        assert_eq!(forged.owner(&namespace), namespace.owner_of("bob"));
        assert_ne!(forged.id(), key.id());
    }
}
