//! Errors from token validation.

/// Error from token validation. The error contains at most the name of a claim, and no other
/// content of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenValidationError {
    /// The token is longer than [`MAX_TOKEN_BYTES`](super::MAX_TOKEN_BYTES).
    #[error("the token is too long")]
    TooLong,
    /// The token does not have three base64url parts separated by dots (RFC 7515 section 7.1).
    #[error("the token is not a compact JWS")]
    NotCompact,
    /// The token has five parts or an `enc` header. Encrypted tokens are not supported.
    #[error("the token is encrypted, which is not supported")]
    Encrypted,
    /// The header or the payload is not a JSON object, or contains a duplicate name.
    #[error("the {0} is not a JSON object, or contains a duplicate name")]
    NotJson(TokenPart),
    /// The header `alg` is not `EdDSA` (K22).
    #[error("the signature algorithm is not EdDSA")]
    Algorithm,
    /// The header `typ` does not match the kind of token.
    #[error("the `typ` header does not match an {0}")]
    Type(TokenKind),
    /// The header has an unsupported extension: `crit`, `b64`, `zip` or `cty` (RFC 7515 section
    /// 4.1.11).
    #[error("the header has an unsupported extension")]
    Extension,
    /// The key set has no key with this `kid`.
    #[error("the token's key is not in the key set")]
    UnknownKey,
    /// The client cannot select a key. Either the token has no key ID and the key set has several
    /// keys, or two keys have the key ID of the token.
    #[error("the token's key is ambiguous")]
    AmbiguousKey,
    /// The signature does not match the key and the content.
    #[error("the signature is invalid")]
    Signature,
    /// A claim is invalid.
    #[error("claim {name}: {problem}")]
    Claim {
        /// Name of the claim.
        name: &'static str,
        /// Reason why the claim is invalid.
        problem: ClaimError,
    },
}

impl TokenValidationError {
    /// Returns a stable code for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotCompact => "not_compact",
            Self::Encrypted => "encrypted",
            Self::NotJson(_) => "not_json",
            Self::Algorithm => "algorithm",
            Self::Type(_) => "type",
            Self::Extension => "extension",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
            Self::Signature => "signature",
            Self::Claim { .. } => "claim",
        }
    }
}

/// Part of a compact JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPart {
    /// Protected header.
    Header,
    /// Payload with the claims.
    Payload,
}

/// Kind of token that KYCPort issues (K22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// ID token (OpenID Connect Core 1.0 section 2).
    IdToken,
    /// Access token (RFC 9068).
    AccessToken,
}

/// Reason why a claim is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The claim is required but absent.
    #[error("missing")]
    Missing,
    /// The claim has the wrong type, or is out of range.
    #[error("wrong type")]
    Mistyped,
    /// The claim does not have the expected value.
    #[error("unexpected value")]
    Mismatch,
    /// The time in the claim is too far in the past.
    #[error("too far in the past")]
    Past,
    /// The time in the claim is in the future.
    #[error("in the future")]
    Future,
    /// The value of the claim is lower than required.
    #[error("lower than required")]
    Insufficient,
}

impl std::fmt::Display for TokenPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
        })
    }
}

impl std::fmt::Display for TokenKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::IdToken => "ID token",
            Self::AccessToken => "access token",
        })
    }
}
