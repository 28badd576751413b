//! Error for a rejected signature.

/// Error for a delivery whose signature the verifier rejects. The error contains no part of the
/// delivery.
///
/// Respond with 413 to [`TooLarge`](Self::TooLarge) and with 401 to all other errors. After these
/// responses, KYCPort redelivers the event. The responses give other senders no information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The body exceeds the maximum size.
    #[error("the body is too large")]
    TooLarge,
    /// The signature header is missing.
    #[error("the signature header is missing")]
    NoSignature,
    /// The headers contain more than [`MAX_SIGNATURES`](super::MAX_SIGNATURES) signatures.
    #[error("too many signatures")]
    TooManySignatures,
    /// No signature in the headers is well-formed.
    #[error("the signature is malformed")]
    UnreadableSignature,
    /// The signed id or time is missing, occurs twice, or is malformed.
    #[error("the signed id or time is missing or malformed")]
    UnreadableSignedPart,
    /// No signature matches the body with any of the secrets. The
    /// method [`diagnose`](super::WebhookVerifier::diagnose) returns possible reasons.
    #[error("signature does not match any configured secret")]
    Mismatch,
    /// The signed time is too far in the past.
    #[error("the signed time is too old")]
    TooOld,
    /// The signed time is too far in the future.
    #[error("the signed time is in the future: compare the clocks of this machine and the sender")]
    InFuture,
}

impl SignatureError {
    /// Returns a stable code for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NoSignature => "no_signature",
            Self::TooManySignatures => "too_many_signatures",
            Self::UnreadableSignature => "unreadable_signature",
            Self::UnreadableSignedPart => "unreadable_signed_part",
            Self::Mismatch => "mismatch",
            Self::TooOld => "too_old",
            Self::InFuture => "in_future",
        }
    }
}
