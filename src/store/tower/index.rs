//! Index entries: what the second store knows of a session whose body is elsewhere.

use std::array;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tower_sessions::session::Id;

use super::super::{Entry, Owner, RecordKey};

/// First bytes of an index entry: a name and the version of the form.
const HEAD: [u8; 4] = *b"kts1";
/// Label of the hash that names a body.
const LABEL: &[u8] = b"kycport session body";

/// Name of a body in the tower-sessions store, and proof of its content.
///
/// The id is derived from the place, the version and the content. Each write of a session has a
/// body of its own, so that a write whose condition does not hold leaves the live body untouched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyRef {
    pub(super) id: Id,
    digest: [u8; 32],
}

impl BodyRef {
    /// Names a body that is about to be written.
    pub(super) fn of_body(owner: &Owner, key: RecordKey, version: u64, body: &[u8]) -> Self {
        Self::new(owner, key, version, Sha256::digest(body).into())
    }

    /// Reads an index entry. `None` if the entry is not one, for instance because it was written
    /// before the second store became a second store, or by a newer version.
    pub(super) fn of_entry(owner: &Owner, key: RecordKey, entry: &Entry) -> Option<Self> {
        let digest = entry.body.strip_prefix(&HEAD)?.try_into().ok()?;
        Some(Self::new(owner, key, entry.version, digest))
    }

    fn new(owner: &Owner, key: RecordKey, version: u64, digest: [u8; 32]) -> Self {
        // All parts have fixed lengths.
        let hash: [u8; 32] = Sha256::new()
            .chain_update(LABEL)
            .chain_update(owner.to_bytes())
            .chain_update([key.family.number()])
            .chain_update(key.id.0)
            .chain_update(version.to_be_bytes())
            .chain_update(digest)
            .finalize()
            .into();
        let id = hash.first_chunk().copied().unwrap_or_default();
        Self {
            id: Id(i128::from_le_bytes(id)),
            digest,
        }
    }

    /// The body of the index entry.
    pub(super) fn to_bytes(self) -> Bytes {
        let mut bytes = HEAD.into_iter().chain(self.digest);
        let bytes: [u8; 36] = array::from_fn(|_| bytes.next().unwrap_or_default());
        Bytes::copy_from_slice(&bytes)
    }

    /// Whether a body is the one that was written.
    pub(super) fn is_of(&self, body: &[u8]) -> bool {
        self.digest == *Sha256::digest(body)
    }
}
