//! Index entries. The second store contains an index entry for each session body in the
//! tower-sessions store.

use std::array;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tower_sessions::session::Id;

use super::super::{Entry, Owner, RecordKey};

/// First bytes of an index entry: a name and the format version.
const HEAD: [u8; 4] = *b"kts1";
/// Label of the hash that identifies a body.
const LABEL: &[u8] = b"kycport session body";

/// Identifier of a body in the tower-sessions store, with a digest of its content.
///
/// The id is derived from the key, the version and the content. Each write of a session creates a
/// new body. A write with a failed condition therefore does not change the live body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyRef {
    pub(super) id: Id,
    digest: [u8; 32],
}

impl BodyRef {
    /// Creates the identifier of a body that the adapter will write.
    pub(super) fn of_body(owner: &Owner, key: RecordKey, version: u64, body: &[u8]) -> Self {
        Self::new(owner, key, version, Sha256::digest(body).into())
    }

    /// Parses an index entry. Returns `None` for other content, for example a session from before
    /// the app used two stores. A record of a newer version of this crate also gives `None`.
    pub(super) fn of_entry(owner: &Owner, key: RecordKey, entry: &Entry) -> Option<Self> {
        let digest = entry.body.strip_prefix(&HEAD)?.try_into().ok()?;
        Some(Self::new(owner, key, entry.version, digest))
    }

    fn new(owner: &Owner, key: RecordKey, version: u64, digest: [u8; 32]) -> Self {
        // All parts of the hash input have fixed lengths.
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

    /// Returns the body of the index entry.
    pub(super) fn to_bytes(self) -> Bytes {
        let mut bytes = HEAD.into_iter().chain(self.digest);
        let bytes: [u8; 36] = array::from_fn(|_| bytes.next().unwrap_or_default());
        Bytes::copy_from_slice(&bytes)
    }

    /// Returns whether a loaded body equals the written body.
    pub(super) fn is_of(&self, body: &[u8]) -> bool {
        self.digest == *Sha256::digest(body)
    }
}
