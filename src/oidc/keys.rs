//! KYCPort's public keys: selection of usable keys, and lookup of a token's key.

use std::{collections::HashMap, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use serde_json::Value;

use super::{algorithm::AlgorithmNames, validation_error::TokenValidationError};
use crate::{
    observe, strict_json,
    wire::jwks::{Jwk, JwkSet},
};

/// Maximum number of keys in a key set.
pub const MAX_KEYS: usize = 100;

/// Usable keys of a JWK Set.
///
/// A usable key is an Ed25519 key for signatures (RFC 8037 section 2). The key has 32 bytes in
/// canonical form, and is not of small order. The parser ignores other keys, as RFC 7517 section 5
/// requires. The parser drops private members of a key without reading them.
#[derive(Debug, Clone)]
pub struct KeySet {
    by_kid: HashMap<String, Entry>,
    without_kid: Vec<VerifyKey>,
}

#[derive(Debug, Clone)]
enum Entry {
    One(VerifyKey),
    /// Two keys have this ID, so the client does not use these keys.
    Several,
}

/// Error from the parser of key sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The document is not a JSON object with an array `keys`.
    #[error("the document is not a JWK Set")]
    NotAJwkSet,
    /// The set has more than [`MAX_KEYS`] keys.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// The set has no usable key.
    #[error("the key set has no usable Ed25519 key")]
    NoUsableKey,
}

impl KeySet {
    /// Parses a JWK Set.
    ///
    /// # Errors
    /// Returns [`KeySetError`] if the document is not a JWK Set, is too large, or has no usable
    /// key.
    pub fn from_json(json: &[u8], names: AlgorithmNames) -> Result<Self, KeySetError> {
        let keys = Self::from_json_allow_empty(json, names)?;
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(keys)
    }

    /// Parses a JWK Set. Also accepts a set without usable keys: then KYCPort has withdrawn all
    /// keys.
    pub(super) fn from_json_allow_empty(
        json: &[u8],
        names: AlgorithmNames,
    ) -> Result<Self, KeySetError> {
        let set: JwkSet = strict_json::document(json).ok_or(KeySetError::NotAJwkSet)?;
        if set.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut keys = Self {
            by_kid: HashMap::new(),
            without_kid: Vec::new(),
        };
        for member in set.keys {
            keys.add(member, names);
        }
        Ok(keys)
    }

    /// Returns the number of usable keys.
    pub fn len(&self) -> usize {
        self.all().count()
    }

    /// Returns whether the set has no usable key.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Returns whether the set has a key with this id, usable or ambiguous.
    pub(super) fn contains_kid(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// Returns the key of a token with this `kid` (OpenID Connect Core 1.0 section 10.1).
    pub(super) fn find(&self, kid: Option<&str>) -> Result<&VerifyKey, TokenValidationError> {
        let Some(kid) = kid else {
            let mut all = self.all();
            return match (all.next(), all.next()) {
                (Some(only), None) if !self.has_ambiguous() => Ok(only),
                _ => Err(TokenValidationError::AmbiguousKey),
            };
        };
        match self.by_kid.get(kid) {
            Some(Entry::One(key)) => Ok(key),
            Some(Entry::Several) => Err(TokenValidationError::AmbiguousKey),
            None => Err(TokenValidationError::UnknownKey),
        }
    }

    fn add(&mut self, member: Value, names: AlgorithmNames) {
        let kid = member.get("kid").and_then(Value::as_str).map(str::to_owned);
        let key = serde_json::from_value::<Jwk>(member)
            .ok()
            .filter(|jwk| is_usable(jwk, names))
            .and_then(|jwk| VerifyKey::decode(jwk.x.as_deref()?));
        let Some(key) = key else {
            observe::key_ignored();
            return;
        };
        match kid {
            None => self.without_kid.push(key),
            Some(kid) => {
                self.by_kid
                    .entry(kid)
                    .and_modify(|entry| *entry = Entry::Several)
                    .or_insert(Entry::One(key));
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &VerifyKey> {
        let named = self.by_kid.values().filter_map(|entry| match entry {
            Entry::One(key) => Some(key),
            Entry::Several => None,
        });
        named.chain(&self.without_kid)
    }

    fn has_ambiguous(&self) -> bool {
        self.by_kid
            .values()
            .any(|entry| matches!(entry, Entry::Several))
    }
}

fn is_usable(jwk: &Jwk, names: AlgorithmNames) -> bool {
    jwk.kty == "OKP"
        && jwk.crv.as_deref() == Some("Ed25519")
        && jwk.public_key_use.as_deref().is_none_or(|it| it == "sig")
        && jwk.alg.as_deref().is_none_or(|alg| names.admits(alg))
        && jwk
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"))
}

/// Ed25519 public key. The key is canonical and not of small order.
#[derive(Clone)]
pub(super) struct VerifyKey(VerifyingKey);

impl VerifyKey {
    pub(super) fn decode(x: &str) -> Option<Self> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(x).ok()?.try_into().ok()?;
        let key = VerifyingKey::from_bytes(&bytes).ok()?;
        // Reject a non-canonical encoding of a point.
        let canonical = key.to_edwards().compress().to_bytes() == bytes;
        (canonical && !key.is_weak()).then_some(Self(key))
    }

    /// Verifies a signature as strictly as `verify_strict`.
    ///
    /// `verify_strict` decompresses R only to compare R with the eight points of small order. Only
    /// an R in canonical form solves the equation, and the parser has already checked the order of
    /// the key. It is therefore equivalent to compare the bytes of R with the canonical encodings
    /// of these eight points.
    pub(super) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        !SMALL_ORDER_POINTS.contains(signature.r_bytes())
            && self.0.verify(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyKey(Ed25519)")
    }
}

/// Canonical encodings of the points whose order divides the cofactor 8. An encoding is y in
/// little-endian, with the sign of x in the last bit (RFC 8032 section 5.1.2).
const SMALL_ORDER_POINTS: [[u8; 32]; 8] = [
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x80,
    ],
    [
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x85,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0xfa,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];

#[cfg(test)]
mod tests;
