//! Accepted range for the time of an event.

use std::time::Duration;

use crate::clock::Timestamp;

/// Accepted range for the time of an event, relative to the arrival of the delivery.
///
/// KYCPort does not document a timestamp that changes with each attempt (K64). A redelivery on the
/// fourth day has the original time of the event. The default tolerance accepts a redelivery on the
/// fourth day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampTolerance {
    /// Maximum age of the event. Default: 96 h.
    pub max_age: Duration,
    /// Maximum time in the future, because clocks differ. Default: 5 min.
    pub max_ahead: Duration,
}

impl TimestampTolerance {
    /// Checks a signed time against the current time.
    ///
    /// # Errors
    /// Returns [`TimestampError`] if the time is outside the accepted range.
    pub fn check(&self, signed: Timestamp, now: Timestamp) -> Result<(), TimestampError> {
        if now.since(signed) > self.max_age {
            Err(TimestampError::TooOld)
        } else if signed.since(now) > self.max_ahead {
            Err(TimestampError::InFuture)
        } else {
            Ok(())
        }
    }

    /// Returns the length of the accepted range. The store must remember a handled event for at
    /// least this time.
    pub fn span(&self) -> Duration {
        self.max_age.saturating_add(self.max_ahead)
    }
}

impl Default for TimestampTolerance {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(96 * 3600),
            max_ahead: Duration::from_secs(300),
        }
    }
}

/// Error for a time outside the accepted range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The time is further in the past than `max_age`.
    #[error("the timestamp is too old")]
    TooOld,
    /// The time is further in the future than `max_ahead`.
    #[error("the timestamp is in the future: compare the clocks of this machine and the sender")]
    InFuture,
}

impl TimestampError {
    /// Returns a stable code for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::InFuture => "in_future",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{TimestampError as U, TimestampTolerance};
    use crate::clock::Timestamp;

    #[test]
    fn times_from_four_days_ago_to_five_minutes_ahead_are_accepted() {
        // case 129
        let now = 1_700_000_000;
        let limit = TimestampTolerance::default();
        for (signed, expected) in [
            (now, Ok(())),
            (now + 300, Ok(())),
            (now + 301, Err(U::InFuture)),
            (now - 96 * 3600, Ok(())),
            (now - 96 * 3600 - 1, Err(U::TooOld)),
            (0, Err(U::TooOld)),
            (i64::MIN, Err(U::TooOld)),
            (i64::MAX, Err(U::InFuture)),
        ] {
            let signed = Timestamp::from_unix(signed);
            assert_eq!(limit.check(signed, Timestamp::from_unix(now)), expected);
        }
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        // case 129
        let ends = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp::from_unix);
        let spans = [Duration::ZERO, Duration::MAX];
        for (signed, now) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            for (max_age, max_ahead) in spans.iter().flat_map(|a| spans.map(|b| (*a, b))) {
                let limit = TimestampTolerance { max_age, max_ahead };
                let is_accepted = match signed.cmp(&now) {
                    std::cmp::Ordering::Less => max_age == Duration::MAX,
                    std::cmp::Ordering::Equal => true,
                    std::cmp::Ordering::Greater => max_ahead == Duration::MAX,
                };
                assert_eq!(limit.check(signed, now).is_ok(), is_accepted);
                assert!(limit.span() >= max_age);
            }
        }
    }
}
