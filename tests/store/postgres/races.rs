//! Tests that revocations and concurrent writes have the correct result in every order. A lock on
//! the table blocks the first operation while the first operation holds the owner's lock. The
//! second operation therefore waits for the first operation.

use kycport::store::{
    Change, Condition, LeaseFamily, LeaseKey, LeaseToken, Owner, PostgresStore, RecordKey,
    RevocationMark, Store, StoreError, Write, Written,
};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;

use super::support::{database, server, wait_for_lock};
use crate::samples::{LONG, REVOKED, create, has, put, random, random_owner, random_session};

struct RaceTest {
    store: PostgresStore,
    owner: Owner,
    url: String,
}

type Outcome<T> = JoinHandle<Result<T, StoreError>>;

impl RaceTest {
    async fn new() -> Option<Self> {
        let url = database(server()?).await;
        Some(Self {
            store: PostgresStore::connect(&url).await.unwrap(),
            owner: random_owner(),
            url,
        })
    }

    fn revoke(&self) -> Outcome<RevocationMark> {
        let (store, owner) = (self.store.clone(), self.owner);
        tokio::spawn(async move { store.revoke(&owner, &REVOKED, LONG).await })
    }

    fn write(&self, write: Write, admitted_at: Option<RevocationMark>) -> Outcome<Written> {
        let (store, owner) = (self.store.clone(), self.owner);
        tokio::spawn(async move { store.write(&owner, &[write], admitted_at).await })
    }

    /// Returns the mark of a login that starts now: the value of the revocation counter.
    async fn current_mark(&self) -> RevocationMark {
        let key = LeaseKey {
            namespace: self.owner.namespace,
            family: LeaseFamily::Login,
            id: random(),
        };
        let token = LeaseToken::random();
        let acquired = self.store.acquire(&key, token, LONG).await.unwrap();
        let kycport::store::Acquired::Granted { mark } = acquired else {
            panic!("{acquired:?}");
        };
        mark
    }

    async fn fence(&self) -> Option<RevocationMark> {
        self.store.read(&self.owner, &[]).await.unwrap().fence
    }

    async fn has(&self, key: RecordKey) -> bool {
        has(&self.store, &self.owner, key).await
    }

    /// Starts the first operation and then the second operation. Unblocks both operations when both
    /// operations wait.
    async fn in_order<A, B>(
        &self,
        first: impl FnOnce() -> Outcome<A>,
        second: impl FnOnce() -> Outcome<B>,
    ) -> (A, B) {
        let mut blocker = PgConnection::connect(&self.url).await.unwrap();
        let mut watcher = PgConnection::connect(&self.url).await.unwrap();
        let mut transaction = blocker.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE kycport_records IN SHARE MODE")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let first = first();
        wait_for_lock(&mut watcher, "relation", 1).await;
        let second = second();
        wait_for_lock(&mut watcher, "advisory", 1).await;
        transaction.commit().await.unwrap();
        (
            first.await.unwrap().unwrap(),
            second.await.unwrap().unwrap(),
        )
    }
}

#[tokio::test]
async fn a_revocation_deletes_a_session_created_while_it_waited() {
    let Some(race) = RaceTest::new().await else {
        return;
    };
    let mark = race.current_mark().await;
    let key = random_session();
    let create = put(key, Condition::Absent);
    let (written, revoked) = race
        .in_order(|| race.write(create, Some(mark)), || race.revoke())
        .await;
    assert_eq!(written, Written::Applied);
    assert!(revoked > mark);
    assert!(!race.has(key).await);
    assert_eq!(race.fence().await, Some(revoked));
}

#[tokio::test]
async fn a_creation_that_waited_for_a_revocation_is_fenced() {
    let Some(race) = RaceTest::new().await else {
        return;
    };
    let mark = race.current_mark().await;
    let key = random_session();
    let create = put(key, Condition::Absent);
    let (revoked, written) = race
        .in_order(|| race.revoke(), || race.write(create, Some(mark)))
        .await;
    assert_eq!(written, Written::Fenced);
    assert!(!race.has(key).await);
    assert_eq!(race.fence().await, Some(revoked));
}

#[tokio::test]
async fn an_update_that_waited_for_a_revocation_restores_no_record() {
    let Some(race) = RaceTest::new().await else {
        return;
    };
    let key = create(&race.store, &race.owner).await;
    let update = put(key, Condition::Present);
    let (_, written) = race
        .in_order(|| race.revoke(), || race.write(update, None))
        .await;
    let Written::Conflict(found) = written else {
        panic!("{written:?}");
    };
    assert!(found.entries[0].is_none());
    assert!(!race.has(key).await);
}

#[tokio::test]
async fn a_revocation_deletes_a_session_updated_while_it_waited() {
    let Some(race) = RaceTest::new().await else {
        return;
    };
    let key = create(&race.store, &race.owner).await;
    let update = put(key, Condition::Present);
    let (written, _) = race
        .in_order(|| race.write(update, None), || race.revoke())
        .await;
    assert_eq!(written, Written::Applied);
    assert!(!race.has(key).await);
}

#[tokio::test]
async fn the_fence_is_the_higher_mark_of_two_revocations() {
    let Some(race) = RaceTest::new().await else {
        return;
    };
    let key = create(&race.store, &race.owner).await;
    let (first, second) = race.in_order(|| race.revoke(), || race.revoke()).await;
    assert_ne!(first, second);
    assert_eq!(race.fence().await, Some(first.max(second)));
    assert!(!race.has(key).await);
}

/// The store treats the login as later, because the login acquires its lease after the revocation
/// has begun.
#[tokio::test]
async fn a_login_that_begins_during_a_revocation_is_not_fenced() {
    let Some(race) = RaceTest::new().await else {
        return;
    };
    let mut blocker = PgConnection::connect(&race.url).await.unwrap();
    let mut watcher = PgConnection::connect(&race.url).await.unwrap();
    let mut transaction = blocker.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE kycport_records IN SHARE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let revocation = race.revoke();
    wait_for_lock(&mut watcher, "relation", 1).await;
    let mark = race.current_mark().await;
    transaction.commit().await.unwrap();
    let revoked = revocation.await.unwrap().unwrap();
    assert!(mark >= revoked);
    let key = random_session();
    let create = put(key, Condition::Absent);
    let written = race.write(create, Some(mark)).await.unwrap().unwrap();
    assert_eq!(written, Written::Applied);
    assert!(race.has(key).await);
}

#[tokio::test]
async fn one_of_two_creations_at_the_same_key_conflicts() {
    let Some(race) = RaceTest::new().await else {
        return;
    };
    let key = random_session();
    let [one, other] = [(); 2].map(|()| put(key, Condition::Absent));
    let Change::Put { version, .. } = one.change else {
        panic!("not a put");
    };
    let (first, second) = race
        .in_order(|| race.write(one, None), || race.write(other, None))
        .await;
    assert_eq!(first, Written::Applied);
    let Written::Conflict(found) = second else {
        panic!("{second:?}");
    };
    assert_eq!(found.entries[0].as_ref().unwrap().version, version);
}
