//! What is known of one person, and since when.

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
}

impl Assurance {
    /// What was said at `checked_at`.
    pub fn new(
        kyc_status: Option<KycStatus>,
        kyc_tier: Option<KycTier>,
        aml_clear: Option<bool>,
        checked_at: Timestamp,
    ) -> Self {
        Self {
            kyc_status,
            kyc_tier,
            aml_clear,
            checked_at,
        }
    }

    /// Whether the person was verified, at `tier` or above, when KYCPort was asked.
    pub fn is_verified_at(&self, tier: &KycTier) -> bool {
        self.kyc_status == Some(KycStatus::Verified)
            && self
                .kyc_tier
                .as_ref()
                .is_some_and(|own| own.satisfies(tier))
    }
}
