//! Compact JWS: taking apart, and one signature (RFC 7515, RFC 8037). Says nothing about claims.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signature;
use serde_json::Value;

use super::{
    algorithm::AlgorithmNames,
    keys::KeySet,
    refusal::{TokenKind, TokenPart, TokenRefusal},
};
use crate::{
    strict_json::{self, Object},
    wire::claims,
};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a `typ` may begin with, and mean the same without.
const MEDIA_TYPE: &str = "application/";

/// Header parameters that change what is signed or how it is read; no such extension is used here.
const EXTENSIONS: [&str; 4] = ["crit", "b64", "zip", "cty"];

/// A token taken apart, its header judged and nothing else: what it says is not yet known to be
/// true.
pub(super) struct Unverified<'a> {
    kid: Option<String>,
    payload: Vec<u8>,
    signing_input: &'a [u8],
    signature: Signature,
}

impl<'a> Unverified<'a> {
    pub(super) fn parse(
        token: &'a str,
        kind: TokenKind,
        names: AlgorithmNames,
    ) -> Result<Self, TokenRefusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefusal::TooLong);
        }
        let Some((signing_input, signature)) = token.rsplit_once('.') else {
            return Err(TokenRefusal::NotCompact);
        };
        let Some((header, payload)) = signing_input.split_once('.') else {
            return Err(TokenRefusal::NotCompact);
        };
        match payload.matches('.').count() {
            0 => {}
            // RFC 7516 section 9 tells a JWE by its five parts.
            2 => return Err(TokenRefusal::Encrypted),
            _ => return Err(TokenRefusal::NotCompact),
        }
        let header = decode(header)?;
        let header =
            strict_json::object(&header).ok_or(TokenRefusal::NotJson(TokenPart::Header))?;
        let kid = judge_header(header, kind, names)?;
        let signature = decode(signature)?;
        Ok(Self {
            kid,
            payload: decode(payload)?,
            signing_input: signing_input.as_bytes(),
            signature: Signature::from_slice(&signature).map_err(|_| TokenRefusal::Signature)?,
        })
    }

    /// Which key the token means.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The payload, which comes out no other way than through the signature.
    pub(super) fn signed_payload(self, keys: &KeySet) -> Result<SignedPayload, TokenRefusal> {
        let key = keys.find(self.kid())?;
        if key.verifies(self.signing_input, &self.signature) {
            Ok(SignedPayload(self.payload))
        } else {
            Err(TokenRefusal::Signature)
        }
    }
}

/// The bytes of a payload that somebody with a believed key has signed. What nobody signed is not
/// even read as JSON.
pub(super) struct SignedPayload(Vec<u8>);

impl SignedPayload {
    pub(super) fn object(&self) -> Result<Object<'_>, TokenRefusal> {
        strict_json::object(&self.0).ok_or(TokenRefusal::NotJson(TokenPart::Payload))
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenRefusal> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenRefusal::NotCompact)
}

/// Judges everything the header says but the key's name, which is a name and nothing more: `jwk`,
/// `jku`, `x5c` and `x5u` are never looked at, for a token cannot vouch for its own key.
fn judge_header(
    mut header: Object<'_>,
    kind: TokenKind,
    names: AlgorithmNames,
) -> Result<Option<String>, TokenRefusal> {
    if header.contains("enc") {
        return Err(TokenRefusal::Encrypted);
    }
    match header.get("alg") {
        Some(Value::String(alg)) if names.admits(alg) => {}
        _ => return Err(TokenRefusal::Algorithm),
    }
    if EXTENSIONS.iter().any(|name| header.contains(name)) {
        return Err(TokenRefusal::Extension);
    }
    let typ = match header.get("typ") {
        None => None,
        Some(Value::String(typ)) => Some(typ.as_str()),
        Some(_) => return Err(TokenRefusal::Type(kind)),
    };
    if !kind.bears(typ) {
        return Err(TokenRefusal::Type(kind));
    }
    match header.take("kid") {
        None => Ok(None),
        Some(Value::String(kid)) => Ok(Some(kid)),
        Some(_) => Err(TokenRefusal::UnknownKey),
    }
}

impl TokenKind {
    /// Media types compare without case, and `application/` may be left out
    /// (RFC 7515 section 4.1.9).
    fn bears(self, typ: Option<&str>) -> bool {
        let Some(typ) = typ else {
            // RFC 9068 section 2.1 demands the type; an ID token may go without.
            return self == Self::IdToken;
        };
        let short = match typ.split_at_checked(MEDIA_TYPE.len()) {
            Some((prefix, short)) if prefix.eq_ignore_ascii_case(MEDIA_TYPE) => short,
            _ => typ,
        };
        short.eq_ignore_ascii_case(match self {
            Self::IdToken => "jwt",
            Self::AccessToken => claims::TYP_ACCESS_TOKEN,
        })
    }
}
