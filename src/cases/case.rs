//! Case and decision types.

use std::fmt;

use super::error::CaseError;
use crate::{
    api,
    http::Answer,
    wire::{
        cases::{CaseResponse, CaseStatus, DecisionResponse, Outcome, RiskLevel},
        kyc::KycTier,
    },
};

/// Verification case at the time when it was read (K54, K55).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Case {
    /// Id of the case.
    pub id: String,
    /// Person of the case: the `sub` of their tokens (K33).
    pub person_id: String,
    /// Tier for which KYCPort verifies the person.
    pub level: KycTier,
    /// Status of the case.
    pub status: CaseStatus,
    /// Decision of a decided case.
    pub decision: Option<Decision>,
}

/// `Debug` hides the person and the decision.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Decision of a case (K52). If KYCPort omits a member, the field is `None`, which means unknown.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Outcome of the decision.
    pub outcome: Outcome,
    /// Risk level that KYCPort assessed.
    pub risk_level: Option<RiskLevel>,
    /// Whether a human reviewed the case.
    pub human_verified: Option<bool>,
    /// Degree of automation, as named by KYCPort.
    pub automation_tier: Option<String>,
}

/// `Debug` hides the decision.
impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision").finish_non_exhaustive()
    }
}

impl Decision {
    /// Returns whether the person was approved. An unknown outcome is not an approval.
    pub fn is_approved(&self) -> bool {
        self.outcome == Outcome::Approved
    }

    /// Returns whether a reviewer still has to decide (K55).
    pub fn is_under_review(&self) -> bool {
        self.outcome == Outcome::Review
    }

    pub(super) fn read(answer: &Answer) -> Result<Self, CaseError> {
        read::<DecisionResponse>(answer).map(Self::from)
    }
}

impl Case {
    /// Returns whether the case is closed: its status is `decided`, and it has a final decision.
    pub fn is_decided(&self) -> bool {
        self.final_decision().is_some()
    }

    pub(super) fn final_decision(&self) -> Option<&Decision> {
        self.decision
            .as_ref()
            .filter(|it| self.status == CaseStatus::Decided && !it.is_under_review())
    }

    pub(super) fn read(answer: &Answer) -> Result<Self, CaseError> {
        let case: CaseResponse = read(answer)?;
        if case.id.is_empty() {
            return Err(CaseError::InvalidResponse);
        }
        Ok(Self {
            id: case.id,
            person_id: case.person_id,
            level: case.level,
            status: case.status,
            decision: case.decision.map(Decision::from),
        })
    }
}

impl From<DecisionResponse> for Decision {
    fn from(response: DecisionResponse) -> Self {
        Self {
            outcome: response.outcome,
            risk_level: response.risk_level,
            human_verified: response.human_verified,
            automation_tier: response.automation_tier,
        }
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, CaseError> {
    api::read(answer).ok_or(CaseError::InvalidResponse)
}
