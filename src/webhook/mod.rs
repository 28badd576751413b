//! Verification and reading of webhook deliveries. This module needs no web framework.
//!
//! 1. [`WebhookVerifier::verify`] checks the signature over the raw body (K60, K61).
//! 2. [`EventReader::read`] parses the verified body (K63), and [`TimestampTolerance::check`]
//!    checks the time of the event (K64).
//! 3. [`EventLog`] ensures that an event takes effect once (K62).
//!
//! Between steps 1 and 2, the app can put the delivery into a queue as a [`QueuedDelivery`].

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
