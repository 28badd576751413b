//! Tests that compare stores with a reference model on random sequences of operations.
//!
//! [`run`] runs a sequence on any store. A failure reports the seed. `KYCPORT_MODEL_SEED=<seed>`
//! runs only that sequence.

mod engines;
mod leases;
mod random;
mod records;
mod runner;

use std::{sync::Arc, time::Duration};

use kycport::{
    TestClock,
    store::{MemoryStore, Store},
};

use runner::Runner;

/// Source of time for a store.
#[derive(Debug, Clone)]
pub(crate) enum Time {
    /// A clock that the runner freezes and advances. The store must apply all lifetimes exactly.
    Exact(TestClock),
    /// Real time. The runner lets short lifetimes end at most `waits` times per sequence, and
    /// sleeps for [`REAL_WAIT`] each time. If `waits` is 0, no record expires.
    Real {
        /// Maximum number of waits.
        waits: usize,
    },
}

/// Duration of one wait in [`Time::Real`].
pub(crate) const REAL_WAIT: Duration = Duration::from_millis(60);

/// Number of operations in a sequence.
pub(crate) const STEPS: usize = 250;

/// Runs one random sequence of operations on a store, in its own namespaces.
///
/// # Panics
/// If the store differs from the model.
pub(crate) async fn run(store: &dyn Store, seed: u64, time: Time) {
    if let Time::Exact(clock) = &time {
        clock.freeze();
    }
    let mut runner = Runner::new(store, seed, time);
    for _ in 0..STEPS {
        runner.step().await;
    }
}

/// Returns the seeds of a test: the seed from the environment, or the numbers from 1.
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("KYCPORT_MODEL_SEED") {
        Ok(seed) => vec![seed.parse().expect("the seed is not a number")],
        Err(_) => (1..=count).collect(),
    }
}

#[tokio::test]
async fn the_memory_store_matches_the_model() {
    for seed in seeds(400) {
        let clock = TestClock::new();
        let store = MemoryStore::new(10_000, Arc::new(clock.clone()));
        run(&store, seed, Time::Exact(clock)).await;
    }
}

#[tokio::test]
async fn parallel_sequences_on_one_store_do_not_interfere() {
    let clock = TestClock::new();
    let store = MemoryStore::new(10_000, Arc::new(clock.clone()));
    for seed in seeds(50) {
        run(&store, seed, Time::Exact(clock.clone())).await;
    }
}

#[tokio::test]
async fn the_memory_store_matches_the_model_in_real_time() {
    let store = MemoryStore::default();
    for seed in seeds(5) {
        run(&store, seed, Time::Real { waits: 2 }).await;
    }
}
