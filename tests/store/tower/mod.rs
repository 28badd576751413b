//! Tests that the adapter keeps sessions in a tower-sessions store and all other records in a
//! second store.

mod engines;
mod first;
mod first_faults;
mod races;
mod real;
mod second;
mod second_faults;
mod tampering;
mod whole;

use std::time::Duration;

use bytes::Bytes;
use kycport::store::{
    Change, Condition, Family, MemoryStore, Owner, RecordId, RecordKey, RevocationMark, Store,
    StoreError, TowerSessionsStore, Write, Written,
};
use rand::Rng as _;
use tokio::sync::Mutex;

use self::{first::TestSessions, second::TestSecond};

/// Lock that makes the conformance suites run one at a time. A suite loads the machine, so an
/// operation of a parallel suite could exceed its deadline.
static SUITES: Mutex<()> = Mutex::const_new(());
const HOUR: Duration = Duration::from_secs(3600);

/// Adapter over two stores whose faults the test controls.
struct Pair {
    sessions: TestSessions,
    second: TestSecond,
    store: TowerSessionsStore,
    owner: Owner,
}

impl Pair {
    fn new() -> Self {
        let sessions = TestSessions::default();
        let second = TestSecond::new(MemoryStore::default());
        Self {
            store: TowerSessionsStore::danger_unshared(sessions.clone(), second.clone()),
            sessions,
            second,
            owner: random_owner(),
        }
    }

    async fn create(&self, key: RecordKey, version: u64) -> Result<Written, StoreError> {
        let write = put(key, Condition::Absent, version, body_of(version));
        self.store
            .write(&self.owner, &[write], Some(RevocationMark(0)))
            .await
    }

    async fn delete(&self, key: RecordKey) -> Result<Written, StoreError> {
        let write = Write {
            key,
            condition: Condition::Any,
            change: Change::Delete,
        };
        self.store.write(&self.owner, &[write], None).await
    }

    async fn read(&self, key: RecordKey) -> Result<Option<Bytes>, StoreError> {
        read(&self.store, &self.owner, key).await
    }

    async fn listed(&self) -> Result<Vec<RecordId>, StoreError> {
        let listed = self
            .store
            .list(&self.owner, Family::Session, None, 100)
            .await?;
        Ok(listed.into_iter().map(|(id, _)| id).collect())
    }
}

async fn read(
    store: &dyn Store,
    owner: &Owner,
    key: RecordKey,
) -> Result<Option<Bytes>, StoreError> {
    let snapshot = store.read(owner, &[key]).await?;
    Ok(snapshot.entries[0].as_ref().map(|entry| entry.body.clone()))
}

fn put(key: RecordKey, condition: Condition, version: u64, body: Bytes) -> Write {
    Write {
        key,
        condition,
        change: Change::Put {
            version,
            body,
            keep_for: HOUR,
        },
    }
}

/// Returns a binary body that differs for each version.
fn body_of(version: u64) -> Bytes {
    let mut body = vec![0, 255, 128, b'"', b'\\'];
    body.extend(version.to_be_bytes());
    Bytes::from(body)
}

fn session(number: u8) -> RecordKey {
    RecordKey::new(Family::Session, RecordId([number; 16]))
}

fn random_owner() -> Owner {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    Owner {
        namespace: bytes[..16].try_into().unwrap(),
        id: bytes[16..].try_into().unwrap(),
    }
}
