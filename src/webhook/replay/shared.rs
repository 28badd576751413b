//! What the stores on a server have in common.

use std::{future::Future, time::Duration};

use super::store::ReplayStoreUnavailable;
use crate::backend::{self, Coded, NotAvailable};

/// How long a lease that nobody ended or took over is kept, so that its holder may still complete.
pub(super) const LATE: Duration = Duration::from_secs(3600);

pub(super) fn left(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0).max(1))
}

/// The answer, if it comes in time.
pub(super) async fn in_time<T, E: Coded>(
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, ReplayStoreUnavailable> {
    let answer = backend::in_time("the replay store", operation).await;
    answer.map_err(|NotAvailable| ReplayStoreUnavailable)
}
