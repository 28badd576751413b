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
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 5] = [
        Self::Discovery,
        Self::Jwks,
        Self::Authorize,
        Self::Token,
        Self::Userinfo,
    ];

    /// The path, byte for byte: one slash more or less is another address (K4).
    pub const fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/api/oidc/.well-known/openid-configuration",
            Self::Jwks => "/api/oidc/jwks/",
            Self::Authorize => "/authorize",
            Self::Token => "/api/oidc/token/",
            Self::Userinfo => "/api/oidc/userinfo/",
        }
    }

    /// The methods it answers; any other is 405.
    pub(super) const fn methods(self) -> &'static str {
        match self {
            Self::Discovery | Self::Jwks => "GET, HEAD",
            Self::Authorize | Self::Userinfo => "GET, HEAD, POST",
            Self::Token => "POST",
        }
    }

    pub(super) fn of(path: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.path() == path)
    }
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
