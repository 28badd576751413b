//! What KYCPort says happened.

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

/// One event, out of a delivery whose signature was good. It can come again, late, and after
/// younger ones (K62): begin its [`key`](Self::key) in an [`EventLog`](super::EventLog), and
/// take what it says as a hint to ask the status endpoint.
///
/// Debug shows nothing of the person.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The event's id, the same in every delivery of it (K64); 255 bytes at most.
    pub id: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// What happened (K63).
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// `kyc.status_changed`.
    StatusChanged {
        /// Whose: the `sub` of their tokens (K33).
        person_id: String,
        /// Where the verification stands since; `None` is "not known".
        kyc_status: Option<KycStatus>,
        /// How far it reached; `None` is "not known".
        kyc_tier: Option<KycTier>,
        /// Whether nothing was found against the person; `None` is "not known".
        aml_clear: Option<bool>,
    },
    /// `verification.case.decided`. What was decided is read from the case.
    CaseDecided {
        /// Whose case: the `sub` of their tokens (K33).
        person_id: String,
        /// Which case, if the event says so.
        case_id: Option<String>,
    },
    /// Anything else. Answer it with 2xx: it is not for this version.
    Unknown {
        /// The person whom the event names, if it names one.
        person_id: Option<String>,
        /// The type, as it came.
        event_type: String,
        /// The whole body.
        raw: Value,
    },
}

impl Event {
    /// Key of the event in an [`EventLog`](super::EventLog).
    pub fn key(&self) -> EventKey {
        EventKey::of(&self.id)
    }

    /// The type, as it stands on the wire.
    pub fn event_type(&self) -> &str {
        match &self.kind {
            EventKind::StatusChanged { .. } => webhook::STATUS_CHANGED,
            EventKind::CaseDecided { .. } => webhook::CASE_DECIDED,
            EventKind::Unknown { event_type, .. } => event_type,
        }
    }

    /// Whom it is about, if it is of a kind that says so.
    pub fn person_id(&self) -> Option<&str> {
        match &self.kind {
            EventKind::StatusChanged { person_id, .. }
            | EventKind::CaseDecided { person_id, .. } => Some(person_id),
            EventKind::Unknown { person_id, .. } => person_id.as_deref(),
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

/// Key of an event: the SHA-256 of its id in 64 hexadecimal digits, so that any id fits any store.
/// It is made from the signed body, never from a header that was not signed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(String);

impl EventKey {
    /// The key of the event with this id.
    pub fn of(id: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(id).into();
        Self(base16ct::lower::encode_string(&digest))
    }

    /// 64 hexadecimal digits, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventKey({})", self.0.get(..16).unwrap_or_default())
    }
}
