//! Keys of records: namespaces, owners, families and ids.

use std::fmt;

use rand::Rng as _;
use sha2::{Digest as _, Sha256};

/// Length of each key part, in bytes.
const PART: usize = 16;

/// Kind of a record. The number is part of the stored key and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Record of a signed-in person's session.
    Session = 1,
    /// Time of a session's last use.
    Activity = 2,
    /// Tokens of a session.
    Tokens = 3,
    /// Lease on the refresh of a session's tokens.
    RefreshLease = 4,
    /// Latest verification result of a person.
    Assurance = 5,
    /// Key that encrypts pending logins. Each namespace has one key for pending logins.
    LoginKey = 6,
    /// Record that a health check writes, reads and removes.
    Check = 7,
    /// Time at which the app last revoked all sessions of a person.
    Revocation = 8,
}

impl Family {
    /// All families of records.
    pub const ALL: [Self; 8] = [
        Self::Session,
        Self::Activity,
        Self::Tokens,
        Self::RefreshLease,
        Self::Assurance,
        Self::LoginKey,
        Self::Check,
        Self::Revocation,
    ];

    /// Returns the number used in stored keys.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the family with this number, or `None`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.number() == number)
    }

    /// Returns a short name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Activity => "activity",
            Self::Tokens => "tokens",
            Self::RefreshLease => "refresh_lease",
            Self::Assurance => "assurance",
            Self::LoginKey => "login_key",
            Self::Check => "check",
            Self::Revocation => "revocation",
        }
    }
}

/// Kind of a lease. The number is part of the stored key and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LeaseFamily {
    /// Login that a callback is completing.
    Login = 1,
    /// Webhook event that a handler is handling.
    Event = 2,
    /// Job that runs on a schedule.
    Job = 3,
}

impl LeaseFamily {
    /// Returns the number used in stored keys.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Owner of records: a person within the namespace of one issuer and one client. The all-zero `id`
/// identifies the namespace itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Namespace of an issuer and a client.
    pub namespace: [u8; PART],
    /// Owner within the namespace.
    pub id: [u8; PART],
}

impl Owner {
    /// Returns the owner of records that belong to the whole namespace.
    pub const fn namespace(namespace: [u8; PART]) -> Self {
        Self {
            namespace,
            id: [0; PART],
        }
    }

    /// Returns the namespace followed by the id, for engines with a single key column.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (namespace, id) = bytes.split_at_mut(PART);
        namespace.copy_from_slice(&self.namespace);
        id.copy_from_slice(&self.id);
        bytes
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner(…)")
    }
}

/// Id of a record within its owner and family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; PART]);

impl RecordId {
    /// Id of a record that exists once per owner and family.
    pub const ONLY: Self = Self([0; PART]);
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordId(…)")
    }
}

/// Key of a record within its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Kind of the record.
    pub family: Family,
    /// Id within the family.
    pub id: RecordId,
}

impl RecordKey {
    /// Creates the key of a record.
    pub const fn new(family: Family, id: RecordId) -> Self {
        Self { family, id }
    }

    /// Creates the key of the only record of its family.
    pub const fn only(family: Family) -> Self {
        Self::new(family, RecordId::ONLY)
    }
}

/// Key of a lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    /// Namespace of an issuer and a client.
    pub namespace: [u8; PART],
    /// Kind of the lease.
    pub family: LeaseFamily,
    /// Id within the namespace and family.
    pub id: [u8; PART],
}

impl LeaseKey {
    /// Creates the key of a lease from the parts of a name. The id is the first half of a SHA-256
    /// hash over the parts. The hash input contains the length of each part, so different lists of
    /// parts give different ids.
    pub fn of(namespace: [u8; PART], family: LeaseFamily, parts: &[&[u8]]) -> Self {
        Self {
            namespace,
            family,
            id: digest("kycport lease", parts),
        }
    }
}

impl fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseKey")
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

/// Token of the caller that holds a lease: 128 random bits. The caller chooses the token. If the
/// lease expires and another caller acquires the lease, the store rejects the first caller's token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseToken(pub [u8; PART]);

impl LeaseToken {
    /// Creates a random token.
    pub fn random() -> Self {
        let mut bytes = [0; PART];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(…)")
    }
}

/// Returns the first 128 bits of a SHA-256 hash over a label and some parts. The hash input
/// contains the length of the label and of each part.
pub(crate) fn digest(label: &str, parts: &[&[u8]]) -> [u8; PART] {
    let mut hash = Sha256::new();
    for part in std::iter::once(&label.as_bytes()).chain(parts) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Family, digest};

    #[test]
    fn different_lists_of_parts_give_different_ids() {
        assert_ne!(digest("l", &[b"ab", b"c"]), digest("l", &[b"a", b"bc"]));
        assert_ne!(digest("l", &[b"ab"]), digest("l", &[b"ab", b""]));
        assert_ne!(digest("la", &[b"b"]), digest("l", &[b"ab"]));
        assert_eq!(digest("l", &[b"a", b"b"]), digest("l", &[b"a", b"b"]));
    }

    #[test]
    fn every_family_has_a_unique_number() {
        for family in Family::ALL {
            assert_eq!(Family::from_number(family.number()), Some(family));
        }
        assert_eq!(Family::from_number(0), None);
        assert_eq!(Family::from_number(200), None);
    }
}
