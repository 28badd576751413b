//! Bytes that are KYCPort's.

use std::fmt::{self, Debug};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;

/// A delivery whose signature was good: the very bytes that came, not yet parsed. Only a
/// [`WebhookVerifier`](super::WebhookVerifier) makes one, or [`QueuedDelivery::into_verified_unchecked`].
///
/// Debug shows nothing of the body.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedPayload(QueuedDelivery);

impl VerifiedPayload {
    pub(super) fn new(
        body: Bytes,
        secret_name: String,
        signed_id: Option<String>,
        signed_at: Option<Timestamp>,
    ) -> Self {
        Self(QueuedDelivery {
            body,
            secret_name,
            signed_id,
            signed_at,
        })
    }

    /// The very bytes that were signed.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The name of the secret that matched: an old one, once it is never seen any more, can go.
    pub fn secret_name(&self) -> &str {
        &self.0.secret_name
    }

    /// The id that was signed with the body, if the scheme signs one.
    pub fn signed_id(&self) -> Option<&str> {
        self.0.signed_id.as_deref()
    }

    /// The moment that was signed with the body, if the scheme signs one. It was held against the
    /// clock when the delivery was verified.
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.0.signed_at
    }

    /// To be put aside and [trusted](QueuedDelivery::into_verified_unchecked) later.
    pub fn into_queued(self) -> QueuedDelivery {
        self.0
    }
}

impl Debug for VerifiedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show("VerifiedPayload", f)
    }
}

/// A verified delivery on its way through a queue of the app's own: serialise it, answer KYCPort
/// with 2xx, and go on elsewhere.
///
/// Debug shows nothing of the body. What is serialised does.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedDelivery {
    #[serde(serialize_with = "write_body", deserialize_with = "read_body")]
    body: Bytes,
    secret_name: String,
    signed_id: Option<String>,
    signed_at: Option<Timestamp>,
}

impl QueuedDelivery {
    /// Takes it for verified. That is right for what comes from a queue into which nobody but the
    /// app writes, and for nothing else: no signature is looked at any more.
    pub fn into_verified_unchecked(self) -> VerifiedPayload {
        VerifiedPayload(self)
    }

    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("length", &self.body.len())
            .field("secret_name", &self.secret_name)
            .finish_non_exhaustive()
    }
}

impl Debug for QueuedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("QueuedDelivery", f)
    }
}

/// As base64, so that the very bytes come back from any format.
fn write_body<S: Serializer>(body: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(body))
}

fn read_body<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(from)?;
    let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
    Ok(bytes.into())
}
