//! Drafts of tokens, and the code that signs them (K22). This module does not use the code of the
//! SDK.

pub(super) mod key_ring;
pub(super) mod mac;
pub(super) mod tamper;

use std::fmt::{self, Debug};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::{mock::random, wire::claims};
use key_ring::{Key, KeyRing};
use mac::hmac_sha256;

/// Draft of a token. A test can change the draft before the mock signs the token and sends it.
#[derive(Clone)]
#[non_exhaustive]
pub struct TokenDraft {
    /// The JOSE header of the token. The mock has already set `alg`, `typ` and `kid`.
    pub header: Map<String, Value>,
    /// The claims of the token.
    pub claims: Map<String, Value>,
    /// Bytes that the mock sends instead of [`header`](Self::header). The bytes can be invalid
    /// JSON.
    pub raw_header: Option<Vec<u8>>,
    /// Bytes that the mock sends instead of [`claims`](Self::claims). The bytes can be invalid
    /// JSON.
    pub raw_payload: Option<Vec<u8>>,
    /// The key and the algorithm that sign the token.
    pub signing: Signing,
    /// Function that changes the signed token, for example to add parts, padding or white space.
    pub reshape: Option<fn(String) -> String>,
}

impl TokenDraft {
    pub(super) fn new(typ: &str, key: &Key, claims: Map<String, Value>) -> Self {
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!(claims::ALG_EDDSA));
        header.insert("typ".to_owned(), json!(typ));
        header.insert("kid".to_owned(), json!(key.kid));
        Self {
            header,
            claims,
            raw_header: None,
            raw_payload: None,
            signing: Signing::Active,
            reshape: None,
        }
    }

    /// Signs the token and joins its parts (RFC 7515 section 3.1).
    pub(super) fn finish(self, keys: &KeyRing) -> String {
        let signing = match self.signing {
            Signing::Raw(text) => return text,
            other => other,
        };
        let active = keys.active();
        let foreign = matches!(signing, Signing::Foreign { .. }).then(Key::generate);
        let mut header = self.header;
        if let (Signing::Foreign { embed: true }, Some(key)) = (&signing, &foreign) {
            header.insert("jwk".to_owned(), json!(key.jwk()));
        }
        let header = self
            .raw_header
            .unwrap_or_else(|| Value::Object(header).to_string().into_bytes());
        let payload = self
            .raw_payload
            .unwrap_or_else(|| Value::Object(self.claims).to_string().into_bytes());
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let bytes = message.as_bytes();
        let signature = match signing {
            Signing::Active | Signing::Raw(_) => active.sign(bytes),
            Signing::Key(kid) => keys.find(&kid).unwrap_or(active).sign(bytes),
            Signing::Foreign { .. } => foreign.unwrap_or(active).sign(bytes),
            Signing::None => String::new(),
            Signing::Hs256WithPublicKey => {
                URL_SAFE_NO_PAD.encode(hmac_sha256(&active.public, bytes))
            }
            Signing::Corrupt => corrupt(&active.sign(bytes)),
        };
        let token = format!("{message}.{signature}");
        match self.reshape {
            Some(reshape) => reshape(token),
            None => token,
        }
    }
}

impl Debug for TokenDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDraft")
            .field("header", &self.header)
            .field("claims", &self.claims.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Key and algorithm that sign a token. A `Signing` value does not change `alg` and `kid` in the
/// header.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signing {
    /// The active key of the issuer.
    Active,
    /// The published or retired key with this `kid`. If no key has this `kid`, the active key
    /// signs.
    Key(String),
    /// A new key that the issuer does not publish.
    Foreign {
        /// Whether the header's `jwk` contains the public key (case 60).
        embed: bool,
    },
    /// No key. The signature is empty (case 57).
    None,
    /// HMAC-SHA256 with the bytes of the public key as the secret (case 22).
    Hs256WithPublicKey,
    /// The active key. The mock then flips one bit of the signature.
    Corrupt,
    /// No key. The mock sends this text as the token.
    Raw(String),
}

impl Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "Active",
            Self::Key(_) => "Key",
            Self::Foreign { .. } => "Foreign",
            Self::None => "None",
            Self::Hs256WithPublicKey => "Hs256WithPublicKey",
            Self::Corrupt => "Corrupt",
            Self::Raw(_) => "Raw",
        })
    }
}

/// Generates a random `jti`.
pub(super) fn jti() -> String {
    random::name("at_")
}

fn corrupt(signature: &str) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    if let Some(first) = bytes.first_mut() {
        *first ^= 1;
    }
    URL_SAFE_NO_PAD.encode(bytes)
}
