//! Keys of rows. A key is the concatenation of owner, family and id. The rows of an owner are
//! therefore adjacent.

use crate::store::{Family, LeaseKey, Owner, RecordId, RecordKey};

/// Length of an owner in a key.
const OWNER: usize = 32;
/// Family number in the key of an owner's fence (the lowest mark that is still valid). No record
/// family has this number.
const FENCE: u8 = 0;

/// Key of a record's row.
pub(crate) type Key = [u8; 49];

/// Builds the key of a record's row.
pub(crate) fn record_key(owner: &Owner, key: RecordKey) -> Key {
    row_key(owner, key.family.number(), key.id)
}

/// Builds the row keys for a snapshot: first the owner's fence, then the records.
pub(crate) fn row_keys(owner: &Owner, keys: impl Iterator<Item = RecordKey>) -> Vec<Key> {
    let keys = keys.map(|key| record_key(owner, key));
    std::iter::once(fence_key(owner)).chain(keys).collect()
}

/// Builds the key of the row with an owner's fence.
pub(crate) fn fence_key(owner: &Owner) -> Key {
    row_key(owner, FENCE, RecordId::ONLY)
}

fn row_key(owner: &Owner, family: u8, id: RecordId) -> Key {
    let mut key = [0; 49];
    let (start, end) = key.split_at_mut(OWNER + 1);
    start.copy_from_slice(&family_prefix(owner, family));
    end.copy_from_slice(&id.0);
    key
}

fn family_prefix(owner: &Owner, family: u8) -> [u8; OWNER + 1] {
    let mut prefix = [family; OWNER + 1];
    let (start, _) = prefix.split_at_mut(OWNER);
    start.copy_from_slice(&owner.to_bytes());
    prefix
}

/// Builds the bounds for the keys that an owner has in one family. All keys lie between the first
/// bound and the second bound.
pub(crate) fn family_bounds(owner: &Owner, family: Family) -> [[u8; OWNER + 1]; 2] {
    let number = family.number();
    [number, number.saturating_add(1)].map(|number| family_prefix(owner, number))
}

/// Builds the key after which a list starts.
pub(crate) fn list_start(owner: &Owner, family: Family, after: Option<RecordId>) -> Vec<u8> {
    match after {
        Some(id) => row_key(owner, family.number(), id).to_vec(),
        None => family_prefix(owner, family.number()).to_vec(),
    }
}

/// Builds the key of a lease's row.
pub(crate) fn lease_key(key: &LeaseKey) -> [u8; 33] {
    let owner = Owner {
        namespace: key.namespace,
        id: key.id,
    };
    family_prefix(&owner, key.family.number())
}

/// Returns the number of an owner for the engine's locks. If two owners have one number, their
/// operations wait for each other.
#[cfg(feature = "postgres")]
pub(crate) fn owner_number(owner: &Owner) -> i64 {
    let half = |part: &[u8; 16]| {
        let first = part.first_chunk().copied().unwrap_or_default();
        let last = part.last_chunk().copied().unwrap_or_default();
        i64::from_be_bytes(first) ^ i64::from_be_bytes(last).rotate_left(17)
    };
    half(&owner.namespace) ^ half(&owner.id).rotate_left(31)
}

#[cfg(test)]
mod tests {
    use super::{family_bounds, fence_key, list_start, record_key};
    use crate::store::{Family, Owner, RecordId, RecordKey};

    const OWNER: Owner = Owner {
        namespace: [7; 16],
        id: [0xff; 16],
    };

    #[test]
    fn the_keys_of_a_family_are_within_its_bounds() {
        for family in Family::ALL {
            let [lower, upper] = family_bounds(&OWNER, family).map(|it| it.to_vec());
            for id in [[0; 16], [0xff; 16]] {
                let key = record_key(&OWNER, RecordKey::new(family, RecordId(id)));
                assert!(lower < key.to_vec() && key.to_vec() < upper);
                assert_eq!(list_start(&OWNER, family, Some(RecordId(id))), key.to_vec());
            }
            assert_eq!(list_start(&OWNER, family, None), lower);
            assert!(fence_key(&OWNER).to_vec() < lower);
        }
    }
}
