//! How a delivery is signed.

use http::HeaderName;

use crate::wire::webhook;

/// How a delivery is signed, always with HMAC-SHA256 over the bytes of the body as they came (K60).
///
/// The default is what tenants observe of KYCPort (K61). The others are there in case it moves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// The body alone is signed. No moment is, so the age of a delivery is judged by the event's
    /// own time, with [`TimestampTolerance`](super::TimestampTolerance).
    Body(BodyScheme),
    /// `t=1700000000,v1=<hex>` in one header, over `<t>.<body>`, as Stripe does. The moment is
    /// signed, and held against the verifier's clock.
    Timestamped(HeaderName),
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`, over `<id>.<timestamp>.<body>`
    /// (Standard Webhooks 1.0). Secrets are base64, with or without `whsec_` before them.
    StandardWebhooks,
}

impl Default for SignatureScheme {
    fn default() -> Self {
        Self::Body(BodyScheme::default())
    }
}

impl From<BodyScheme> for SignatureScheme {
    fn from(scheme: BodyScheme) -> Self {
        Self::Body(scheme)
    }
}

/// Where the signature of a body stands, and how it is written (K61).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyScheme {
    pub(super) headers: Vec<HeaderName>,
    pub(super) encoding: SignatureEncoding,
    pub(super) prefix: String,
    pub(super) secret: SecretEncoding,
}

impl BodyScheme {
    /// Reads signatures from `header` instead of `X-KYCPort-Signature`.
    #[must_use]
    pub fn header(mut self, header: HeaderName) -> Self {
        self.headers = vec![header];
        self
    }

    /// Reads signatures from `header` as well, such as `X-Webhook-Signature` (K61).
    #[must_use]
    pub fn also_header(mut self, header: HeaderName) -> Self {
        self.headers.push(header);
        self
    }

    /// How the signature is written; in hexadecimal if nothing is said.
    #[must_use]
    pub fn encoding(mut self, encoding: SignatureEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// What may stand before a signature; `sha256=` if nothing is said. It may be missing too.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What the text of a secret stands for; its own UTF-8 bytes if nothing is said (K61).
    #[must_use]
    pub fn secret_encoding(mut self, encoding: SecretEncoding) -> Self {
        self.secret = encoding;
        self
    }
}

impl Default for BodyScheme {
    fn default() -> Self {
        Self {
            headers: vec![HeaderName::from_static(webhook::SIGNATURE)],
            encoding: SignatureEncoding::Hex,
            prefix: webhook::SIGNATURE_PREFIX.to_owned(),
            secret: SecretEncoding::Utf8,
        }
    }
}

/// How the 32 bytes of a signature are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureEncoding {
    /// 64 hexadecimal digits. KYCPort writes them in lower case (K61); upper case is the same value.
    Hex,
    /// 44 characters of base64 (RFC 4648 section 4).
    Base64,
}

/// What the text of a secret stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretEncoding {
    /// Its own bytes (K61).
    Utf8,
    /// The bytes that it writes in hexadecimal.
    Hex,
    /// The bytes that it writes in base64 (RFC 4648 section 4).
    Base64,
}
