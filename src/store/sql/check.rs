//! Health check of an engine.

use bytes::Bytes;
use rand::RngExt as _;

use super::CHECK_LIFETIME;
use crate::store::{
    Change, Condition, Entry, Family, Owner, RecordId, RecordKey, Store, StoreError, Write, Written,
};

/// Writes a record, reads it back and removes it.
pub(crate) async fn write_and_read_back(store: &impl Store) -> Result<(), StoreError> {
    let owner = Owner::namespace([0; 16]);
    let key = RecordKey::new(Family::Check, RecordId(rand::rng().random()));
    let body = rand::rng().random::<[u8; 32]>();
    let entry = Entry {
        version: rand::rng().random(),
        body: Bytes::copy_from_slice(&body),
    };
    let put = Change::Put {
        version: entry.version,
        body: entry.body.clone(),
        keep_for: CHECK_LIFETIME,
    };
    let written = store.write(&owner, &[write(key, put)], None).await?;
    let found = store.read(&owner, &[key]).await?.entries.pop().flatten();
    let deletion = [write(key, Change::Delete)];
    let deleted = store.write(&owner, &deletion, None).await?;
    let are_applied = [written, deleted].iter().all(|it| *it == Written::Applied);
    if are_applied && found.is_some_and(|it| it == entry) {
        Ok(())
    } else {
        Err(StoreError::Damaged)
    }
}

fn write(key: RecordKey, change: Change) -> Write {
    Write {
        key,
        condition: Condition::Any,
        change,
    }
}
