//! Revocations that meet writes, in every order. A lock on the table stops the first operation while
//! it holds the owner's lock, so that the second one waits for it.

use kycport::store::{
    Change, Condition, LeaseFamily, LeaseKey, LeaseToken, Mark, Owner, PostgresStore, RecordKey,
    Store, StoreError, Write, Written,
};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;

use super::support::{database, server, wait_for_lock};
use crate::samples::{LONG, REVOKED, create, has, put, random, random_owner, random_session};

struct Scene {
    store: PostgresStore,
    owner: Owner,
    url: String,
}

type Outcome<T> = JoinHandle<Result<T, StoreError>>;

impl Scene {
    async fn new() -> Option<Self> {
        let url = database(server()?).await;
        Some(Self {
            store: PostgresStore::connect(&url).await.unwrap(),
            owner: random_owner(),
            url,
        })
    }

    fn revoke(&self) -> Outcome<Mark> {
        let (store, owner) = (self.store.clone(), self.owner);
        tokio::spawn(async move { store.revoke(&owner, &REVOKED, LONG).await })
    }

    fn write(&self, write: Write, admitted_at: Option<Mark>) -> Outcome<Written> {
        let (store, owner) = (self.store.clone(), self.owner);
        tokio::spawn(async move { store.write(&owner, &[write], admitted_at).await })
    }

    /// The mark that a login of this moment would carry.
    async fn claim(&self) -> Mark {
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

    async fn fence(&self) -> Option<Mark> {
        self.store.read(&self.owner, &[]).await.unwrap().fence
    }

    async fn has(&self, key: RecordKey) -> bool {
        has(&self.store, &self.owner, key).await
    }

    /// Starts the first operation, then the second, and lets them go on when both wait.
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
async fn a_revocation_deletes_what_was_created_while_it_waited() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mark = scene.claim().await;
    let key = random_session();
    let create = put(key, Condition::Absent);
    let (written, revoked) = scene
        .in_order(|| scene.write(create, Some(mark)), || scene.revoke())
        .await;
    assert_eq!(written, Written::Applied);
    assert!(revoked > mark);
    assert!(!scene.has(key).await);
    assert_eq!(scene.fence().await, Some(revoked));
}

#[tokio::test]
async fn a_creation_that_waited_for_a_revocation_is_fenced() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mark = scene.claim().await;
    let key = random_session();
    let create = put(key, Condition::Absent);
    let (revoked, written) = scene
        .in_order(|| scene.revoke(), || scene.write(create, Some(mark)))
        .await;
    assert_eq!(written, Written::Fenced);
    assert!(!scene.has(key).await);
    assert_eq!(scene.fence().await, Some(revoked));
}

#[tokio::test]
async fn an_update_that_waited_for_a_revocation_revives_nothing() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let key = create(&scene.store, &scene.owner).await;
    let update = put(key, Condition::Present);
    let (_, written) = scene
        .in_order(|| scene.revoke(), || scene.write(update, None))
        .await;
    let Written::Conflict(found) = written else {
        panic!("{written:?}");
    };
    assert!(found.entries[0].is_none());
    assert!(!scene.has(key).await);
}

#[tokio::test]
async fn a_revocation_deletes_what_was_updated_while_it_waited() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let key = create(&scene.store, &scene.owner).await;
    let update = put(key, Condition::Present);
    let (written, _) = scene
        .in_order(|| scene.write(update, None), || scene.revoke())
        .await;
    assert_eq!(written, Written::Applied);
    assert!(!scene.has(key).await);
}

#[tokio::test]
async fn the_fence_is_the_higher_mark_of_two_revocations() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let key = create(&scene.store, &scene.owner).await;
    let (first, second) = scene.in_order(|| scene.revoke(), || scene.revoke()).await;
    assert_ne!(first, second);
    assert_eq!(scene.fence().await, Some(first.max(second)));
    assert!(!scene.has(key).await);
}

/// It began when the revocation had begun, so its person has signed in after it.
#[tokio::test]
async fn a_login_that_is_claimed_during_a_revocation_is_not_fenced_by_it() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mut blocker = PgConnection::connect(&scene.url).await.unwrap();
    let mut watcher = PgConnection::connect(&scene.url).await.unwrap();
    let mut transaction = blocker.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE kycport_records IN SHARE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let revocation = scene.revoke();
    wait_for_lock(&mut watcher, "relation", 1).await;
    let mark = scene.claim().await;
    transaction.commit().await.unwrap();
    let revoked = revocation.await.unwrap().unwrap();
    assert!(mark >= revoked);
    let key = random_session();
    let create = put(key, Condition::Absent);
    let written = scene.write(create, Some(mark)).await.unwrap().unwrap();
    assert_eq!(written, Written::Applied);
    assert!(scene.has(key).await);
}

#[tokio::test]
async fn one_of_two_creations_at_the_same_key_conflicts() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let key = random_session();
    let [one, other] = [(); 2].map(|()| put(key, Condition::Absent));
    let Change::Put { version, .. } = one.change else {
        panic!("no put");
    };
    let (first, second) = scene
        .in_order(|| scene.write(one, None), || scene.write(other, None))
        .await;
    assert_eq!(first, Written::Applied);
    let Written::Conflict(found) = second else {
        panic!("{second:?}");
    };
    assert_eq!(found.entries[0].as_ref().unwrap().version, version);
}
