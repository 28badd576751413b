//! Requirements on an assurance, and their evaluation.

use std::time::Duration;

use super::assurance::Assurance;
use crate::{
    clock::Timestamp,
    wire::kyc::{KycStatus, KycTier},
};

/// Conditions that a person's [`Assurance`] must meet before the person may perform an action.
///
/// ```
/// use std::time::Duration;
/// use kycport::kyc::Requirement;
/// use kycport::KycTier;
///
/// let withdrawal = Requirement::tier(KycTier::T2)
///     .aml_clear()
///     .max_age(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    tier: KycTier,
    aml_clear: bool,
    max_age: Option<Duration>,
}

/// Reason why an assurance does not meet a requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequirementError {
    /// The tier is too low.
    #[error("the tier is too low")]
    TierTooLow {
        /// Required tier.
        required: KycTier,
    },
    /// The verification is pending.
    #[error("the verification is pending")]
    Pending,
    /// KYCPort rejected the person.
    #[error("the verification was rejected")]
    Rejected,
    /// The verification has expired.
    #[error("the verification has expired")]
    Expired,
    /// The person was never verified.
    #[error("there is no verification")]
    Unverified,
    /// The AML check did not pass, or its result is unknown.
    #[error("AML is not clear")]
    AmlNotClear,
    /// The assurance is older than the maximum age.
    #[error("the verification result is too old")]
    Stale,
    /// The status or the tier is missing, or has a value that this version does not know.
    #[error("the verification status is unknown")]
    Unknown,
    /// The person has not authenticated recently enough. Only a guard with `authenticated_within`
    /// returns this reason, and [`Requirement::check`] never does.
    #[error("the authentication is too old")]
    AuthenticationTooOld,
}

impl Requirement {
    /// Requires the status "verified" at `tier` or a higher tier.
    pub fn tier(tier: KycTier) -> Self {
        Self {
            tier,
            aml_clear: false,
            max_age: None,
        }
    }

    /// Also requires that the person's AML check passed.
    #[must_use]
    pub fn aml_clear(mut self) -> Self {
        self.aml_clear = true;
        self
    }

    /// Sets the maximum age of the result. A result with a time in the future is treated as too
    /// old, because its age is unknown.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Returns the required tier.
    pub fn required_tier(&self) -> &KycTier {
        &self.tier
    }

    /// Returns the maximum age of the assurance, if the requirement has a maximum age.
    pub fn required_max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Evaluates the requirement at the time `now`.
    ///
    /// # Errors
    /// Returns the most important [`RequirementError`].
    pub fn check(&self, assurance: &Assurance, now: Timestamp) -> Result<(), RequirementError> {
        // Check the age first, because an old rejection is as unreliable as an old approval.
        if let Some(age) = self.max_age
            && assurance.is_older_than(age, now)
        {
            return Err(RequirementError::Stale);
        }
        match &assurance.kyc_status {
            Some(KycStatus::Verified) => {}
            Some(KycStatus::Pending) => return Err(RequirementError::Pending),
            Some(KycStatus::Rejected) => return Err(RequirementError::Rejected),
            Some(KycStatus::Expired) => return Err(RequirementError::Expired),
            Some(KycStatus::Unverified) => return Err(RequirementError::Unverified),
            Some(KycStatus::Unknown(_)) | None => return Err(RequirementError::Unknown),
        }
        match &assurance.kyc_tier {
            Some(own) if own.satisfies(&self.tier) => {}
            Some(KycTier::Unknown(_)) | None => return Err(RequirementError::Unknown),
            Some(_) => {
                return Err(RequirementError::TierTooLow {
                    required: self.tier.clone(),
                });
            }
        }
        if self.aml_clear && assurance.aml_clear != Some(true) {
            return Err(RequirementError::AmlNotClear);
        }
        Ok(())
    }
}

impl RequirementError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TierTooLow { .. } => "tier_too_low",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Unverified => "unverified",
            Self::AmlNotClear => "aml_not_clear",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
            Self::AuthenticationTooOld => "authentication_too_old",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Requirement, RequirementError as S};
    use crate::{
        Assurance,
        clock::Timestamp,
        kyc::AssuranceSource,
        wire::kyc::{KycStatus as St, KycTier as T},
    };

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn a_requirement_checks_status_tier_aml_and_age() {
        // case 117
        let now = Timestamp::from_unix(1_000_000);
        let t2 = Requirement::tier(T::T2);
        let low = S::TierTooLow { required: T::T2 };
        let verified = Some(St::Verified);
        for (requirement, status, tier, aml, age, verdict) in [
            (t2.clone(), verified.clone(), Some(T::T2), None, 0, Ok(())),
            (
                t2.clone(),
                verified.clone(),
                Some(T::T3),
                None,
                1 << 40,
                Ok(()),
            ),
            (
                t2.clone(),
                verified.clone(),
                Some(T::T1),
                None,
                0,
                Err(low.clone()),
            ),
            (t2.clone(), verified.clone(), Some(T::T0), None, 0, Err(low)),
            (t2.clone(), verified.clone(), None, None, 0, Err(S::Unknown)),
            (
                t2.clone(),
                verified.clone(),
                Some(T::Unknown("t9".into())),
                None,
                0,
                Err(S::Unknown),
            ),
            (t2.clone(), None, Some(T::T3), None, 0, Err(S::Unknown)),
            (
                t2.clone(),
                Some(St::Unknown("VERIFIED!".into())),
                Some(T::T3),
                None,
                0,
                Err(S::Unknown),
            ),
            (
                t2.clone(),
                Some(St::Pending),
                Some(T::T3),
                None,
                0,
                Err(S::Pending),
            ),
            (
                t2.clone(),
                Some(St::Rejected),
                Some(T::T3),
                Some(true),
                0,
                Err(S::Rejected),
            ),
            (
                t2.clone(),
                Some(St::Expired),
                Some(T::T3),
                None,
                0,
                Err(S::Expired),
            ),
            (
                t2.clone(),
                Some(St::Unverified),
                Some(T::T3),
                None,
                0,
                Err(S::Unverified),
            ),
            (
                Requirement::tier(T::Unknown("t2".into())),
                verified.clone(),
                Some(T::T3),
                None,
                0,
                Err(S::TierTooLow {
                    required: T::Unknown("t2".into()),
                }),
            ),
            (
                t2.clone().aml_clear(),
                verified.clone(),
                Some(T::T2),
                Some(true),
                0,
                Ok(()),
            ),
            (
                t2.clone().aml_clear(),
                verified.clone(),
                Some(T::T2),
                Some(false),
                0,
                Err(S::AmlNotClear),
            ),
            (
                t2.clone().aml_clear(),
                verified.clone(),
                Some(T::T2),
                None,
                0,
                Err(S::AmlNotClear),
            ),
            (
                t2.clone().max_age(Duration::from_secs(60)),
                verified.clone(),
                Some(T::T2),
                None,
                60,
                Ok(()),
            ),
            (
                t2.clone().max_age(Duration::from_secs(60)),
                verified.clone(),
                Some(T::T2),
                None,
                61,
                Err(S::Stale),
            ),
            (
                t2.clone().max_age(Duration::ZERO),
                verified,
                Some(T::T2),
                None,
                -5,
                Err(S::Stale),
            ),
        ] {
            let at = Timestamp::from_unix(1_000_000_i64.saturating_sub(age));
            let assurance = Assurance::new(status, tier, aml, at, AssuranceSource::Status);
            assert_eq!(
                requirement.check(&assurance, now),
                verdict,
                "{requirement:?} {assurance:?}"
            );
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn the_stricter_of_two_results_is_strict_in_each_part() {
        let said = |status, tier, source| {
            let at = Timestamp::from_unix(1);
            Assurance::new(Some(status), Some(tier), Some(true), at, source)
        };
        let rejected = said(St::Rejected, T::T0, AssuranceSource::Status);
        let verified = said(St::Verified, T::T3, AssuranceSource::Userinfo);
        assert_eq!(verified.clone().stricter(rejected.clone()), rejected);
        assert_eq!(rejected.clone().stricter(verified), rejected);
        let lower = said(St::Verified, T::T1, AssuranceSource::Userinfo);
        let higher = said(St::Verified, T::T2, AssuranceSource::Status);
        assert_eq!(higher.clone().stricter(lower.clone()), lower);
        assert_eq!(lower.clone().stricter(higher.clone()), lower);
        // `suspect` is stricter than `lower` only in `aml_clear`. `lower` is stricter only in the
        // tier.
        for aml_clear in [None, Some(false)] {
            let suspect = Assurance {
                aml_clear,
                ..higher.clone()
            };
            let both = Assurance {
                aml_clear,
                ..lower.clone()
            };
            assert_eq!(suspect.clone().stricter(lower.clone()), both);
            assert_eq!(lower.clone().stricter(suspect), both);
        }
    }
}
