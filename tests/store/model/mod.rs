//! Random sequences of operations, compared with a reference model.
//!
//! [`run`] runs a sequence on any store. A failure names the seed, and
//! `KYCPORT_MODEL_SEED=<seed>` runs that sequence alone.

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

/// How time passes for a store.
#[derive(Debug, Clone)]
pub(crate) enum Time {
    /// With a clock that the runner freezes and advances. All lifetimes are exact.
    Exact(TestClock),
    /// By itself. The runner lets short lifetimes end at most `waits` times in a sequence, and
    /// sleeps for [`REAL_WAIT`] each time. With 0, nothing expires.
    Real {
        /// Maximum number of waits.
        waits: usize,
    },
}

/// What the runner sleeps in [`Time::Real`].
pub(crate) const REAL_WAIT: Duration = Duration::from_millis(60);

/// Number of operations of a sequence.
pub(crate) const STEPS: usize = 250;

/// Runs one random sequence of operations on a store, in namespaces of its own.
///
/// # Panics
/// If the store does something else than the model.
pub(crate) async fn run(store: &dyn Store, seed: u64, time: Time) {
    if let Time::Exact(clock) = &time {
        clock.freeze();
    }
    let mut runner = Runner::new(store, seed, time);
    for _ in 0..STEPS {
        runner.step().await;
    }
}

/// The seeds of a test: the one of the environment, or the numbers from 1.
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("KYCPORT_MODEL_SEED") {
        Ok(seed) => vec![seed.parse().expect("the seed should be a number")],
        Err(_) => (1..=count).collect(),
    }
}

#[tokio::test]
async fn the_memory_store_does_what_the_model_does() {
    for seed in seeds(400) {
        let clock = TestClock::new();
        let store = MemoryStore::new(10_000, Arc::new(clock.clone()));
        run(&store, seed, Time::Exact(clock)).await;
    }
}

#[tokio::test]
async fn sequences_on_one_store_do_not_disturb_each_other() {
    let clock = TestClock::new();
    let store = MemoryStore::new(10_000, Arc::new(clock.clone()));
    for seed in seeds(50) {
        run(&store, seed, Time::Exact(clock.clone())).await;
    }
}

#[tokio::test]
async fn the_memory_store_does_what_the_model_does_in_real_time() {
    let store = MemoryStore::default();
    for seed in seeds(5) {
        run(&store, seed, Time::Real { waits: 2 }).await;
    }
}
