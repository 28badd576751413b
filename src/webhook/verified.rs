//! Deliveries with a valid signature.

use std::fmt::{self, Debug};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;

/// Delivery with a valid signature: the raw bytes of the body, not yet parsed.
/// A [`WebhookVerifier`](super::WebhookVerifier) or [`QueuedDelivery::into_verified_unchecked`]
/// creates this type.
///
/// `Debug` hides the body.
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

    /// Returns the signed bytes of the body.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Returns the name of the secret that matched. You can remove an old secret when KYCPort signs
    /// no more deliveries with the old secret.
    pub fn secret_name(&self) -> &str {
        &self.0.secret_name
    }

    /// Returns the id that was signed with the body, if the scheme signs an id.
    pub fn signed_id(&self) -> Option<&str> {
        self.0.signed_id.as_deref()
    }

    /// Returns the time that was signed with the body, if the scheme signs a time. The verifier has
    /// already compared this time with its clock.
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.0.signed_at
    }

    /// Converts the delivery into a type that can be serialised. To convert it back,
    /// call [`into_verified_unchecked`](QueuedDelivery::into_verified_unchecked).
    pub fn into_queued(self) -> QueuedDelivery {
        self.0
    }
}

impl Debug for VerifiedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show("VerifiedPayload", f)
    }
}

/// Verified delivery for a queue of the app. Serialise the delivery, respond to KYCPort with 2xx,
/// and handle the delivery later.
///
/// `Debug` hides the body. The serialised form contains the body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedDelivery {
    #[serde(serialize_with = "write_body", deserialize_with = "read_body")]
    body: Bytes,
    secret_name: String,
    signed_id: Option<String>,
    signed_at: Option<Timestamp>,
}

impl QueuedDelivery {
    /// Marks the delivery as verified without a check of its signature. Use this method only for
    /// deliveries from a queue to which only the app can write.
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

/// Writes the body as base64, because a text format could not preserve arbitrary bytes.
fn write_body<S: Serializer>(body: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(body))
}

fn read_body<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(from)?;
    let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
    Ok(bytes.into())
}
