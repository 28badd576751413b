//! Tests that the in-memory store follows the rules of `Store`.

use std::{sync::Arc, time::Duration};

use kycport::{
    TestClock, Timestamp,
    store::{
        Acquired, Change, Condition, Family, LeaseFamily, LeaseKey, LeaseToken, MemoryStore, Owner,
        RecordId, RecordKey, RevocationMark, Store as _, StoreError, Write, Written, conformance,
    },
};

fn store() -> (MemoryStore, TestClock) {
    let clock = TestClock::new();
    let store = MemoryStore::new(10_000, Arc::new(clock.clone()));
    (store, clock)
}

#[tokio::test]
async fn the_memory_store_conforms() {
    let (store, clock) = store();
    let pass = async |by| clock.advance(by);
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test]
async fn the_memory_store_conforms_with_a_frozen_clock() {
    let (store, clock) = store();
    clock.freeze();
    let pass = async |by| clock.advance(by);
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test]
async fn the_memory_store_conforms_on_the_machines_clock() {
    let store = MemoryStore::default();
    #[expect(
        clippy::disallowed_methods,
        reason = "the store runs on the machine's clock"
    )]
    let pass = |by: Duration| tokio::time::sleep(by);
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_conforms_with_callers_on_several_threads() {
    let (store, _) = store();
    for _ in 0..20 {
        let store = Arc::new(store.clone());
        conformance::check_in_parallel(store).await.unwrap();
    }
}

#[test]
fn the_memory_store_is_not_shared_and_not_durable() {
    let properties = MemoryStore::default().properties();
    assert!(!properties.shared && !properties.durable);
}

const MINUTE: Duration = Duration::from_secs(60);
const OWNER: Owner = owner(1);

const fn owner(id: u8) -> Owner {
    Owner {
        namespace: [1; 16],
        id: [id; 16],
    }
}

fn put(family: Family, id: u8, keep_for: Duration) -> Write {
    Write {
        key: RecordKey::new(family, RecordId([id; 16])),
        condition: Condition::Any,
        change: Change::Put {
            version: 1,
            body: "body".into(),
            keep_for,
        },
    }
}

async fn count(store: &MemoryStore, family: Family) -> usize {
    let listed = store.list(&OWNER, family, None, 99).await.unwrap();
    assert_eq!(listed.len(), store.count(family));
    listed.len()
}

#[tokio::test]
async fn a_full_family_evicts_only_its_record_that_expires_first() {
    let clock = TestClock::new();
    let store = MemoryStore::new(2, Arc::new(clock));
    for (family, id, minutes) in [
        (Family::Tokens, 1, 1),
        (Family::Session, 1, 9),
        (Family::Session, 2, 3),
        (Family::Session, 3, 6),
    ] {
        let writes = [put(family, id, MINUTE * minutes)];
        let written = store.write(&OWNER, &writes, None).await;
        assert_eq!(written, Ok(Written::Applied));
    }
    let listed = store.list(&OWNER, Family::Session, None, 9).await.unwrap();
    let ids: Vec<_> = listed.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [RecordId([1; 16]), RecordId([3; 16])]);
    assert_eq!(count(&store, Family::Tokens).await, 1);
}

/// Without its record, a bearer token of a rejected person would be accepted again.
#[tokio::test]
async fn a_small_store_keeps_the_assurances_and_revocations_of_many_people() {
    let store = MemoryStore::new(1, Arc::new(TestClock::new()));
    for family in [Family::Assurance, Family::Revocation] {
        for id in 1..=9 {
            let writes = [put(family, 0, MINUTE * u32::from(id))];
            let written = store.write(&owner(id), &writes, None).await;
            assert_eq!(written, Ok(Written::Applied));
        }
        assert_eq!(store.count(family), 9);
    }
}

#[tokio::test]
async fn an_old_mark_is_fenced_after_its_fence_was_evicted() {
    let clock = TestClock::new();
    let store = MemoryStore::new(1, Arc::new(clock));
    for (id, minutes) in [(1, 1), (2, 9), (3, 9)] {
        store
            .revoke(&owner(id), &[], MINUTE * minutes)
            .await
            .unwrap();
    }
    assert_eq!(store.read(&OWNER, &[]).await.unwrap().fence, None);
    let create = [put(Family::Session, 1, MINUTE)];
    let old = store.write(&OWNER, &create, Some(RevocationMark(0))).await;
    assert_eq!(old, Ok(Written::Fenced));
    let new = store.write(&OWNER, &create, Some(RevocationMark(3))).await;
    assert_eq!(new, Ok(Written::Applied));
    let other = [put(Family::Session, 2, MINUTE)];
    let old = store.write(&OWNER, &other, Some(RevocationMark(0))).await;
    assert_eq!(old, Ok(Written::Fenced));
}

#[tokio::test]
async fn changes_of_the_wall_clock_do_not_affect_lifetimes() {
    let (store, clock) = store();
    clock.freeze();
    let session = [put(Family::Session, 1, MINUTE)];
    let written = store.write(&OWNER, &session, Some(RevocationMark(0))).await;
    assert_eq!(written, Ok(Written::Applied));
    for year in [1970, 2100] {
        clock.jump_to(Timestamp::from_unix((year - 1970) * 31_556_952));
        assert_eq!(count(&store, Family::Session).await, 1);
    }
    clock.advance(MINUTE);
    let snapshot = store.read(&OWNER, &[session[0].key]).await.unwrap();
    assert_eq!(snapshot.entries, [None]);
}

#[tokio::test]
async fn expired_events_make_room_despite_many_expired_records() {
    let (store, clock) = store();
    clock.freeze();
    let lease = || LeaseKey {
        namespace: [1; 16],
        family: LeaseFamily::Event,
        id: LeaseToken::random().0,
    };
    let token = LeaseToken::random();
    let acquire = async || store.acquire(&lease(), token, MINUTE).await;
    let granted = Acquired::Granted {
        mark: RevocationMark(0),
    };
    for _ in 0..100_000 {
        assert_eq!(acquire().await, Ok(granted.clone()));
    }
    assert_eq!(acquire().await, Err(StoreError::Full));
    let hours = MINUTE * 120;
    let sessions: Vec<_> = (0..=255)
        .map(|id| put(Family::Session, id, hours))
        .collect();
    let written = store.write(&OWNER, &sessions, None).await;
    assert_eq!(written, Ok(Written::Applied));
    clock.advance(hours);
    assert_eq!(acquire().await, Ok(granted));
}

#[tokio::test]
async fn debug_output_contains_no_record() {
    let (store, _) = store();
    let session = [put(Family::Session, 1, MINUTE)];
    let written = store.write(&OWNER, &session, None).await;
    assert_eq!(written, Ok(Written::Applied));
    assert_eq!(
        format!("{store:?}"),
        "MemoryStore { max_sessions: 10000, .. }"
    );
}
