//! The store in memory.

use std::{sync::Arc, time::Duration};

use kycport::{
    TestClock,
    store::{MemoryStore, Store as _, conformance},
};

fn store() -> (MemoryStore, TestClock) {
    let clock = TestClock::new();
    let store = MemoryStore::new(10_000, Arc::new(clock.clone()));
    (store, clock)
}

#[tokio::test]
async fn it_conforms() {
    let (store, clock) = store();
    let pass = async |by| clock.advance(by);
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test]
async fn it_conforms_with_a_frozen_clock() {
    let (store, clock) = store();
    clock.freeze();
    let pass = async |by| clock.advance(by);
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test]
async fn it_conforms_on_the_clock_of_the_machine() {
    let store = MemoryStore::default();
    #[expect(
        clippy::disallowed_methods,
        reason = "the store runs on the machine's clock"
    )]
    let pass = |by: Duration| tokio::time::sleep(by);
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_conforms_with_callers_on_several_threads() {
    let (store, _) = store();
    for _ in 0..20 {
        let store = Arc::new(store.clone());
        conformance::check_in_parallel(store).await.unwrap();
    }
}

#[test]
fn it_is_neither_shared_nor_durable() {
    let properties = MemoryStore::default().properties();
    assert!(!properties.shared && !properties.durable);
}
