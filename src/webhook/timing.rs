//! Times that must fit each other.

use std::time::Duration;

use super::age::TimestampTolerance;

/// How old an event may be, how long its handler may take, and how long it is remembered. The four
/// fit each other, or it cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    age: TimestampTolerance,
    deadline: Duration,
    lease: Duration,
    retention: Duration,
}

impl DeliveryPolicy {
    /// A handler that is stopped after `deadline`, under a `lease` that is longer, and a
    /// `retention` through which no event that is done passes `age` again.
    ///
    /// # Errors
    /// [`DeliveryPolicyError`] says which two do not fit.
    pub fn new(
        age: TimestampTolerance,
        deadline: Duration,
        lease: Duration,
        retention: Duration,
    ) -> Result<Self, DeliveryPolicyError> {
        if lease <= deadline {
            return Err(DeliveryPolicyError::Lease);
        }
        if retention < age.span() {
            return Err(DeliveryPolicyError::Retention);
        }
        Ok(Self {
            age,
            deadline,
            lease,
            retention,
        })
    }

    /// How old an event may be.
    pub fn age(&self) -> TimestampTolerance {
        self.age
    }

    /// How long the handler may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How long the event is the handler's.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How long it is remembered that the event took effect.
    pub fn retention(&self) -> Duration {
        self.retention
    }
}

/// 96 h and 5 min, as [`TimestampTolerance`] has it; 10 s for the handler, 60 s of lease, 97 h of memory.
impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            age: TimestampTolerance::default(),
            deadline: Duration::from_secs(10),
            lease: Duration::from_secs(60),
            retention: Duration::from_secs(97 * 3600),
        }
    }
}

/// Two times do not fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryPolicyError {
    /// The lease would end while the handler still works, and another would begin.
    #[error("the lease must be longer than the handler's deadline")]
    Lease,
    /// An event would be forgotten while it is still young enough to be handled again.
    #[error("the retention must be as long as the greatest age and the future that is allowed")]
    Retention,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DeliveryPolicy, DeliveryPolicyError};
    use crate::webhook::age::TimestampTolerance;

    #[test]
    fn times_that_do_not_fit_cannot_be_built() {
        // case 130
        let age = TimestampTolerance::new(Duration::from_secs(100), Duration::from_secs(5));
        let build = |deadline, lease, retention| {
            let [deadline, lease, retention] =
                [deadline, lease, retention].map(Duration::from_secs);
            DeliveryPolicy::new(age, deadline, lease, retention).map(drop)
        };
        assert_eq!(build(10, 11, 105), Ok(()));
        assert_eq!(build(10, 10, 105), Err(DeliveryPolicyError::Lease));
        assert_eq!(build(10, 11, 104), Err(DeliveryPolicyError::Retention));
        let d = DeliveryPolicy::default();
        let same = DeliveryPolicy::new(d.age(), d.deadline(), d.lease(), d.retention());
        assert_eq!(same, Ok(d));
    }
}
