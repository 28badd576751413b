//! Contents of the key set (K6).

use serde::{Deserialize, Serialize};

/// JWK Set before validation. Each member is parsed separately, because an unknown key must not
/// make the other keys unusable (RFC 7517 section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct JwkSet {
    /// Keys. Each key should be an object that parses as a [`Jwk`].
    pub keys: Vec<serde_json::Value>,
}

/// Public key. This type has no fields for private members, so the parser drops private members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Jwk {
    /// Key type: `OKP` for Ed25519 (RFC 8037 section 2).
    pub kty: String,
    /// Curve: `Ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// Public key, in base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Intended use: `sig`.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub public_key_use: Option<String>,
    /// Permitted operations. The operations include `verify` (RFC 7517 section 4.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_ops: Option<Vec<String>>,
    /// Algorithm: `EdDSA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// Key id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}
