//! Conformance suite for implementations of [`Store`]: [`check`] and [`check_in_parallel`].
//!
//! The suite uses random namespaces and owners. The suite can run on a store that contains other
//! data, and several suites can run on one store in parallel. All records of the suite expire.

mod conditions;
mod crowd;
mod expiry;
mod fence;
mod fence_expiry;
mod lease_expiry;
mod leases;
mod listing;
mod namespaces;
mod pacer;
mod races;
mod records;
mod rule;
mod sweep;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::Store;
use crowd::Callers;
use pacer::{Check, Pacer};

/// Violation of a rule of [`Store`] by an implementation.
///
/// The error contains no bodies and no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: found {found}")]
#[non_exhaustive]
pub struct Violation {
    /// Rule that the store must follow.
    pub rule: &'static str,
    /// Observed behaviour.
    pub found: String,
}

/// Checks every rule on `store`.
///
/// `pass` lets time pass for the store. For a store with a [`TestClock`](crate::TestClock), `pass`
/// advances the clock. For a store with any other clock, `pass` sleeps. All rules wait together, so
/// the suite takes only a few seconds on a store with a real clock.
///
/// The suite runs in one future. If a store responds without waiting, the calls of the suite are
/// never simultaneous. Therefore also run [`check_in_parallel`].
///
/// # Errors
/// The first [`Violation`], in the order of the rules.
///
/// ```
/// use std::sync::Arc;
/// use kycport::{TestClock, store::{MemoryStore, conformance}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = TestClock::new();
/// let store = MemoryStore::new(1000, Arc::new(clock.clone()));
/// conformance::check(&store, async |by| clock.advance(by)).await.unwrap();
/// # }
/// ```
pub async fn check(store: &dyn Store, pass: impl AsyncFn(Duration)) -> Result<(), Violation> {
    check_without_time(store).await?;
    let pacer = Pacer::new();
    let mut checks = expiry::checks(store, &pacer);
    checks.extend(fence_expiry::checks(store, &pacer));
    checks.extend(lease_expiry::checks(store, &pacer));
    pacer.run(checks, &pass).await?;
    // A long wait would hide a lifetime that is slightly too long.
    let mut checks = expiry::longer_checks(store, &pacer);
    checks.extend(lease_expiry::longer_checks(store, &pacer));
    pacer.run(checks, &pass).await?;
    // This rule runs alone, because sweeps of other rules would remove its records.
    pacer.run(sweep::checks(store, &pacer), &pass).await?;
    check_callers(&Callers::Joined(store)).await
}

/// Checks the rules about simultaneous callers. Each caller runs in a separate task. Call this
/// function on a multi-threaded Tokio runtime. The callers then run on several threads.
///
/// # Errors
/// The first [`Violation`].
///
/// # Panics
/// Outside a Tokio runtime.
pub async fn check_in_parallel(store: Arc<dyn Store>) -> Result<(), Violation> {
    check_callers(&Callers::Spawned(store)).await
}

async fn check_without_time(store: &dyn Store) -> Result<(), Violation> {
    let topics: Vec<Check<'_>> = vec![
        Box::pin(records::check(store)),
        Box::pin(conditions::check(store)),
        Box::pin(fence::check(store)),
        Box::pin(namespaces::check(store)),
        Box::pin(listing::check(store)),
        Box::pin(leases::check(store)),
    ];
    join_all(topics).await.into_iter().collect()
}

async fn check_callers(callers: &Callers<'_>) -> Result<(), Violation> {
    let mut checks: Vec<Check<'_>> = vec![Box::pin(crowd::check(callers))];
    checks.extend(races::checks(callers));
    join_all(checks).await.into_iter().collect()
}
