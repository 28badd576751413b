//! The addresses that the mock serves (K1, K4).

use std::fmt::{self, Display};

/// An endpoint of the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `GET /api/oidc/.well-known/openid-configuration` (K1).
    Discovery,
    /// `GET /api/oidc/jwks/` (K6).
    Jwks,
    /// `GET` and `POST /authorize` (K10).
    Authorize,
    /// `POST /api/oidc/token/` (K20).
    Token,
    /// `GET /api/oidc/userinfo/` (K35).
    Userinfo,
    /// `GET /api/v1/kyc/{person_id}/status/` (K40).
    Status,
    /// `GET /api/health/` (K45).
    Health,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 7] = [
        Self::Discovery,
        Self::Jwks,
        Self::Authorize,
        Self::Token,
        Self::Userinfo,
        Self::Status,
        Self::Health,
    ];

    /// The path, byte for byte: one slash more or less is another address (K4). That of
    /// [`Status`](Self::Status) names the place of the person's id, `{person_id}`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/api/oidc/.well-known/openid-configuration",
            Self::Jwks => "/api/oidc/jwks/",
            Self::Authorize => "/authorize",
            Self::Token => "/api/oidc/token/",
            Self::Userinfo => "/api/oidc/userinfo/",
            Self::Status => "/api/v1/kyc/{person_id}/status/",
            Self::Health => "/api/health/",
        }
    }

    /// The methods it answers; any other is 405.
    pub(super) const fn methods(self) -> &'static str {
        match self {
            Self::Discovery | Self::Jwks | Self::Health => "GET, HEAD",
            Self::Authorize | Self::Userinfo => "GET, HEAD, POST",
            Self::Token => "POST",
            Self::Status => "GET",
        }
    }

    pub(super) fn of(path: &str) -> Option<Self> {
        if person_segment(path).is_some() {
            return Some(Self::Status);
        }
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.path() == path)
    }
}

/// The segment of a status address that names the person, as it came: one, and not empty (K40).
pub(super) fn person_segment(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/api/v1/kyc/")?;
    let segment = rest.strip_suffix("/status/")?;
    (!segment.is_empty() && !segment.contains('/')).then_some(segment)
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
