//! Records and leases for the tests of engines with servers or files.

use std::time::Duration;

use bytes::Bytes;
use kycport::store::{
    Acquired, Change, Condition, Family, LeaseFamily, LeaseKey, LeaseToken, Owner, RecordId,
    RecordKey, RevocationMark, Settlement, Store, StoreError, Write, Written,
};

/// Lifetime of records that must outlive a test.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// Families of records that a revocation deletes.
pub(crate) const REVOKED: [Family; 3] = [Family::Session, Family::Activity, Family::Tokens];

/// Returns 16 random bytes.
pub(crate) fn random() -> [u8; 16] {
    LeaseToken::random().0
}

pub(crate) fn random_owner() -> Owner {
    Owner {
        namespace: random(),
        id: random(),
    }
}

pub(crate) fn random_session() -> RecordKey {
    RecordKey::new(Family::Session, RecordId(random()))
}

pub(crate) fn random_event() -> LeaseKey {
    LeaseKey {
        namespace: random(),
        family: LeaseFamily::Event,
        id: random(),
    }
}

pub(crate) fn put(key: RecordKey, condition: Condition) -> Write {
    put_for(key, condition, LONG)
}

pub(crate) fn put_for(key: RecordKey, condition: Condition, keep_for: Duration) -> Write {
    let [version, _] = [0, 8].map(|it| u64::from(random()[it]) << 32 | u64::from(random()[it]));
    Write {
        key,
        condition,
        change: Change::Put {
            version,
            body: Bytes::copy_from_slice(&random()),
            keep_for,
        },
    }
}

/// Waits in real time, because a test cannot change the clock of the engine.
#[expect(
    clippy::disallowed_methods,
    reason = "a test cannot set the clock of the store"
)]
pub(crate) async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}

/// Creates a session of an owner, like a login.
pub(crate) async fn create(store: &dyn Store, owner: &Owner) -> RecordKey {
    let key = random_session();
    let writes = [put(key, Condition::Absent)];
    let written = store
        .write(owner, &writes, Some(RevocationMark(0)))
        .await
        .unwrap();
    assert_eq!(written, Written::Applied);
    key
}

/// Returns whether a record exists.
pub(crate) async fn has(store: &dyn Store, owner: &Owner, key: RecordKey) -> bool {
    let snapshot = store.read(owner, &[key]).await.unwrap();
    snapshot.entries[0].is_some()
}

/// Returns the results of a write and of a read.
pub(crate) async fn write_and_read(
    store: &dyn Store,
) -> (Result<(), StoreError>, Option<StoreError>) {
    let owner = random_owner();
    let writes = [put(random_session(), Condition::Any)];
    let written = store.write(&owner, &writes, Some(RevocationMark(0))).await;
    let read = store.read(&owner, &[writes[0].key]).await;
    (written.map(|_| ()), read.err())
}

/// Performs each operation of a store once. Tests use this function for a further way to connect to
/// an engine. The conformance suite covers the engine itself.
pub(crate) async fn assert_every_operation_works(store: &dyn Store) {
    let owner = random_owner();
    let key = create(store, &owner).await;
    let other = create(store, &owner).await;
    let listed = store.list(&owner, Family::Session, None, 10).await.unwrap();
    assert_eq!(listed.len(), 2);
    let rewritten = [put(key, Condition::Present), put(other, Condition::Absent)];
    let written = store
        .write(&owner, &rewritten, Some(RevocationMark(0)))
        .await;
    assert!(matches!(written.unwrap(), Written::Conflict(_)));

    let (lease, token) = (random_event(), LeaseToken(random()));
    let acquired = store.acquire(&lease, token, LONG).await.unwrap();
    let Acquired::Granted { mark } = acquired else {
        panic!("{acquired:?}");
    };
    let result = Bytes::from_static(b"result");
    let done = Settlement::Done {
        result: result.clone(),
        keep_for: LONG,
    };
    assert!(store.settle(&lease, token, done).await.unwrap());
    let again = store.acquire(&lease, LeaseToken(random()), LONG).await;
    assert_eq!(again.unwrap(), Acquired::Done(result));

    let fence = store.revoke(&owner, &REVOKED, LONG).await.unwrap();
    assert!(fence > mark);
    assert!(!has(store, &owner, key).await);
    let late = [put(random_session(), Condition::Absent)];
    let written = store.write(&owner, &late, Some(mark)).await.unwrap();
    assert_eq!(written, Written::Fenced);
    store.sweep(10).await.unwrap();
    store.check().await.unwrap();
}
