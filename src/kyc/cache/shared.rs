//! What the caches on a server have in common.

use std::{future::Future, time::Duration};

use super::store::CacheUnavailable;
use crate::kyc::assurance::Assurance;

/// How long one operation may take. A guard gives up sooner, and asks KYCPort.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long what is kept of a person is kept if nothing newer comes: longer than a session lives,
/// so that bad news outlives the good news that it must hold off.
pub(super) const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often a swap that somebody else was faster at is tried again. Each time the other's was kept,
/// so of `n` who come at once the last needs `n`.
pub(super) const SWAPS: u32 = 64;

/// Whole milliseconds, one at least, and no more than a server can count.
pub(super) fn millis(duration: Duration) -> i64 {
    const LONGEST: i64 = 10 * 365 * 24 * 3600 * 1000;
    i64::try_from(duration.as_millis()).map_or(LONGEST, |millis| millis.clamp(1, LONGEST))
}

/// How an assurance is kept: as JSON, in which a member more does no harm.
pub(super) fn written(assurance: &Assurance) -> Result<String, CacheUnavailable> {
    serde_json::to_string(assurance).map_err(|_| CacheUnavailable)
}

/// What is kept. What is not understood says nothing, and makes room for what is.
pub(super) fn read(kept: &str) -> Option<Assurance> {
    let assurance = serde_json::from_str(kept).ok();
    if assurance.is_none() {
        tracing::warn!("an assurance that is kept cannot be understood");
    }
    assurance
}

/// What is to be kept in the place of `kept`; nothing if that is to stay.
pub(super) fn merged(kept: Option<&str>, new: &Assurance) -> Option<Assurance> {
    let Some(before) = kept.and_then(read) else {
        return Some(new.clone());
    };
    let believed = before.clone().or_newer(new.clone());
    (believed != before).then_some(believed)
}

/// The answer, if it comes in time. Of what went wrong the log gets a code.
pub(super) async fn in_time<T, E>(
    operation: impl Future<Output = Result<T, E>>,
    code: impl FnOnce(E) -> String,
) -> Result<T, CacheUnavailable> {
    let answer = tokio::time::timeout(DEADLINE, operation).await;
    let code = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => code(error),
        Err(_) => "timeout".to_owned(),
    };
    tracing::warn!(code, "the assurance cache is not available");
    Err(CacheUnavailable)
}
