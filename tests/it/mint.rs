//! Token factory for valid and invalid tokens.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use kycport::{
    Secret, Timestamp,
    oidc::{
        AlgorithmNames, ClaimError, ExpectedAccessToken, ExpectedIdToken, KeySet, TokenKind,
        TokenValidationError, verify_access_token, verify_id_token,
    },
};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://www.kycport.com";
pub(crate) const CLIENT: &str = "client-1";
pub(crate) const NONCE: &str = "n-0S6_WzA2Mj";
pub(crate) const KID: &str = "key-1";
/// Time at which the tests validate tokens, in seconds since the Unix epoch.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const SKEW: i64 = 60;

pub(crate) type Verdict = Result<(), TokenValidationError>;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix(NOW)
}

/// Returns the key for this seed. Different seeds give the issuer's key and other keys.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn jwk(key: &SigningKey, kid: &str) -> Value {
    let x = b64(key.verifying_key().to_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x})
}

/// Returns the key set that contains only the issuer's key.
pub(crate) static KEYS: LazyLock<KeySet> = LazyLock::new(|| keys(&[jwk(&key(1), KID)]));

pub(crate) fn keys(members: &[Value]) -> KeySet {
    let json = json!({"keys": members}).to_string();
    KeySet::from_json(json.as_bytes(), AlgorithmNames::default()).unwrap()
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs these two texts as a compact JWS, without validating the texts.
pub(crate) fn sign(header: &str, payload: &str) -> String {
    sign_parts(&b64(header), &b64(payload))
}

/// Signs two parts that the caller has encoded, correctly or not.
pub(crate) fn sign_parts(header: &str, payload: &str) -> String {
    sign_input(&format!("{header}.{payload}"))
}

pub(crate) fn sign_input(input: &str) -> String {
    let signature = key(1).sign(input.as_bytes()).to_bytes();
    format!("{input}.{}", b64(signature))
}

/// Replaces the signature of `token` by `signature`.
pub(crate) fn with_signature(token: &str, signature: &[u8]) -> String {
    let (input, _) = token.rsplit_once('.').unwrap();
    format!("{input}.{}", b64(signature))
}

pub(crate) fn signature_of(token: &str) -> [u8; 64] {
    let (_, signature) = token.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes.try_into().unwrap()
}

/// Kind of token, with the contents of a valid token of that kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mint(pub(crate) TokenKind);

pub(crate) const ID: Mint = Mint(TokenKind::IdToken);
pub(crate) const ACCESS: Mint = Mint(TokenKind::AccessToken);

impl Mint {
    pub(crate) fn header(self) -> Value {
        let typ = match self.0 {
            TokenKind::IdToken => "JWT",
            TokenKind::AccessToken => "at+jwt",
        };
        json!({"alg": "EdDSA", "kid": KID, "typ": typ})
    }

    pub(crate) fn claims(self) -> Value {
        match self.0 {
            TokenKind::IdToken => json!({
                "iss": ISSUER, "aud": CLIENT, "sub": "person-1", "nonce": NONCE,
                "iat": NOW, "exp": NOW + 300,
            }),
            TokenKind::AccessToken => json!({
                "iss": ISSUER, "aud": CLIENT, "sub": "person-1", "client_id": CLIENT,
                "jti": "j-1", "scope": "openid kyc", "iat": NOW, "exp": NOW + 300,
            }),
        }
    }

    pub(crate) fn good(self) -> String {
        self.with_header(|_| {})
    }

    pub(crate) fn with_header(self, change: impl FnOnce(&mut Value)) -> String {
        let mut header = self.header();
        change(&mut header);
        sign(&header.to_string(), &self.claims().to_string())
    }

    pub(crate) fn with_claims(self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        sign(&self.header().to_string(), &claims.to_string())
    }

    /// Returns a valid token with this header parameter set to `value`.
    pub(crate) fn header_set(self, name: &str, value: impl Into<Value>) -> String {
        self.with_header(|header| header[name] = value.into())
    }

    pub(crate) fn header_without(self, name: &str) -> String {
        self.with_header(|header| drop(header.as_object_mut().unwrap().remove(name)))
    }

    /// Returns a valid token with this claim set to `value`.
    pub(crate) fn set(self, name: &str, value: impl Into<Value>) -> String {
        self.with_claims(|claims| claims[name] = value.into())
    }

    pub(crate) fn without(self, name: &str) -> String {
        self.with_claims(|claims| drop(claims.as_object_mut().unwrap().remove(name)))
    }

    /// Returns a token with this header text.
    pub(crate) fn raw_header(self, header: &str) -> String {
        sign(header, &self.claims().to_string())
    }

    /// Returns a token with this payload text.
    pub(crate) fn raw_payload(self, payload: &str) -> String {
        sign(&self.header().to_string(), payload)
    }

    pub(crate) fn verify(self, token: &str) -> Verdict {
        self.verify_at(token, now())
    }

    pub(crate) fn verify_at(self, token: &str, now: Timestamp) -> Verdict {
        self.verify_with(token, &KEYS, AlgorithmNames::default(), now)
    }

    pub(crate) fn verify_with(
        self,
        token: &str,
        keys: &KeySet,
        names: AlgorithmNames,
        now: Timestamp,
    ) -> Verdict {
        match self.0 {
            TokenKind::IdToken => {
                let mut expected = id_expectation();
                expected.algorithm_names = names;
                verify_id_token(token, keys, &expected, now).map(drop)
            }
            TokenKind::AccessToken => {
                let mut expected = access_expectation();
                expected.algorithm_names = names;
                verify_access_token(token, keys, &expected, now).map(drop)
            }
        }
    }

    /// Returns a valid token of exactly `length` bytes.
    pub(crate) fn of_length(self, length: usize) -> String {
        // Unpadded base64 has no length of the form 4n + 1, so this function also pads the header.
        (0..3)
            .filter_map(|extra| {
                let header = format!("{}{}", self.header(), " ".repeat(extra));
                let taken = b64(&header).len() + b64([0; 64]).len() + 2;
                let payload = length.checked_sub(taken)? / 4 * 3;
                Some((payload..payload + 3).map(move |size| (header.clone(), size)))
            })
            .flatten()
            .find_map(|(header, size)| {
                let claims = self.claims().to_string();
                let token = sign(&header, &format!("{claims:size$}"));
                (token.len() == length).then_some(token)
            })
            .expect("no token has this length")
    }
}

pub(crate) fn id_expectation() -> ExpectedIdToken {
    ExpectedIdToken::new(ISSUER, CLIENT, Secret::new(NONCE))
}

pub(crate) fn access_expectation() -> ExpectedAccessToken {
    ExpectedAccessToken::new(ISSUER, CLIENT)
}

/// Returns the error for a rejected claim.
pub(crate) fn claim(name: &'static str, problem: ClaimError) -> Verdict {
    Err(TokenValidationError::Claim { name, problem })
}
