//! The issuer's key pairs and its key set (K6, K22).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::mac::sign;

use crate::{
    mock::random,
    wire::{claims, jwks::Jwk},
};

/// An Ed25519 key pair with its `kid`.
#[derive(Clone)]
pub(in crate::mock) struct Key {
    pub(in crate::mock) kid: String,
    pub(in crate::mock) public: [u8; 32],
    private: EncodingKey,
}

impl Key {
    /// Generates a key pair from the system's random source.
    pub(in crate::mock) fn generate() -> Self {
        let seed = random::bytes::<32>();
        let mut der = PKCS8_ED25519.to_vec();
        der.extend_from_slice(&seed);
        Self {
            kid: random::name("key_"),
            public: SigningKey::from_bytes(&seed).verifying_key().to_bytes(),
            private: EncodingKey::from_ed_der(&der),
        }
    }

    /// Signs `message` and returns the signature in base64url.
    pub(in crate::mock) fn sign(&self, message: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(sign(Algorithm::EdDSA, &self.private, message))
    }

    pub(super) fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(URL_SAFE_NO_PAD.encode(self.public)),
            public_key_use: Some("sig".to_owned()),
            key_ops: None,
            alg: Some(claims::ALG_EDDSA.to_owned()),
            kid: Some(self.kid.clone()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyState {
    Next,
    Active,
    Old,
    Retired,
}

/// All keys of an issuer. The key ring keeps retired keys, because tests also sign with retired
/// keys.
#[derive(Clone)]
pub(in crate::mock) struct KeyRing(Vec<(KeyState, Key)>);

impl KeyRing {
    pub(in crate::mock) fn active(&self) -> Key {
        let active = self.0.iter().find(|(state, _)| *state == KeyState::Active);
        active.map_or_else(Key::generate, |(_, key)| key.clone())
    }

    pub(in crate::mock) fn find(&self, kid: &str) -> Option<Key> {
        let found = self.0.iter().find(|(_, key)| key.kid == kid);
        found.map(|(_, key)| key.clone())
    }

    /// Returns the document that `jwks_uri` serves.
    pub(in crate::mock) fn document(&self) -> Value {
        json!({ "keys": self.published().map(Key::jwk).collect::<Vec<_>>() })
    }

    pub(in crate::mock) fn published(&self) -> impl Iterator<Item = &Key> {
        self.0
            .iter()
            .filter(|(state, _)| *state != KeyState::Retired)
            .map(|(_, key)| key)
    }

    pub(in crate::mock) fn publish_next(&mut self) -> String {
        let key = Key::generate();
        let kid = key.kid.clone();
        self.0.push((KeyState::Next, key));
        kid
    }

    pub(in crate::mock) fn promote(&mut self) -> String {
        if !self.0.iter().any(|(state, _)| *state == KeyState::Next) {
            self.publish_next();
        }
        let mut kid = String::new();
        for (state, key) in &mut self.0 {
            match *state {
                KeyState::Active => *state = KeyState::Old,
                KeyState::Next if kid.is_empty() => {
                    *state = KeyState::Active;
                    kid.clone_from(&key.kid);
                }
                _ => {}
            }
        }
        kid
    }

    pub(in crate::mock) fn retire_old(&mut self) {
        for (state, _) in &mut self.0 {
            if *state == KeyState::Old {
                *state = KeyState::Retired;
            }
        }
        let retired = self
            .0
            .iter()
            .filter(|(state, _)| *state == KeyState::Retired);
        let mut over = retired.count().saturating_sub(MAX_RETIRED_KEYS);
        self.0.retain(|(state, _)| {
            let is_over = over > 0 && *state == KeyState::Retired;
            over = over.saturating_sub(usize::from(is_over));
            !is_over
        });
    }
}

/// Maximum number of retired keys. A test retires fewer keys than the limit. The limit bounds the
/// memory of an issuer that runs for days.
const MAX_RETIRED_KEYS: usize = 64;

impl Default for KeyRing {
    fn default() -> Self {
        Self(vec![(KeyState::Active, Key::generate())])
    }
}

/// Bytes before the 32-byte seed in an unencrypted PKCS #8 Ed25519 key (RFC 8410 section 7).
const PKCS8_ED25519: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
