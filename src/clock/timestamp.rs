//! Points in time.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Point in time with millisecond precision, stored as milliseconds since 1970-01-01T00:00:00Z.
///
/// Tokens use whole seconds (`NumericDate`, RFC 7519 section 2). The milliseconds order events
/// within one second.
///
/// `Display` writes the time in RFC 3339 format, in UTC. `Display` omits the milliseconds if they
/// are zero. RFC 3339 supports only the years 0 to 9999. `Display` writes any other time as `@` and
/// the seconds since the epoch.
///
/// With serde, a timestamp is an integer: the milliseconds since the epoch.
///
/// ```
/// use std::time::SystemTime;
/// use kycport::Timestamp;
///
/// let timestamp = Timestamp::from_unix_millis(1_700_000_000_250);
/// assert_eq!(timestamp.to_string(), "2023-11-14T22:13:20.250Z");
/// assert_eq!(Timestamp::from(SystemTime::from(timestamp)), timestamp);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub(super) i64);

impl Timestamp {
    /// Creates a timestamp from seconds since the epoch. Negative values are before the epoch.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Creates a timestamp from milliseconds since the epoch. Negative values are before the epoch.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the whole seconds since the epoch.
    pub const fn as_unix(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// Returns the timestamp plus `duration`. Saturates at the maximum timestamp.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// Returns the timestamp minus `duration`. Saturates at the minimum timestamp.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// Returns the time that passed since `earlier`, or zero if `earlier` is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = DateTime::<Utc>::from_timestamp_millis(self.0);
        if let Some(date) = date.filter(|date| (0..=9999).contains(&date.year())) {
            return f.write_str(&date.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let millis = self.0.unsigned_abs();
        write!(f, "@{sign}{}", millis / 1000)?;
        match millis % 1000 {
            0 => Ok(()),
            millis => write!(f, ".{millis:03}"),
        }
    }
}

/// Rounds down to whole milliseconds. Saturates at the minimum and maximum timestamp.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => whole_millis(since),
            Err(before) => {
                let before = before.duration();
                let millis = whole_millis(before);
                let is_whole = before.subsec_nanos().is_multiple_of(1_000_000);
                millis.saturating_neg().saturating_sub(i64::from(!is_whole))
            }
        })
    }
}

/// On systems with a smaller range of times, such as Windows, saturates at the years 1601 and
/// 30828.
impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        let exact = |millis: i64| {
            let distance = Duration::from_millis(millis.unsigned_abs());
            if millis < 0 {
                UNIX_EPOCH.checked_sub(distance)
            } else {
                UNIX_EPOCH.checked_add(distance)
            }
        };
        let limited = timestamp.0.clamp(FIRST_MILLIS, LAST_MILLIS);
        let time = exact(timestamp.0).or_else(|| exact(limited));
        time.unwrap_or(UNIX_EPOCH)
    }
}

/// First `SystemTime` of Windows, 1601-01-01T00:00:00Z, in milliseconds since the epoch.
const FIRST_MILLIS: i64 = -11_644_473_600_000;
/// 30828-01-01T00:00:00Z in milliseconds since the epoch. The year 30828 is the last year of a
/// Windows `SystemTime`.
const LAST_MILLIS: i64 = 910_670_515_200_000;

pub(super) fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::Timestamp;

    #[test]
    fn display_is_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20Z"),
            (1_700_000_000_250, "2023-11-14T22:13:20.250Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00Z"),
            (-62_167_219_200_001, "@-62167219200.001"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "@253402300800"),
            (i64::MAX, "@9223372036854775.807"),
            (i64::MIN, "@-9223372036854775.808"),
        ] {
            assert_eq!(Timestamp::from_unix_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn a_system_time_is_converted_and_back() {
        for millis in [
            0,
            1,
            -1,
            1_700_000_000_250,
            -11_644_473_600_000,
            910_670_515_200_000,
        ] {
            let timestamp = Timestamp::from_unix_millis(millis);
            assert_eq!(Timestamp::from(SystemTime::from(timestamp)), timestamp);
        }
        // For extreme values, the operating system limits the range.
        let max = Timestamp::from(SystemTime::from(Timestamp::from_unix_millis(i64::MAX)));
        assert!(max.as_unix_millis() >= 910_670_515_200_000, "{max}");
        let min = Timestamp::from(SystemTime::from(Timestamp::from_unix_millis(i64::MIN)));
        assert!(min.as_unix_millis() <= -11_644_473_600_000, "{min}");
    }

    #[test]
    fn a_system_time_is_rounded_down() {
        let half = Duration::from_micros(1500);
        for (time, millis) in [
            (UNIX_EPOCH.checked_add(half), 1),
            (UNIX_EPOCH.checked_sub(half), -2),
        ] {
            let timestamp = time.map(Timestamp::from);
            assert_eq!(timestamp.map(Timestamp::as_unix_millis), Some(millis));
        }
    }
}
