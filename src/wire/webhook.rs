//! Webhook deliveries (K60 to K64).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    kyc::{KycStatus, KycTier, or_none},
    word::word,
};

/// The header that bears the signature (K61).
pub const SIGNATURE: &str = "x-kycport-signature";
/// The header that one tenant accepts besides (K61).
pub const SIGNATURE_ALTERNATIVE: &str = "x-webhook-signature";
/// What may stand before the signature (K61).
pub const SIGNATURE_PREFIX: &str = "sha256=";
/// The type of the event that a person's status changed (K63).
pub const STATUS_CHANGED: &str = "kyc.status_changed";
/// The type of the event that a case was decided (K63).
pub const CASE_DECIDED: &str = "verification.case.decided";

/// The body of a delivery (K63).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBody {
    /// The event's id, the same in every delivery of it (K64).
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When it happened, as RFC 3339 writes it (K81).
    pub created_at: String,
    /// To whom, and where they stand since.
    pub data: EventData,
}

/// What an event is about (K63).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventData {
    /// Who: the `sub` of their tokens (K33).
    pub person_id: String,
    /// Where the verification stands.
    #[serde(default, deserialize_with = "or_none")]
    pub kyc_status: Option<KycStatus>,
    /// How far it reached.
    #[serde(default, deserialize_with = "or_none")]
    pub kyc_tier: Option<KycTier>,
    /// Whether nothing was found against the person.
    #[serde(default, deserialize_with = "or_none")]
    pub aml_clear: Option<bool>,
    /// Which case was decided.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub case_id: Option<String>,
}

word! {
    /// What happened (K63).
    pub enum EventType {
        /// `kyc.status_changed`.
        StatusChanged = "kyc.status_changed",
        /// `verification.case.decided`.
        CaseDecided = "verification.case.decided",
    }
    /// A type this version does not know, kept as it came.
}
