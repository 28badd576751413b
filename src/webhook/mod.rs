//! Webhooks: who sent these bytes, what they say, and whether they were here before. Needs no web
//! framework, and the three are apart.
//!
//! 1. [`WebhookVerifier::verify`] judges the raw bytes and the headers (K60, K61).
//! 2. [`EventReader::read`] reads what was verified (K63), and [`TimestampTolerance::check`] its time (K64).
//! 3. An [`EventLog`] ensures that an event takes effect once (K62).
//!
//! Between 1 and 2 a delivery can be queued, as a [`QueuedDelivery`].

mod diagnosis;
mod event;
mod event_log;
mod keys;
mod mac;
mod policy;
mod presented;
mod reader;
mod scheme;
mod signature_error;
mod time;
mod tolerance;
mod verified;
mod verifier;

pub use diagnosis::{Diagnosis, MismatchHint};
pub use event::{Event, EventKey, EventKind};
pub use event_log::{BeginOutcome, EventLease, EventLog, SettleOutcome};
pub use policy::{DeliveryPolicy, DeliveryPolicyError};
pub use presented::MAX_SIGNATURES;
pub use reader::{EventFieldPaths, EventParseError, EventReader, InvalidFieldPath, MAX_ID_BYTES};
pub use scheme::{BodyScheme, SecretEncoding, SignatureEncoding, SignatureScheme};
pub use signature_error::SignatureError;
pub use tolerance::{TimestampError, TimestampTolerance};
pub use verified::{QueuedDelivery, VerifiedPayload};
pub use verifier::{
    MAX_BODY_BYTES, MAX_SECRETS, MIN_SECRET_BYTES, VerifierError, WebhookVerifier,
    WebhookVerifierBuilder, sign_test_delivery,
};

pub use crate::secrets::InvalidSecret;
