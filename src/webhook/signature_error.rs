//! Why a delivery was not believed.

/// Why a delivery was not believed. Nothing of the delivery is in here.
///
/// To everything but [`TooLarge`](Self::TooLarge), which is 413, the answer is 401: KYCPort tries
/// again, and whoever else it was learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The body is longer than the verifier takes.
    #[error("the body is too large")]
    TooLarge,
    /// There is no header with a signature.
    #[error("there is no signature")]
    NoSignature,
    /// There are more signatures than [`MAX_SIGNATURES`](super::MAX_SIGNATURES).
    #[error("there are too many signatures")]
    TooManySignatures,
    /// There is a header, and not one whole signature in it.
    #[error("the signature cannot be read")]
    UnreadableSignature,
    /// The id or the moment, which are signed too, is missing, stands twice, or cannot be read.
    #[error("what is signed besides the body cannot be read")]
    UnreadableSignedPart,
    /// No signature is by any of the secrets over these bytes.
    /// [`diagnose`](super::WebhookVerifier::diagnose) looks for the reason.
    #[error("no signature is by any of the secrets")]
    Mismatch,
    /// The signed moment is longer ago than the verifier takes.
    #[error("the delivery was signed too long ago")]
    TooOld,
    /// The signed moment is yet to come.
    #[error("the delivery was signed in the future")]
    InFuture,
}

impl SignatureError {
    /// A stable code for logs and metrics.
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
