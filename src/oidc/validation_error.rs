//! Why a token was not believed.

/// Why a token was not believed. Nothing of the token is in here but the name of a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenValidationError {
    /// Longer than [`MAX_TOKEN_BYTES`](super::MAX_TOKEN_BYTES).
    #[error("the token is too long")]
    TooLong,
    /// Not three base64url parts with dots between them (RFC 7515 section 7.1).
    #[error("the token is not a compact JWS")]
    NotCompact,
    /// Five parts or an `enc` header: encrypted tokens are not accepted.
    #[error("the token is encrypted")]
    Encrypted,
    /// Header or payload is not a JSON object without duplicate names.
    #[error("the {0} is not a JSON object without duplicate names")]
    NotJson(TokenPart),
    /// `alg` is not `EdDSA` (K22).
    #[error("the algorithm is not EdDSA")]
    Algorithm,
    /// `typ` is not what such a token carries.
    #[error("the type is not that of an {0}")]
    Type(TokenKind),
    /// The header asks for an extension (`crit`, `b64`, `zip`, `cty`), none of which is used here
    /// (RFC 7515 section 4.1.11).
    #[error("the header asks for an extension")]
    Extension,
    /// No key of that `kid` is in the key set.
    #[error("the key is not in the key set")]
    UnknownKey,
    /// The token does not say which of several keys, or two keys bear the name.
    #[error("the key is ambiguous")]
    AmbiguousKey,
    /// The signature is not by that key over these bytes.
    #[error("the signature does not verify")]
    Signature,
    /// A claim is not as it must be.
    #[error("claim {name}: {problem}")]
    Claim {
        /// The claim's name.
        name: &'static str,
        /// What is wrong with it.
        problem: ClaimError,
    },
}

impl TokenValidationError {
    /// A stable code for logs and metrics.
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

/// A part of a compact JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPart {
    /// The protected header.
    Header,
    /// The payload: the claims.
    Payload,
}

/// The two tokens KYCPort issues (K22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An ID token (OpenID Connect Core 1.0 section 2).
    IdToken,
    /// An access token (RFC 9068).
    AccessToken,
}

/// What is wrong with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// It must be there and is not.
    #[error("missing")]
    Missing,
    /// It is of another type than the standard says, or out of its range.
    #[error("of the wrong type")]
    Mistyped,
    /// It names something else than expected.
    #[error("not the expected value")]
    Mismatch,
    /// The time lies too far back.
    #[error("past")]
    Past,
    /// The time lies ahead.
    #[error("in the future")]
    Future,
    /// Less than what was required.
    #[error("not sufficient")]
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
