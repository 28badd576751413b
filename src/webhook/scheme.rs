//! Signature schemes of deliveries.

use http::HeaderName;

use crate::wire::webhook;

/// Signature scheme of deliveries. All schemes use HMAC-SHA256 over the raw bytes of the body
/// (K60).
///
/// Default: [`Body`](Self::Body), which tenants observe at KYCPort (K61). The schemes other than
/// `Body` exist in case KYCPort changes its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// Signature over the body only. The signature covers no time,
    /// so [`TimestampTolerance`](super::TimestampTolerance) limits the age by the time of the
    /// event.
    Body(BodyScheme),
    /// Header `t=1700000000,v1=<hex>` with a signature over `<t>.<body>`, as Stripe uses it. The
    /// verifier compares the signed time with its clock.
    Timestamped(HeaderName),
    /// Headers `webhook-id`, `webhook-timestamp` and `webhook-signature`, with a signature over
    /// `<id>.<timestamp>.<body>` (Standard Webhooks 1.0). Secrets are base64, with an optional
    /// prefix `whsec_`.
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

/// Headers and encodings of a signature over the body (K61).
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

    /// Also reads signatures from `header`, such as `X-Webhook-Signature` (K61).
    #[must_use]
    pub fn also_header(mut self, header: HeaderName) -> Self {
        self.headers.push(header);
        self
    }

    /// Sets the encoding of the signature. Default: hexadecimal.
    #[must_use]
    pub fn encoding(mut self, encoding: SignatureEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Sets the optional prefix of a signature. Default: `sha256=`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the encoding of the secrets. Default: UTF-8 (K61).
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

/// Encoding of a signature of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureEncoding {
    /// 64 hexadecimal digits. KYCPort sends lower case (K61). The verifier also accepts upper case.
    Hex,
    /// 44 characters of base64 (RFC 4648 section 4).
    Base64,
}

/// Encoding of a secret in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretEncoding {
    /// The bytes of the text are the key (K61).
    Utf8,
    /// The text is the hexadecimal encoding of the key.
    Hex,
    /// The text is the base64 encoding of the key (RFC 4648 section 4).
    Base64,
}
