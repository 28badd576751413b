//! What the caches on a server have in common.

use std::{future::Future, time::Duration};

use super::store::CacheUnavailable;
use crate::{
    backend::{self, Coded, NotAvailable},
    kyc::assurance::Assurance,
    observe,
};

/// How long what is kept of a person is kept if nothing newer comes: longer than a session lives,
/// so that bad news outlives the good news that it must hold off.
pub(super) const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often a swap that somebody else was faster at is tried again. Each time the other's was kept,
/// so of `n` who come at once the last needs `n`.
pub(super) const SWAPS: u32 = 64;

/// How an assurance is kept: as JSON, in which a member more does no harm.
pub(super) fn written(assurance: &Assurance) -> Result<String, CacheUnavailable> {
    serde_json::to_string(assurance).map_err(|_| CacheUnavailable)
}

/// What is kept. What is not understood says nothing, and makes room for what is.
pub(super) fn read(kept: &str) -> Option<Assurance> {
    let assurance = serde_json::from_str(kept).ok();
    if assurance.is_none() {
        observe::kept_assurance_unreadable();
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

/// The answer, if it comes in time. A guard gives up sooner, and asks KYCPort.
pub(super) async fn in_time<T, E: Coded>(
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, CacheUnavailable> {
    let answer = backend::in_time("the assurance cache", operation).await;
    answer.map_err(|NotAvailable| CacheUnavailable)
}
