//! Endpoints that the mock serves (K1, K4).

use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::segment;

/// An endpoint of the issuer. In JSON, each variant is its name in `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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
    /// `POST /api/v1/verification/cases/` (K50).
    OpenCase,
    /// `GET /api/v1/verification/cases/{case_id}/` (K54).
    ReadCase,
    /// `POST /api/v1/verification/cases/{case_id}/upload/` (K51).
    UploadCase,
    /// `POST /api/v1/verification/cases/{case_id}/decide/` (K52).
    DecideCase,
    /// `GET /api/health/` (K45).
    Health,
    /// `GET` and `POST /verify` (K18, K91).
    Verify,
    /// `GET /llms.txt` (K71).
    LlmsTxt,
}

impl Endpoint {
    /// List of all endpoints.
    pub const ALL: [Self; 13] = [
        Self::Discovery,
        Self::Jwks,
        Self::Authorize,
        Self::Token,
        Self::Userinfo,
        Self::Status,
        Self::OpenCase,
        Self::ReadCase,
        Self::UploadCase,
        Self::DecideCase,
        Self::Health,
        Self::Verify,
        Self::LlmsTxt,
    ];

    /// Returns the endpoint's name in JSON.
    pub(in crate::mock) fn json_name(self) -> String {
        let word = serde_json::to_value(self).unwrap_or_default();
        word.as_str().unwrap_or_default().to_owned()
    }

    /// Returns the path, with placeholders such as `{person_id}` and `{case_id}`. The mock compares
    /// paths byte by byte. The response is 404 if a slash is missing or added (K4).
    pub const fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/api/oidc/.well-known/openid-configuration",
            Self::Jwks => "/api/oidc/jwks/",
            Self::Authorize => "/authorize",
            Self::Token => "/api/oidc/token/",
            Self::Userinfo => "/api/oidc/userinfo/",
            Self::Status => "/api/v1/kyc/{person_id}/status/",
            Self::OpenCase => "/api/v1/verification/cases/",
            Self::ReadCase => "/api/v1/verification/cases/{case_id}/",
            Self::UploadCase => "/api/v1/verification/cases/{case_id}/upload/",
            Self::DecideCase => "/api/v1/verification/cases/{case_id}/decide/",
            Self::Health => "/api/health/",
            Self::Verify => "/verify",
            Self::LlmsTxt => "/llms.txt",
        }
    }

    /// Returns the allowed methods. The response to any other method is 405.
    pub(in crate::mock) const fn methods(self) -> &'static str {
        match self {
            Self::Discovery
            | Self::Jwks
            | Self::Status
            | Self::ReadCase
            | Self::Health
            | Self::LlmsTxt => "GET, HEAD",
            Self::Authorize | Self::Userinfo | Self::Verify => "GET, HEAD, POST",
            Self::Token | Self::OpenCase | Self::UploadCase | Self::DecideCase => "POST",
        }
    }

    /// Returns whether this endpoint accepts a form. The tenant API accepts JSON or a multipart
    /// upload.
    pub(in crate::mock) const fn takes_a_form(self) -> bool {
        !matches!(
            self,
            Self::OpenCase | Self::ReadCase | Self::UploadCase | Self::DecideCase
        )
    }

    pub(in crate::mock) fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.id_in(path).is_some())
    }

    /// Returns the path segment that contains the ID, without decoding it. Returns an empty string
    /// for an endpoint without an ID. Returns `None` if the path does not match or the ID is empty.
    pub(in crate::mock) fn id_in(self, path: &str) -> Option<&str> {
        segment::matched(self.path(), path)
    }
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
