//! Events from webhook deliveries.

use std::fmt::{self, Debug};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    clock::Timestamp,
    wire::{
        kyc::{KycStatus, KycTier},
        webhook,
    },
};

/// Event from a delivery with a valid signature.
///
/// KYCPort can deliver an event several times, late, and out of order (K62). Therefore begin the
/// [`key`](Self::key) of each event in an [`EventLog`](super::EventLog), and read the current
/// status from the status endpoint.
///
/// `Debug` shows no personal data.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Id of the event, which is equal in all deliveries of the event (K64). Maximum: 255 bytes.
    pub id: String,
    /// Time of the event.
    pub created_at: Timestamp,
    /// Type and content of the event.
    pub kind: EventKind,
}

/// Type and content of an event (K63).
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// `kyc.status_changed`: the status of a person changed.
    StatusChanged {
        /// Person of the event: the `sub` of their tokens (K33).
        person_id: String,
        /// New verification status. `None` means unknown.
        kyc_status: Option<KycStatus>,
        /// New verification tier. `None` means unknown.
        kyc_tier: Option<KycTier>,
        /// Whether the AML screening found nothing against the person. `None` means unknown.
        aml_clear: Option<bool>,
    },
    /// `verification.case.decided`: a case was decided. Read the decision from the case.
    CaseDecided {
        /// Person of the case: the `sub` of their tokens (K33).
        person_id: String,
        /// Id of the case, if the event contains it.
        case_id: Option<String>,
    },
    /// Type that this version does not know. Respond to an event of an unknown type with 2xx.
    Unknown {
        /// Person of the event, if the event contains a person.
        person_id: Option<String>,
        /// Type as KYCPort sent it.
        event_type: String,
        /// Whole body.
        raw: Value,
    },
}

impl Event {
    /// Returns the key of the event in an [`EventLog`](super::EventLog).
    pub fn key(&self) -> EventKey {
        EventKey::of(&self.id)
    }

    /// Returns the type as KYCPort writes it.
    pub fn event_type(&self) -> &str {
        match &self.kind {
            EventKind::StatusChanged { .. } => webhook::STATUS_CHANGED,
            EventKind::CaseDecided { .. } => webhook::CASE_DECIDED,
            EventKind::Unknown { event_type, .. } => event_type,
        }
    }

    /// Returns the person of the event, if the event contains a person.
    pub fn person_id(&self) -> Option<&str> {
        match &self.kind {
            EventKind::StatusChanged { person_id, .. }
            | EventKind::CaseDecided { person_id, .. } => Some(person_id),
            EventKind::Unknown { person_id, .. } => person_id.as_deref(),
        }
    }
}

#[cfg(feature = "web")]
impl Event {
    /// Returns a mutable reference to the person of the event, if the event contains a person.
    pub(crate) fn person_id_mut(&mut self) -> Option<&mut String> {
        match &mut self.kind {
            EventKind::StatusChanged { person_id, .. }
            | EventKind::CaseDecided { person_id, .. } => Some(person_id),
            EventKind::Unknown { person_id, .. } => person_id.as_mut(),
        }
    }
}

impl Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("key", &self.key())
            .field("created_at", &self.created_at)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Debug for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StatusChanged { .. } => "StatusChanged(…)",
            Self::CaseDecided { .. } => "CaseDecided(…)",
            Self::Unknown { .. } => "Unknown(…)",
        })
    }
}

/// Key of an event: the SHA-256 of the event's id, in 64 hexadecimal digits. The key has a fixed
/// length. Every store can therefore store the key of every event. The id comes from the signed
/// body, not from an unsigned header.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(String);

impl EventKey {
    /// Returns the key of the event with this id.
    pub fn of(id: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(id).into();
        Self(base16ct::lower::encode_string(&digest))
    }

    /// Returns the key as 64 hexadecimal digits, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventKey({})", self.0.get(..16).unwrap_or_default())
    }
}
