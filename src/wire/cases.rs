//! Requests and responses of verification cases (K50 to K59).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    kyc::{KycTier, or_none},
    word::word,
};

/// Name of the upload part with the front of the document, or the whole document (K51).
pub(crate) const DOCUMENT: &str = "document";
/// Name of the upload part with the selfie (K51).
pub(crate) const SELFIE: &str = "selfie";
/// Name of the upload part with the back of the document (K51).
pub(crate) const DOCUMENT_BACK: &str = "document_back";
/// Name of the upload part with the liveness mode (K51).
pub(crate) const LIVENESS_MODE: &str = "liveness_mode";
/// Prefix in the name of each free-text upload part (K51).
pub(crate) const APPLICANT_PREFIX: &str = "applicant_";
/// Name of the header with the idempotency key. KYCPort does not document this header (K59).
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Request body for opening a case (K50).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenCase {
    /// Person of the case: the `sub` of their tokens (K33).
    pub person_id: String,
    /// Tier for which KYCPort verifies the person.
    pub level: KycTier,
}

/// `Debug` hides the person.
impl fmt::Debug for OpenCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenCase")
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// Verification case (K50, K54, K55).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CaseResponse {
    /// Id of the case.
    pub id: String,
    /// Person of the case.
    pub person_id: String,
    /// Tier for which KYCPort verifies the person.
    pub level: KycTier,
    /// Status of the case.
    pub status: CaseStatus,
    /// Decision of a decided case (K55).
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub decision: Option<DecisionResponse>,
}

/// `Debug` hides the person and the decision.
impl fmt::Debug for CaseResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaseResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Response to an upload (K51).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadResponse {
    /// Names of the parts that KYCPort received.
    #[serde(default)]
    pub received: Vec<String>,
}

/// Decision of a case (K52).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DecisionResponse {
    /// Outcome of the decision.
    pub outcome: Outcome,
    /// Risk level that KYCPort assessed.
    #[serde(default, deserialize_with = "or_none")]
    pub risk_level: Option<RiskLevel>,
    /// Whether a human reviewed the case.
    #[serde(default, deserialize_with = "or_none")]
    pub human_verified: Option<bool>,
    /// Degree of automation, as named by KYCPort.
    #[serde(default, deserialize_with = "or_none")]
    pub automation_tier: Option<String>,
}

/// `Debug` hides the decision.
impl fmt::Debug for DecisionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionResponse").finish_non_exhaustive()
    }
}

word! {
    /// Status of a case (K55).
    pub enum CaseStatus {
        /// `opened`: no documents were uploaded.
        Opened = "opened",
        /// `documents_received`: the case can be decided.
        DocumentsReceived = "documents_received",
        /// `deciding`: a reviewer examines the case.
        Deciding = "deciding",
        /// `decided`: the case is closed.
        Decided = "decided",
    }
    /// Status that this version does not know, with its original text. An unknown status is not
    /// `decided`.
}

word! {
    /// Outcome of a decision (K52).
    pub enum Outcome {
        /// `approved`: the person is verified.
        Approved = "approved",
        /// `rejected`: the verification failed.
        Rejected = "rejected",
        /// `review`: a reviewer will decide.
        Review = "review",
    }
    /// Outcome that this version does not know, with its original text. An unknown outcome is not
    /// an approval.
}

word! {
    /// Risk level of a decision (K52).
    pub enum RiskLevel {
        /// `low`: the lowest risk level.
        Low = "low",
        /// `medium`: between low and high.
        Medium = "medium",
        /// `high`: the highest risk level.
        High = "high",
    }
    /// Level that this version does not know, with its original text. An unknown level is not
    /// `low`.
}

word! {
    /// Method of the liveness check (K51, K56).
    pub enum LivenessMode {
        /// `passive`: a still picture.
        Passive = "passive",
        /// `active`: the person followed instructions.
        Active = "active",
    }
    /// Mode that this version does not know, with its original text.
}
