//! A case and its decision, as read.

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

/// A case as it was when it was read (K54, K55).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Case {
    /// Its id.
    pub id: String,
    /// Whose it is: the subject of their tokens (K33).
    pub person_id: String,
    /// The tier that the person is to reach.
    pub level: KycTier,
    /// How far it is.
    pub status: CaseStatus,
    /// What was decided, once it is.
    pub decision: Option<Decision>,
}

/// Shows neither the person nor the decision.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What was decided (K52). What KYCPort leaves out is not known, and no good news.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// What was decided.
    pub outcome: Outcome,
    /// How much risk the engine saw.
    pub risk_level: Option<RiskLevel>,
    /// Whether a human looked.
    pub human_verified: Option<bool>,
    /// How far it was automatic, in KYCPort's own words.
    pub automation_tier: Option<String>,
}

/// Shows nothing of what was decided about a person.
impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision").finish_non_exhaustive()
    }
}

impl Decision {
    /// Whether the person was approved. An outcome that is not understood is no approval.
    pub fn is_approved(&self) -> bool {
        self.outcome == Outcome::Approved
    }

    /// Whether a reviewer has yet to decide (K55).
    pub fn is_under_review(&self) -> bool {
        self.outcome == Outcome::Review
    }

    pub(super) fn read(answer: &Answer) -> Result<Self, CaseError> {
        read::<DecisionResponse>(answer).map(Self::from)
    }
}

impl Case {
    /// Whether nothing changes any more: it says that it is decided, and what was.
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
    fn from(said: DecisionResponse) -> Self {
        Self {
            outcome: said.outcome,
            risk_level: said.risk_level,
            human_verified: said.human_verified,
            automation_tier: said.automation_tier,
        }
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, CaseError> {
    api::read(answer).ok_or(CaseError::InvalidResponse)
}
