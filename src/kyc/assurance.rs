//! What is known of one person, since when, and from where.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    wire::kyc::{KycStatus, KycTier},
};

/// What KYCPort said of a person's verification, and when it was asked. `None` is "not known",
/// which is never "verified" (K31).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Assurance {
    /// Where the verification stands.
    pub kyc_status: Option<KycStatus>,
    /// How far it reached.
    pub kyc_tier: Option<KycTier>,
    /// Whether nothing was found against the person.
    pub aml_clear: Option<bool>,
    /// When KYCPort said so.
    pub checked_at: Timestamp,
    /// Where it said so.
    pub source: AssuranceSource,
}

/// Where KYCPort said what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AssuranceSource {
    /// In the ID token, at sign-in (K31).
    IdToken,
    /// At the userinfo endpoint (K31).
    Userinfo,
    /// At the status endpoint (K40).
    Status,
    /// In a webhook's event (K63), or in a case's decision (K52): bad news, until KYCPort has been
    /// asked.
    Webhook,
}

impl Assurance {
    /// What was said at `checked_at`.
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
        }
    }

    /// Nothing known about the person's verification.
    #[cfg(feature = "web")]
    pub(crate) fn unknown(at: Timestamp) -> Self {
        Self::new(None, None, None, at, AssuranceSource::IdToken)
    }

    /// Whether the status is "verified", at whatever tier.
    pub(crate) fn is_verified(&self) -> bool {
        self.kyc_status == Some(KycStatus::Verified)
    }

    /// Whether the person was verified, at `tier` or above, when KYCPort was asked.
    pub fn is_verified_at(&self, tier: &KycTier) -> bool {
        self.is_verified()
            && self
                .kyc_tier
                .as_ref()
                .is_some_and(|own| own.satisfies(tier))
    }

    /// Whether status and tier are both said, in words that are understood.
    pub fn is_known(&self) -> bool {
        let status =
            matches!(&self.kyc_status, Some(status) if !matches!(status, KycStatus::Unknown(_)));
        let tier = matches!(&self.kyc_tier, Some(tier) if !matches!(tier, KycTier::Unknown(_)));
        status && tier
    }

    /// Whether KYCPort was asked longer ago than `age`. A moment that is yet to come says that a
    /// clock was set back since, or that another instance's runs ahead: how long ago it was cannot
    /// be told, so it was too long ago.
    pub(crate) fn is_older_than(&self, age: Duration, now: Timestamp) -> bool {
        self.checked_at > now || now.since(self.checked_at) > age
    }

    /// Whether both say the same of the person, whenever and wherever they were asked.
    #[cfg(feature = "web")]
    pub(crate) fn has_same_result(&self, other: &Self) -> bool {
        (&self.kyc_status, &self.kyc_tier, self.aml_clear)
            == (&other.kyc_status, &other.kyc_tier, other.aml_clear)
    }

    /// The same, as of another moment.
    #[cfg(feature = "web")]
    pub(crate) fn with_checked_at(self, checked_at: Timestamp) -> Self {
        Self { checked_at, ..self }
    }

    /// The stricter of two, with the worse AML result of both.
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
        stricter
    }

    /// Whether the tier is higher, or the AML result better, than in the other assurance.
    #[cfg(feature = "web")]
    pub(crate) fn grants_more_than(&self, other: &Self) -> bool {
        self.tier_rank() > other.tier_rank() || self.aml_rank() > other.aml_rank()
    }

    /// How much it lets through: being verified, then the tier, then being clear.
    #[cfg(feature = "web")]
    fn permissiveness(&self) -> (bool, usize, bool) {
        (
            self.is_verified(),
            self.tier_rank(),
            self.aml_clear == Some(true),
        )
    }

    /// Number of tiers that the tier satisfies.
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

    /// Rank of the AML result: not clear, not known, clear.
    #[cfg(feature = "web")]
    fn aml_rank(&self) -> u8 {
        match self.aml_clear {
            Some(false) => 0,
            None => 1,
            Some(true) => 2,
        }
    }
}
