//! What the stores in Postgres and SQLite have in common.

mod connections;
mod keys;
mod rows;
mod upkeep;

use std::time::Duration;

pub(super) use connections::{Connections, Place};
pub(super) use keys::{family_bounds, fence_key, lease_key, list_start, owner_number, record_key};
pub(super) use rows::{Row, is_own_result, snapshot};
pub(super) use upkeep::{Tidy, Upkeep};

use super::StoreError;

/// Time limit of an operation.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// Maximum wait for a free connection.
pub(super) const CONNECTION_WAIT: Duration = Duration::from_secs(4);
/// How long a lease that has ended may still be completed by its holder.
pub(super) const LATE_SETTLEMENT: Duration = Duration::from_secs(3600);
/// Longest lifetime: ten years, in milliseconds. A longer one would overflow some engine's dates.
const LONGEST: i64 = 10 * 365 * 24 * 3600 * 1000;

/// Converts a lifetime to whole milliseconds.
pub(super) fn millis(lifetime: Duration) -> i64 {
    i64::try_from(lifetime.as_millis()).map_or(LONGEST, |millis| millis.min(LONGEST))
}

/// Converts the milliseconds that are left of a lease.
pub(super) fn left(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// Failed operation: what the caller learns, and the engine's code for the log.
#[derive(Debug)]
pub(super) struct Failure<R> {
    pub(super) error: StoreError,
    pub(super) code: String,
    pub(super) remedy: R,
}
