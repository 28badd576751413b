//! The token endpoint's answers (K20 to K23).

use std::fmt::{self, Debug};

use serde::{Deserialize, Deserializer, Serialize};

/// A successful answer of the token endpoint (K21, RFC 6749 section 5.1).
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// `Bearer`, in any case (RFC 6749 section 5.1).
    pub token_type: String,
    /// The ID token (OpenID Connect Core 1.0 section 3.1.3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// Lifetime of the access token in seconds. Only a whole number from zero up is believed;
    /// anything else reads as absent.
    #[serde(
        default,
        deserialize_with = "whole_seconds_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_in: Option<u64>,
    /// Not documented by KYCPort (K21); used if it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The granted scopes, space-separated; absent if they are the requested ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Shows which members are there, never what they are.
impl Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("id_token", &self.id_token.is_some())
            .field("expires_in", &self.expires_in)
            .field("refresh_token", &self.refresh_token.is_some())
            .finish_non_exhaustive()
    }
}

/// An error answer (K23, RFC 6749 section 5.2).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// The code, such as `invalid_grant`.
    pub error: String,
    /// A text for the developer, never for the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
}

/// Shows nothing of the text.
impl Debug for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorResponse").finish_non_exhaustive()
    }
}

fn whole_seconds_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(serde_json::Value::deserialize(from)?.as_u64())
}
