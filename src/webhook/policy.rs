//! Time limits of a delivery, and the rules between them.

use std::time::Duration;

use super::tolerance::TimestampTolerance;

/// Time limits for handling an event.
///
/// ```
/// use std::time::Duration;
/// use kycport::webhook::DeliveryPolicy;
///
/// let policy = DeliveryPolicy {
///     handler_timeout: Duration::from_secs(20),
///     ..DeliveryPolicy::default()
/// };
/// # policy.check().unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Accepted range of an event's time. Default: see [`TimestampTolerance`].
    pub tolerance: TimestampTolerance,
    /// Maximum time for the handler, including the request for the person's status and the resolver
    /// of the person. Default: 10 s.
    pub handler_timeout: Duration,
    /// Duration of the lease that a handler has on its event. The lease must be longer than
    /// `handler_timeout`. Default: 60 s.
    pub lease: Duration,
    /// Time for which the store remembers a handled event. `retention` must cover the whole
    /// `tolerance`. Default: 97 h.
    pub retention: Duration,
}

impl DeliveryPolicy {
    /// Checks the rules between the time limits. The builder of a receiver also checks these rules.
    ///
    /// # Errors
    /// Returns the first violated rule.
    pub fn check(&self) -> Result<(), DeliveryPolicyError> {
        if self.lease <= self.handler_timeout {
            return Err(DeliveryPolicyError::Lease);
        }
        if self.retention < self.tolerance.span() {
            return Err(DeliveryPolicyError::Retention);
        }
        Ok(())
    }
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            tolerance: TimestampTolerance::default(),
            handler_timeout: Duration::from_secs(10),
            lease: Duration::from_secs(60),
            retention: Duration::from_secs(97 * 3600),
        }
    }
}

/// Violated rule of a [`DeliveryPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryPolicyError {
    /// The lease ends before the handler's timeout. A second handler could then start while the
    /// first handler runs.
    #[error("the lease of an event must be longer than the handler's timeout: raise `lease`")]
    Lease,
    /// The store forgets an event while the receiver would still accept a repeated delivery.
    #[error(
        "the retention of handled events must cover the accepted age and the accepted time in the \
         future: raise `retention`"
    )]
    Retention,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DeliveryPolicy, DeliveryPolicyError};
    use crate::webhook::tolerance::TimestampTolerance;

    #[test]
    fn limits_that_contradict_each_other_are_rejected() {
        // case 130
        let tolerance = TimestampTolerance {
            max_age: Duration::from_secs(100),
            max_ahead: Duration::from_secs(5),
        };
        let check = |handler_timeout, lease, retention| {
            let [handler_timeout, lease, retention] =
                [handler_timeout, lease, retention].map(Duration::from_secs);
            let policy = DeliveryPolicy {
                tolerance,
                handler_timeout,
                lease,
                retention,
            };
            policy.check()
        };
        assert_eq!(check(10, 11, 105), Ok(()));
        assert_eq!(check(10, 10, 105), Err(DeliveryPolicyError::Lease));
        assert_eq!(check(10, 11, 104), Err(DeliveryPolicyError::Retention));
        assert_eq!(DeliveryPolicy::default().check(), Ok(()));
    }
}
