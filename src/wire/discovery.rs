//! The discovery document (K1 to K5).

use serde::{Deserialize, Serialize};

use super::kyc::or_none;

/// OpenID Provider Metadata as it came, nothing judged yet
/// (OpenID Connect Discovery 1.0 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderMetadata {
    /// The issuer identifier (K2).
    pub issuer: String,
    /// Where the browser is sent (K4).
    pub authorization_endpoint: String,
    /// Where the code is exchanged (K4).
    pub token_endpoint: String,
    /// Where claims are read with the access token (K4).
    pub userinfo_endpoint: String,
    /// Where the keys are (K4).
    pub jwks_uri: String,
    /// Where tokens are revoked (RFC 7009). KYCPort documents none.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub revocation_endpoint: Option<String>,
    /// K5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types_supported: Option<Vec<String>>,
    /// K5.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub grant_types_supported: Option<Vec<String>>,
    /// K5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// K5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_signing_alg_values_supported: Option<Vec<String>>,
    /// K5.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// K5.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub scopes_supported: Option<Vec<String>>,
    /// K5.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub claims_supported: Option<Vec<String>>,
    /// K5.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject_types_supported: Option<Vec<String>>,
    /// K5.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub acr_values_supported: Option<Vec<String>>,
    /// K5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_modes_supported: Option<Vec<String>>,
    /// K5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_uri_parameter_supported: Option<bool>,
    /// K5, RFC 9207 section 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_response_iss_parameter_supported: Option<bool>,
}

impl ProviderMetadata {
    /// Metadata with the documented members (K1) and nothing else.
    pub fn new(
        issuer: impl Into<String>,
        authorization_endpoint: impl Into<String>,
        token_endpoint: impl Into<String>,
        userinfo_endpoint: impl Into<String>,
        jwks_uri: impl Into<String>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            authorization_endpoint: authorization_endpoint.into(),
            token_endpoint: token_endpoint.into(),
            userinfo_endpoint: userinfo_endpoint.into(),
            jwks_uri: jwks_uri.into(),
            revocation_endpoint: None,
            response_types_supported: None,
            grant_types_supported: None,
            code_challenge_methods_supported: None,
            id_token_signing_alg_values_supported: None,
            token_endpoint_auth_methods_supported: None,
            scopes_supported: None,
            claims_supported: None,
            subject_types_supported: None,
            acr_values_supported: None,
            response_modes_supported: None,
            request_uri_parameter_supported: None,
            authorization_response_iss_parameter_supported: None,
        }
    }
}
