//! Tests with sessions that another caller changes between the accesses to the two stores.

use bytes::Bytes;
use futures_util::FutureExt as _;
use kycport::store::{
    Change, Condition, Family, Owner, RecordKey, Store as _, StoreError, TowerSessionsStore, Write,
    Written,
};

use super::{HOUR, Pair, body_of, put, session};

/// Replaces a session by another version. This function does not wait, because the stores of these
/// tests respond immediately.
fn replace(store: &TowerSessionsStore, owner: &Owner, key: RecordKey, version: u64) {
    let write = [put(key, Condition::Present, version, body_of(version))];
    let written = store.write(owner, &write, None).now_or_never();
    assert_eq!(written.unwrap().unwrap(), Written::Applied);
}

impl Pair {
    fn replace_before_next_load(&self, version: u64) {
        let (store, owner) = (self.store.clone(), self.owner);
        self.sessions
            .before_load(move || replace(&store, &owner, session(1), version));
    }
}

#[tokio::test]
async fn a_session_replaced_during_a_read_is_not_absent() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.replace_before_next_load(2);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(2)));
    pair.replace_before_next_load(3);
    pair.replace_before_next_load(4);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(4)));
    pair.replace_before_next_load(5);
    assert_eq!(pair.listed().await.unwrap(), [session(1).id]);
}

#[tokio::test]
async fn a_session_that_changes_during_every_read_is_an_error() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    for version in 2..10 {
        pair.replace_before_next_load(version);
    }
    assert_eq!(pair.read(session(1)).await, Err(StoreError::Busy));
}

#[tokio::test]
async fn a_session_deleted_during_a_read_is_absent() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    let (store, owner) = (pair.store.clone(), pair.owner);
    pair.sessions.before_load(move || {
        let revoke = store.revoke(&owner, &[Family::Session], HOUR);
        let _ = revoke.now_or_never().unwrap().unwrap();
    });
    assert_eq!(pair.read(session(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_conflict_returns_the_current_session_during_a_replacement() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.replace_before_next_load(2);
    let created = pair.create(session(1), 9).await.unwrap();
    let Written::Conflict(snapshot) = created else {
        panic!("{created:?}");
    };
    let found: Vec<Option<Bytes>> = snapshot
        .entries
        .into_iter()
        .map(|it| Some(it?.body))
        .collect();
    assert_eq!(found, [Some(body_of(2))]);
    assert_eq!(pair.read(session(1)).await.unwrap(), Some(body_of(2)));
    assert_eq!(pair.sessions.ids().len(), 1);
}

#[tokio::test]
async fn a_version_condition_on_a_missing_body_conflicts() {
    let pair = Pair::new();
    let _ = pair.create(session(1), 1).await.unwrap();
    pair.sessions.remove(pair.sessions.only().id);
    let keep = |condition| Write {
        key: session(1),
        condition,
        change: Change::Keep,
    };
    let write = [keep(Condition::Version(5))];
    let written = pair.store.write(&pair.owner, &write, None).await.unwrap();
    let Written::Conflict(snapshot) = written else {
        panic!("{written:?}");
    };
    assert_eq!(snapshot.entries, [None]);
    let write = [keep(Condition::Absent)];
    let written = pair.store.write(&pair.owner, &write, None).await.unwrap();
    assert_eq!(written, Written::Applied);
}
