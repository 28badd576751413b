//! Common code of the stores in Postgres and SQLite.

mod check;
mod connections;
mod failure;
mod keys;
mod reads;
mod records;
mod upkeep;

use std::time::Duration;

pub(super) use check::write_and_read_back;
pub(super) use connections::{Connections, Place};
pub(super) use failure::{Failure, in_time};
#[cfg(feature = "postgres")]
pub(super) use keys::owner_number;
pub(super) use keys::{Key, family_bounds, fence_key, lease_key, list_start, record_key, row_keys};
pub(super) use reads::{Fetch, Reads, read};
pub(super) use records::{Records, entry};
pub(super) use upkeep::{Tidy, Upkeep};

/// Time limit of an operation.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// Maximum wait for a free connection, or for a lock.
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(4);
/// Time after the end of a lease during which its holder may still complete the work.
pub(super) const LATE_SETTLEMENT: Duration = Duration::from_secs(3600);
/// Lifetime of the record that a check writes.
const CHECK_LIFETIME: Duration = Duration::from_secs(60);
/// Maximum lifetime in milliseconds: ten years. A longer lifetime would overflow the date type of
/// an engine.
const LONGEST: i64 = 10 * 365 * 24 * 3600 * 1000;

/// Converts a lifetime to whole milliseconds.
pub(super) fn millis(lifetime: Duration) -> i64 {
    i64::try_from(lifetime.as_millis()).map_or(LONGEST, |millis| millis.min(LONGEST))
}

/// Converts the remaining milliseconds of a lease.
pub(super) fn left(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
