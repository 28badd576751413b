//! Stored formats: the encoding of a value as the bytes of a record.
//!
//! The first byte of a record is the format version. Format version 1 is JSON. Format version 2 is
//! sealed JSON: the length and the name of the key, a nonce, and the ciphertext with its tag. A
//! release can add members to the JSON that an earlier release ignores. A record is unreadable if
//! this release does not know the format version of the record or cannot decode its content. This
//! module never treats an unreadable record as an absent record.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::sealing::{OpenError, SealingKeys};
use crate::{
    observe::{self, LogOnce},
    store::{Family, Owner, RecordKey, StoreError},
};

const PLAIN: u8 = 1;
const SEALED: u8 = 2;

/// Type whose values are records of one family.
pub(crate) trait Stored: Serialize + DeserializeOwned {
    const FAMILY: Family;
}

/// Result of reading a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<T> {
    Absent,
    /// The record exists but is unreadable. The record comes from another release, is damaged, or
    /// its key is missing.
    Unreadable {
        version: u64,
    },
    Record {
        value: T,
        version: u64,
    },
}

impl<T> Found<T> {
    /// Returns the value, for records where "unreadable" can be treated as "absent".
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Record { value, .. } => Some(value),
            Self::Absent | Self::Unreadable { .. } => None,
        }
    }
}

/// Converts between values and bytes.
pub(super) struct Forms {
    keys: Option<Arc<SealingKeys>>,
    /// One bit per family and reason. A set bit means that the problem has been logged. Without
    /// this limit, every request could log a problem during the rollout of a new release.
    logged: AtomicU32,
}

impl Forms {
    pub(super) fn new(keys: Option<Arc<SealingKeys>>) -> Self {
        Self {
            keys,
            logged: AtomicU32::new(0),
        }
    }

    pub(super) fn keys(&self) -> Option<&Arc<SealingKeys>> {
        self.keys.as_ref()
    }

    pub(super) fn write<T: Stored>(
        &self,
        owner: &Owner,
        key: RecordKey,
        value: &T,
    ) -> Result<Bytes, StoreError> {
        let mut body = Zeroizing::new(vec![PLAIN]);
        serde_json::to_writer(&mut *body, value).map_err(|_| StoreError::Failed)?;
        let Some(keys) = &self.keys else {
            return Ok(Bytes::copy_from_slice(&body));
        };
        let plain = body.get(1..).unwrap_or_default();
        let (name, sealed) = keys
            .seal_record(&associated_data(owner, key), plain)
            .ok_or(StoreError::Failed)?;
        let length = u8::try_from(name.len()).map_err(|_| StoreError::Failed)?;
        let mut body = vec![SEALED, length];
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&sealed);
        Ok(body.into())
    }

    pub(super) fn read<T: Stored>(&self, owner: &Owner, key: RecordKey, body: &[u8]) -> Option<T> {
        match self.plain(owner, key, body) {
            Ok(plain) => {
                let value = serde_json::from_slice(&plain).ok();
                if value.is_none() {
                    self.log(key.family, Unreadable::NotUnderstood);
                }
                value
            }
            Err(why) => {
                self.log(key.family, why);
                None
            }
        }
    }

    fn plain<'a>(
        &self,
        owner: &Owner,
        key: RecordKey,
        body: &'a [u8],
    ) -> Result<Plain<'a>, Unreadable> {
        let (form, content) = body.split_first().ok_or(Unreadable::NotUnderstood)?;
        match (*form, &self.keys) {
            (PLAIN, None) => Ok(Plain::Borrowed(content)),
            (PLAIN, Some(keys)) if keys.reads_unsealed() => Ok(Plain::Borrowed(content)),
            (PLAIN, Some(_)) => Err(Unreadable::NotSealed),
            (SEALED, None) => Err(Unreadable::UnknownKey),
            (SEALED, Some(keys)) => {
                let (name, sealed) =
                    split_sealed(content).ok_or(Unreadable::AuthenticationFailed)?;
                keys.open_record(name, &associated_data(owner, key), sealed)
                    .map(Plain::Opened)
                    .map_err(|error| match error {
                        OpenError::UnknownKey => Unreadable::UnknownKey,
                        OpenError::AuthenticationFailed => Unreadable::AuthenticationFailed,
                    })
            }
            _ => Err(Unreadable::NotUnderstood),
        }
    }

    fn log(&self, family: Family, why: Unreadable) {
        let index = u32::from(family.number())
            .saturating_mul(4)
            .saturating_add(why as u32);
        let bit = 1_u32.checked_shl(index).unwrap_or(0);
        let before = self.logged.fetch_or(bit, Ordering::Relaxed);
        let once = if bit != 0 && before & bit == 0 {
            LogOnce::First
        } else {
            LogOnce::Repeated
        };
        observe::record_unreadable(family.name(), why.code(), once);
    }
}

enum Plain<'a> {
    Borrowed(&'a [u8]),
    Opened(Zeroizing<Vec<u8>>),
}

impl std::ops::Deref for Plain<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Opened(bytes) => bytes,
        }
    }
}

/// Reason why a record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    NotUnderstood,
    NotSealed,
    UnknownKey,
    AuthenticationFailed,
}

impl Unreadable {
    fn code(self) -> &'static str {
        match self {
            Self::NotUnderstood => "not_understood",
            Self::NotSealed => "not_sealed",
            Self::UnknownKey => "unknown_key",
            Self::AuthenticationFailed => "authentication_failed",
        }
    }
}

fn split_sealed(content: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = content.split_first()?;
    let (name, sealed) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(name).ok()?, sealed))
}

/// Returns the associated data that binds a sealed body to its record. Every part except the label
/// has a fixed length. The data of two records therefore never collide. The data does not include
/// the engine's version of the record. A person who can write to the store can restore an older
/// record together with its version.
fn associated_data(owner: &Owner, key: RecordKey) -> [u8; 65] {
    const LABEL: &[u8; 15] = b"kycport record ";
    let mut data = [0; 65];
    let parts = LABEL
        .iter()
        .copied()
        .chain([SEALED])
        .chain(owner.to_bytes())
        .chain([key.family.number()])
        .chain(key.id.0);
    for (slot, byte) in data.iter_mut().zip(parts) {
        *slot = byte;
    }
    data
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::{super::Namespace, Forms, PLAIN, SEALED, SealingKeys, Stored};
    use crate::store::{Family, RecordId, RecordKey};
    use std::sync::Arc;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
    }

    impl Stored for Note {
        const FAMILY: Family = Family::Session;
    }

    fn sealing(text: &str) -> Forms {
        Forms::new(Some(Arc::new(SealingKeys::parse(text).unwrap())))
    }

    const A: &str = "a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    const B: &str = "b:IAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_record_is_bound_to_its_place_and_its_key() {
        let own = Namespace::of("i", "c");
        let (ada, bob) = (own.owner_of("ada"), own.owner_of("bob"));
        let place = RecordKey::new(Family::Session, RecordId([1; 16]));
        let other_id = RecordKey::new(Family::Session, RecordId([2; 16]));
        let other_family = RecordKey::new(Family::Tokens, RecordId([1; 16]));
        let note = Note {
            text: "canary".to_owned(),
        };
        for (forms, sealed) in [(Forms::new(None), false), (sealing(A), true)] {
            let body = forms.write(&ada, place, &note).unwrap();
            assert_eq!(body[0], if sealed { SEALED } else { PLAIN });
            let shows = body.windows(6).any(|part| part == b"canary");
            assert_eq!(shows, !sealed);
            assert_eq!(forms.read(&ada, place, &body), Some(note_of("canary")));
            if sealed {
                assert_eq!(forms.read::<Note>(&bob, place, &body), None);
                assert_eq!(forms.read::<Note>(&ada, other_id, &body), None);
                assert_eq!(forms.read::<Note>(&ada, other_family, &body), None);
                for index in 0..body.len() {
                    let mut changed = body.to_vec();
                    changed[index] ^= 1;
                    assert_eq!(forms.read::<Note>(&ada, place, &changed), None, "{index}");
                }
            }
            for length in 0..body.len() {
                assert_eq!(forms.read::<Note>(&ada, place, &body[..length]), None);
            }
        }
    }

    #[test]
    fn a_record_needs_the_key_that_sealed_it() {
        let owner = Namespace::of("i", "c").owner_of("ada");
        let place = RecordKey::only(Family::Session);
        let write = |forms: &Forms| forms.write(&owner, place, &note_of("x")).unwrap();
        let old = write(&sealing(A));
        let unsealed = write(&Forms::new(None));
        let both = sealing(&format!("{B} {A}"));
        assert_eq!(both.read(&owner, place, &old), Some(note_of("x")));
        assert_eq!(both.read::<Note>(&owner, place, &unsealed), None);
        let new = write(&both);
        assert_eq!(sealing(A).read::<Note>(&owner, place, &new), None);
        assert_eq!(Forms::new(None).read::<Note>(&owner, place, &new), None);
        let renamed = sealing(&A.replace("a:", "b:"));
        assert_eq!(renamed.read::<Note>(&owner, place, &old), None);
        let keys = SealingKeys::parse(A).unwrap().also_read_unsealed();
        let lenient = Forms::new(Some(Arc::new(keys)));
        assert_eq!(lenient.read(&owner, place, &unsealed), Some(note_of("x")));
    }

    fn note_of(text: &str) -> Note {
        Note {
            text: text.to_owned(),
        }
    }
}
