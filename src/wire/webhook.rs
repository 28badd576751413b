//! Headers and bodies of webhook deliveries (K60 to K64).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    kyc::{KycStatus, KycTier, or_none},
    word::word,
};

/// Name of the signature header (K61).
pub(crate) const SIGNATURE: &str = "x-kycport-signature";
/// Optional prefix of the signature (K61).
pub(crate) const SIGNATURE_PREFIX: &str = "sha256=";
/// Event type for a change of a person's status (K63).
pub(crate) const STATUS_CHANGED: &str = "kyc.status_changed";
/// Event type for a decision of a case (K63).
pub(crate) const CASE_DECIDED: &str = "verification.case.decided";

/// Body of a delivery (K63).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventBody {
    /// Event id. The id is equal in every delivery of the event (K64).
    pub id: String,
    /// Event type.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Time of the event, in RFC 3339 format (K81).
    pub created_at: String,
    /// Subject of the event, in `data`.
    pub data: EventData,
}

/// Subject of an event: a person and their new status (K63).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventData {
    /// Person of the event: the `sub` of their tokens (K33).
    pub person_id: String,
    /// Verification status.
    #[serde(default, deserialize_with = "or_none")]
    pub kyc_status: Option<KycStatus>,
    /// Verification tier.
    #[serde(default, deserialize_with = "or_none")]
    pub kyc_tier: Option<KycTier>,
    /// Whether the AML screening found nothing against the person.
    #[serde(default, deserialize_with = "or_none")]
    pub aml_clear: Option<bool>,
    /// Id of the decided case.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub case_id: Option<String>,
}

word! {
    /// Type of an event (K63).
    pub(crate) enum EventType {
        /// `kyc.status_changed`: a person's status changed.
        StatusChanged = "kyc.status_changed",
        /// `verification.case.decided`: a case was decided.
        CaseDecided = "verification.case.decided",
    }
    /// Type that this version does not know, with its original text.
}
