//! Responses of the token endpoint (K20 to K23).

use std::fmt::{self, Debug};

use serde::{Deserialize, Deserializer, Serialize};

/// Successful token response (K21, RFC 6749 section 5.1).
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TokenResponse {
    /// Access token.
    pub access_token: String,
    /// Token type: `Bearer`, case-insensitive (RFC 6749 section 5.1).
    pub token_type: String,
    /// ID token (OpenID Connect Core 1.0 section 3.1.3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// Lifetime of the access token in seconds. Any value other than a non-negative integer becomes
    /// `None`.
    #[serde(
        default,
        deserialize_with = "whole_seconds_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_in: Option<u64>,
    /// Refresh token. KYCPort does not document a refresh token (K21). The SDK uses the refresh
    /// token if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Granted scopes, separated by spaces. The member may be absent if the granted scopes equal
    /// the requested scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// `Debug` shows which members are present, and hides their values.
impl Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("id_token", &self.id_token.is_some())
            .field("expires_in", &self.expires_in)
            .field("refresh_token", &self.refresh_token.is_some())
            .finish_non_exhaustive()
    }
}

fn whole_seconds_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(serde_json::Value::deserialize(from)?.as_u64())
}
