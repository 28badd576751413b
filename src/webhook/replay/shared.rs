//! What the stores on a server have in common.

use std::{future::Future, time::Duration};

use super::store::ReplayStoreUnavailable;

/// How long one operation may take. A store that is slower is not there.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// How long a lease that nobody ended or took over is kept, so that its holder may still complete.
pub(super) const LATE: Duration = Duration::from_secs(3600);
/// Ten years: what is longer is as good as for ever, and overflows nothing.
const LONGEST: u64 = 10 * 365 * 24 * 3600 * 1000;

/// Whole milliseconds, one at least.
pub(super) fn millis(duration: Duration) -> i64 {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(LONGEST);
    i64::try_from(millis.clamp(1, LONGEST)).unwrap_or(i64::MAX)
}

pub(super) fn left(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0).max(1))
}

/// The answer, if it comes in time. Of what went wrong the log gets a code.
pub(super) async fn in_time<T, E>(
    operation: impl Future<Output = Result<T, E>>,
    code: impl FnOnce(E) -> String,
) -> Result<T, ReplayStoreUnavailable> {
    let answer = tokio::time::timeout(DEADLINE, operation).await;
    let code = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => code(error),
        Err(_) => "timeout".to_owned(),
    };
    tracing::warn!(code, "the replay store is not available");
    Err(ReplayStoreUnavailable)
}
