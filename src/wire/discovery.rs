//! Contents of the discovery document (K1 to K5).

use serde::{Deserialize, Serialize};

use super::kyc::or_none;

/// OpenID Provider Metadata before validation (OpenID Connect Discovery 1.0 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProviderMetadata {
    /// Issuer identifier (K2).
    pub issuer: String,
    /// URL of the authorization endpoint, to which the app redirects the browser (K4).
    pub authorization_endpoint: String,
    /// URL of the token endpoint, which exchanges the code (K4).
    pub token_endpoint: String,
    /// URL of the userinfo endpoint, which returns claims for an access token (K4).
    pub userinfo_endpoint: String,
    /// URL of the key set (K4).
    pub jwks_uri: String,
    /// URL of the revocation endpoint (RFC 7009). KYCPort documents no revocation endpoint.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub revocation_endpoint: Option<String>,
    /// Response types, such as `code` (K5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types_supported: Option<Vec<String>>,
    /// Grant types, such as `authorization_code` (K5).
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub grant_types_supported: Option<Vec<String>>,
    /// PKCE methods, such as `S256` (K5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// Signature algorithms of ID tokens, such as `EdDSA` (K5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_signing_alg_values_supported: Option<Vec<String>>,
    /// Client authentication methods of the token endpoint (K5).
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Scopes that clients may request (K5).
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub scopes_supported: Option<Vec<String>>,
    /// Claims that KYCPort may return (K5).
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub claims_supported: Option<Vec<String>>,
    /// Subject types, `public` or `pairwise` (K5).
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject_types_supported: Option<Vec<String>>,
    /// Authentication contexts, such as the tiers (K5).
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub acr_values_supported: Option<Vec<String>>,
    /// Response modes, such as `query` (K5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_modes_supported: Option<Vec<String>>,
    /// Whether the `request_uri` parameter is supported (K5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_uri_parameter_supported: Option<bool>,
    /// Whether authorization responses contain `iss` (K5, RFC 9207 section 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_response_iss_parameter_supported: Option<bool>,
}

impl ProviderMetadata {
    /// Creates metadata with only the documented members (K1).
    pub(crate) fn new(
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
