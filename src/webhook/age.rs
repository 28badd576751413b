//! How old what is acted on may be.

use std::time::Duration;

use crate::clock::Timestamp;

/// How long ago, and how far ahead, an event may have happened.
///
/// The default is 96 h and 5 min: KYCPort documents no moment that is signed with each attempt
/// (K64), so a retry on the fourth day bears the event's own time and is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampTolerance {
    max_age: Duration,
    max_ahead: Duration,
}

impl TimestampTolerance {
    /// At most `max_age` ago and at most `max_ahead` in the future.
    pub const fn new(max_age: Duration, max_ahead: Duration) -> Self {
        Self { max_age, max_ahead }
    }

    /// Judges a moment that was signed.
    ///
    /// # Errors
    /// [`TimestampError`] says on which side it lies.
    pub fn check(&self, signed: Timestamp, now: Timestamp) -> Result<(), TimestampError> {
        if now.since(signed) > self.max_age {
            Err(TimestampError::TooOld)
        } else if signed.since(now) > self.max_ahead {
            Err(TimestampError::InFuture)
        } else {
            Ok(())
        }
    }

    /// From the first moment at which an event passes to the last: a replay store must remember it
    /// for that long.
    pub fn span(&self) -> Duration {
        self.max_age.saturating_add(self.max_ahead)
    }
}

impl Default for TimestampTolerance {
    fn default() -> Self {
        Self::new(Duration::from_secs(96 * 3600), Duration::from_secs(300))
    }
}

/// An event, or a delivery, is not of this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// It is longer ago than is taken.
    #[error("too long ago")]
    TooOld,
    /// It is yet to come.
    #[error("in the future")]
    InFuture,
}

impl TimestampError {
    /// A stable code for logs and metrics.
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
    fn a_moment_passes_from_five_minutes_ahead_to_four_days_ago() {
        // case 129
        let now = 1_700_000_000;
        let limit = TimestampTolerance::default();
        for (signed, verdict) in [
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
            assert_eq!(limit.check(signed, Timestamp::from_unix(now)), verdict);
        }
    }

    #[test]
    fn no_time_overflows() {
        // case 129
        let ends = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp::from_unix);
        let spans = [Duration::ZERO, Duration::MAX];
        for (signed, now) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            for (max_age, max_ahead) in spans.iter().flat_map(|a| spans.map(|b| (*a, b))) {
                let limit = TimestampTolerance::new(max_age, max_ahead);
                let good = match signed.cmp(&now) {
                    std::cmp::Ordering::Less => max_age == Duration::MAX,
                    std::cmp::Ordering::Equal => true,
                    std::cmp::Ordering::Greater => max_ahead == Duration::MAX,
                };
                assert_eq!(limit.check(signed, now).is_ok(), good);
                assert!(limit.span() >= max_age);
            }
        }
    }
}
