//! Assurance of one person: result, time and source.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    wire::kyc::{KycStatus, KycTier},
};

/// Result of a person's verification, and the time of the request for it. In each field, `None`
/// means unknown. Unknown is never treated as verified (K31).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Assurance {
    /// Status of the verification.
    pub kyc_status: Option<KycStatus>,
    /// Tier of the verification.
    pub kyc_tier: Option<KycTier>,
    /// Whether the AML screening found nothing against the person.
    pub aml_clear: Option<bool>,
    /// Time of the request for the result.
    pub checked_at: Timestamp,
    /// Source of the result.
    pub source: AssuranceSource,
    /// Time of the verification, of a person who is or was verified. `None` means unknown: KYCPort
    /// does not document this time (K31). Guards do not use the time of the verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
}

/// Source of an assurance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AssuranceSource {
    /// ID token at login (K31).
    IdToken,
    /// Userinfo endpoint (K31).
    Userinfo,
    /// Status endpoint (K40).
    Status,
    /// Webhook (K63) or decision on a case (K52). A result from a webhook or a decision only lowers
    /// the assurance, until KYCPort answers a status query.
    Webhook,
}

impl Assurance {
    /// Creates an assurance from a result that was requested at `checked_at`.
    pub fn new(
        kyc_status: Option<KycStatus>,
        kyc_tier: Option<KycTier>,
        aml_clear: Option<bool>,
        checked_at: Timestamp,
        source: AssuranceSource,
    ) -> Self {
        Self {
            kyc_status,
            kyc_tier,
            aml_clear,
            checked_at,
            source,
            verified_at: None,
        }
    }

    /// Returns this assurance with the time of the verification. If the status is not "verified" or
    /// "expired", the time stays unknown.
    #[must_use]
    pub fn with_verified_at(mut self, verified_at: Option<Timestamp>) -> Self {
        let was_verified = matches!(
            self.kyc_status,
            Some(KycStatus::Verified | KycStatus::Expired)
        );
        self.verified_at = verified_at.filter(|_| was_verified);
        self
    }

    /// Returns this assurance. If the time of the verification is unknown, takes the time of another
    /// assurance with the same status and tier.
    #[cfg(feature = "web")]
    pub(crate) fn keeping_verified_at(self, other: &Self) -> Self {
        let is_same = self.kyc_status == other.kyc_status && self.kyc_tier == other.kyc_tier;
        if self.verified_at.is_none() && is_same {
            let verified_at = other.verified_at;
            self.with_verified_at(verified_at)
        } else {
            self
        }
    }

    /// Creates an assurance without any result.
    #[cfg(feature = "web")]
    pub(crate) fn unknown(at: Timestamp) -> Self {
        Self::new(None, None, None, at, AssuranceSource::IdToken)
    }

    /// Returns whether the status is "verified", at any tier.
    pub(crate) fn is_verified(&self) -> bool {
        self.kyc_status == Some(KycStatus::Verified)
    }

    /// Returns whether KYCPort rejected the person.
    #[cfg(feature = "web")]
    pub(crate) fn is_rejected(&self) -> bool {
        self.kyc_status == Some(KycStatus::Rejected)
    }

    /// Returns whether the person was verified at `tier` or a higher tier at the time of the
    /// request.
    pub fn is_verified_at(&self, tier: &KycTier) -> bool {
        self.is_verified()
            && self
                .kyc_tier
                .as_ref()
                .is_some_and(|own| own.satisfies(tier))
    }

    /// Returns whether this version knows both the status and the tier, and both are present.
    pub fn is_known(&self) -> bool {
        let status =
            matches!(&self.kyc_status, Some(status) if !matches!(status, KycStatus::Unknown(_)));
        let tier = matches!(&self.kyc_tier, Some(tier) if !matches!(tier, KycTier::Unknown(_)));
        status && tier
    }

    /// Returns whether the result is older than `age`. If the time of the result is in the future,
    /// a clock was set back or another instance's clock is ahead. In this case the age is unknown,
    /// and the function returns true.
    pub(crate) fn is_older_than(&self, age: Duration, now: Timestamp) -> bool {
        self.checked_at > now || now.since(self.checked_at) > age
    }

    /// Returns whether two assurances have equal results. Ignores the times and the source.
    #[cfg(feature = "web")]
    pub(crate) fn has_same_result(&self, other: &Self) -> bool {
        (&self.kyc_status, &self.kyc_tier, self.aml_clear)
            == (&other.kyc_status, &other.kyc_tier, other.aml_clear)
    }

    /// Returns this assurance with another time.
    #[cfg(feature = "web")]
    pub(crate) fn with_checked_at(self, checked_at: Timestamp) -> Self {
        Self { checked_at, ..self }
    }

    /// Returns the stricter of two assurances, with the worse of the two AML results.
    #[cfg(feature = "web")]
    pub(crate) fn stricter(self, other: Self) -> Self {
        let (mut stricter, other) = if other.permissiveness() < self.permissiveness() {
            (other, self)
        } else {
            (self, other)
        };
        if other.aml_rank() < stricter.aml_rank() {
            stricter.aml_clear = other.aml_clear;
        }
        stricter.keeping_verified_at(&other)
    }

    /// Returns whether this assurance has a higher tier or a better AML result than the other
    /// assurance.
    #[cfg(feature = "web")]
    pub(crate) fn grants_more_than(&self, other: &Self) -> bool {
        self.tier_rank() > other.tier_rank() || self.aml_rank() > other.aml_rank()
    }

    /// Returns the sort key of strictness: the status, then the tier, then the AML result.
    #[cfg(feature = "web")]
    fn permissiveness(&self) -> (bool, bool, usize, bool) {
        (
            self.is_verified(),
            !self.is_rejected(),
            self.tier_rank(),
            self.aml_clear == Some(true),
        )
    }

    /// Returns the rank of the tier: the number of known tiers that the tier satisfies.
    #[cfg(feature = "web")]
    fn tier_rank(&self) -> usize {
        [KycTier::T0, KycTier::T1, KycTier::T2, KycTier::T3]
            .iter()
            .filter(|tier| {
                self.kyc_tier
                    .as_ref()
                    .is_some_and(|own| own.satisfies(tier))
            })
            .count()
    }

    /// Returns the rank of the AML result: not clear, unknown, clear.
    #[cfg(feature = "web")]
    fn aml_rank(&self) -> u8 {
        match self.aml_clear {
            Some(false) => 0,
            None => 1,
            Some(true) => 2,
        }
    }
}
