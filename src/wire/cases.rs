//! Verification cases (K50 to K59).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    kyc::{KycTier, or_none},
    word::word,
};

/// The part of an upload that holds the document's front, or the whole of it (K51).
pub const DOCUMENT: &str = "document";
/// The part of an upload that holds the selfie (K51).
pub const SELFIE: &str = "selfie";
/// The part of an upload that holds the document's back (K51).
pub const DOCUMENT_BACK: &str = "document_back";
/// The part of an upload that says how liveness was captured (K51).
pub const LIVENESS_MODE: &str = "liveness_mode";
/// What the names of the free text parts of an upload begin with (K51).
pub const APPLICANT_PREFIX: &str = "applicant_";
/// The header by which one request can be sent twice and done once. Not documented by KYCPort
/// (K59).
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Opens a case (K50).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCase {
    /// Whose case it is: the `sub` of their tokens (K33).
    pub person_id: String,
    /// The tier that the person is to reach.
    pub level: KycTier,
}

/// Does not show the person.
impl fmt::Debug for OpenCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenCase")
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// A case (K50, K54, K55).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResponse {
    /// The case's id.
    pub id: String,
    /// Whose case it is.
    pub person_id: String,
    /// The tier that the person is to reach.
    pub level: KycTier,
    /// How far the case is.
    pub status: CaseStatus,
    /// What was decided, of a decided case (K55).
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub decision: Option<DecisionResponse>,
}

/// Shows neither the person nor the decision.
impl fmt::Debug for CaseResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaseResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What an upload left on the case (K51).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadResponse {
    /// The names of the parts that were received.
    #[serde(default)]
    pub received: Vec<String>,
}

/// A decision (K52).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionResponse {
    /// What was decided.
    pub outcome: Outcome,
    /// How much risk the engine saw.
    #[serde(default, deserialize_with = "or_none")]
    pub risk_level: Option<RiskLevel>,
    /// Whether a human looked.
    #[serde(default, deserialize_with = "or_none")]
    pub human_verified: Option<bool>,
    /// How far the decision was automatic: a word of KYCPort's own.
    #[serde(default, deserialize_with = "or_none")]
    pub automation_tier: Option<String>,
}

/// Shows nothing of what was decided about a person.
impl fmt::Debug for DecisionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionResponse").finish_non_exhaustive()
    }
}

word! {
    /// How far a case is (K55).
    pub enum CaseStatus {
        /// `opened`: nothing was uploaded.
        Opened = "opened",
        /// `documents_received`: it can be decided.
        DocumentsReceived = "documents_received",
        /// `deciding`: a reviewer looks.
        Deciding = "deciding",
        /// `decided`: nothing changes any more.
        Decided = "decided",
    }
    /// A status this version does not know, kept as it came. It is not `decided`.
}

word! {
    /// What the engine, or a reviewer, decided (K52).
    pub enum Outcome {
        /// `approved`.
        Approved = "approved",
        /// `rejected`.
        Rejected = "rejected",
        /// `review`: a reviewer will decide.
        Review = "review",
    }
    /// An outcome this version does not know, kept as it came. It is no approval.
}

word! {
    /// How much risk the engine saw (K52).
    pub enum RiskLevel {
        /// `low`.
        Low = "low",
        /// `medium`.
        Medium = "medium",
        /// `high`.
        High = "high",
    }
    /// A level this version does not know, kept as it came. It is not `low`.
}

word! {
    /// How liveness was captured (K51, K56).
    pub enum LivenessMode {
        /// `passive`: a still picture.
        Passive = "passive",
        /// `active`: the person followed instructions.
        Active = "active",
    }
    /// A mode this version does not know.
}
