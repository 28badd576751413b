//! Owners, records and leases for the Redis tests.

use std::time::Duration;

use kycport::store::{
    Change, Condition, Family, LeaseFamily, LeaseKey, Owner, RecordId, RecordKey, RedisStore,
    RevocationMark, Store as _, StoreError, Write, Written,
};
use rand::Rng as _;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Families of records that a sign-out everywhere removes.
pub(crate) const REVOKED: [Family; 3] = [Family::Session, Family::Activity, Family::Tokens];

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

pub(crate) fn owner() -> Owner {
    Owner {
        namespace: random(),
        id: random(),
    }
}

pub(crate) fn login(namespace: [u8; 16]) -> LeaseKey {
    LeaseKey {
        namespace,
        family: LeaseFamily::Login,
        id: random(),
    }
}

pub(crate) fn session() -> RecordKey {
    RecordKey::new(Family::Session, RecordId(random()))
}

pub(crate) fn put(key: RecordKey, condition: Condition) -> Write {
    Write {
        key,
        condition,
        change: Change::Put {
            version: u64::from_be_bytes(random()),
            body: random::<40>().to_vec().into(),
            keep_for: MINUTE,
        },
    }
}

pub(crate) fn version_of(write: &Write) -> u64 {
    match write.change {
        Change::Put { version, .. } => version,
        Change::Delete | Change::Keep => panic!("no version"),
    }
}

/// Creates a session with a mark, like a login. The mark is the value of the revocation counter
/// when the login started.
pub(crate) async fn create(
    store: &RedisStore,
    owner: &Owner,
    key: RecordKey,
    mark: RevocationMark,
) -> Result<Written, StoreError> {
    let write = put(key, Condition::Absent);
    store.write(owner, &[write], Some(mark)).await
}

/// Returns the key of the owner's hash on the server.
pub(crate) fn hash_of(owner: &Owner) -> String {
    let (namespace, id) = (hex(&owner.namespace), hex(&owner.id));
    format!("kycport:{{{namespace}{id}}}o")
}

/// Returns the key of the namespace's counter on the server.
pub(crate) fn counter_of(namespace: &[u8; 16]) -> String {
    format!("kycport:{{{}}}m", hex(namespace))
}

/// Returns the key of a lease on the server.
pub(crate) fn lease_of(key: &LeaseKey) -> String {
    let family = hex(&[key.family.number()]);
    let (namespace, id) = (hex(&key.namespace), hex(&key.id));
    format!("kycport:{{{namespace}{family}{id}}}l")
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Repeats an operation until it returns the expected result, for at most 20 s.
pub(crate) async fn eventually<T: PartialEq + std::fmt::Debug>(
    expected: T,
    mut ask: impl AsyncFnMut() -> T,
) {
    for _ in 0..200 {
        if ask().await == expected {
            return;
        }
        super::server::pause();
    }
    assert_eq!(ask().await, expected);
}
