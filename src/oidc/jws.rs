//! Compact JWS: taking apart, and one signature (RFC 7515, RFC 8037). Says nothing about claims.

use std::{borrow::Cow, sync::LazyLock};

use base64::{
    DecodeSliceError, Engine as _,
    engine::{Simd, general_purpose::NO_PAD},
};
use ed25519_dalek::Signature;

use super::{
    algorithm::AlgorithmNames,
    claims::Claim,
    keys::KeySet,
    refusal::{TokenKind, TokenPart, TokenValidationError},
};
use crate::{
    strict_json::{self, Json, Object, names},
    wire::claims,
};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// As strict as `URL_SAFE_NO_PAD`, by the processor's vector instructions where it has them.
static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// Room for the 64 bytes of a signature, and for the two more that base64 may ask for in advance.
const MAX_SIGNATURE_BYTES: usize = 66;

/// What a `typ` may begin with, and mean the same without.
const MEDIA_TYPE: &str = "application/";

names! {
    /// The header parameters that are read.
    enum Param {
        Alg = params::ALG,
        Kid = params::KID,
        Typ = params::TYP,
        Enc = params::ENC,
        Crit = params::CRIT,
        B64 = params::B64,
        Zip = params::ZIP,
        Cty = params::CTY,
    }
}

mod params {
    pub(super) const ALG: &str = "alg";
    pub(super) const KID: &str = "kid";
    pub(super) const TYP: &str = "typ";
    pub(super) const ENC: &str = "enc";
    pub(super) const CRIT: &str = "crit";
    pub(super) const B64: &str = "b64";
    pub(super) const ZIP: &str = "zip";
    pub(super) const CTY: &str = "cty";
}

/// Header parameters that change what is signed or how it is read; no such extension is used here.
const EXTENSIONS: [Param; 4] = [Param::Crit, Param::B64, Param::Zip, Param::Cty];

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
    ) -> Result<Self, TokenValidationError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenValidationError::TooLong);
        }
        // Base64url has no dot, so that more than three parts fail below. Only then the parts are
        // counted.
        Self::parse_three_parts(token, kind, names).map_err(|refusal| {
            match token.bytes().filter(|byte| *byte == b'.').count() {
                2 => refusal,
                // RFC 7516 section 9 tells a JWE by its five parts.
                4 => TokenValidationError::Encrypted,
                _ => TokenValidationError::NotCompact,
            }
        })
    }

    fn parse_three_parts(
        token: &'a str,
        kind: TokenKind,
        names: AlgorithmNames,
    ) -> Result<Self, TokenValidationError> {
        let Some((signing_input, signature)) = token.rsplit_once('.') else {
            return Err(TokenValidationError::NotCompact);
        };
        let Some((header, payload)) = signing_input.split_once('.') else {
            return Err(TokenValidationError::NotCompact);
        };
        // One buffer for both parts: nothing of the header is needed once it is judged.
        let mut bytes = Vec::with_capacity(base64::decoded_len_estimate(signing_input.len()));
        decode(header, &mut bytes)?;
        let kid = {
            let bytes = strict_json::readable(&bytes);
            let header = strict_json::object(&bytes)
                .ok_or(TokenValidationError::NotJson(TokenPart::Header))?;
            judge_header(header, kind, names)?
        };
        bytes.clear();
        decode(payload, &mut bytes)?;
        Ok(Self {
            kid,
            payload: bytes,
            signing_input: signing_input.as_bytes(),
            signature: decode_signature(signature)?,
        })
    }

    /// Which key the token means.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The payload, which comes out no other way than through the signature.
    pub(super) fn signed_payload(
        self,
        keys: &KeySet,
    ) -> Result<SignedPayload, TokenValidationError> {
        let key = keys.find(self.kid())?;
        if key.verifies(self.signing_input, &self.signature) {
            Ok(SignedPayload(match strict_json::readable(&self.payload) {
                Cow::Owned(readable) => readable,
                Cow::Borrowed(_) => self.payload,
            }))
        } else {
            Err(TokenValidationError::Signature)
        }
    }
}

/// The bytes of a payload that somebody with a believed key has signed. What nobody signed is not
/// even read as JSON.
pub(super) struct SignedPayload(Vec<u8>);

impl SignedPayload {
    pub(super) fn object(&self) -> Result<Object<'_, Claim>, TokenValidationError> {
        strict_json::object(&self.0).ok_or(TokenValidationError::NotJson(TokenPart::Payload))
    }
}

fn decode(part: &str, to: &mut Vec<u8>) -> Result<(), TokenValidationError> {
    BASE64URL
        .decode_vec(part, to)
        .map_err(|_| TokenValidationError::NotCompact)
}

fn decode_signature(part: &str) -> Result<Signature, TokenValidationError> {
    let mut bytes = [0; MAX_SIGNATURE_BYTES];
    match BASE64URL.decode_slice(part, &mut bytes) {
        Ok(length) => {
            let bytes = bytes.get(..length).unwrap_or_default();
            Signature::from_slice(bytes).map_err(|_| TokenValidationError::Signature)
        }
        Err(DecodeSliceError::OutputSliceTooSmall) => match BASE64URL.decode(part) {
            Ok(_) => Err(TokenValidationError::Signature),
            Err(_) => Err(TokenValidationError::NotCompact),
        },
        Err(DecodeSliceError::DecodeError(_)) => Err(TokenValidationError::NotCompact),
    }
}

/// Judges everything the header says but the key's name, which is a name and nothing more: `jwk`,
/// `jku`, `x5c` and `x5u` are never looked at, for a token cannot vouch for its own key.
fn judge_header(
    mut header: Object<'_, Param>,
    kind: TokenKind,
    names: AlgorithmNames,
) -> Result<Option<String>, TokenValidationError> {
    if header.contains(Param::Enc) {
        return Err(TokenValidationError::Encrypted);
    }
    match header.get(Param::Alg) {
        Some(Json::Text(alg)) if names.admits(alg) => {}
        _ => return Err(TokenValidationError::Algorithm),
    }
    if EXTENSIONS.iter().any(|name| header.contains(*name)) {
        return Err(TokenValidationError::Extension);
    }
    let typ = match header.get(Param::Typ) {
        None => None,
        Some(Json::Text(typ)) => Some(&**typ),
        Some(_) => return Err(TokenValidationError::Type(kind)),
    };
    if !kind.bears(typ) {
        return Err(TokenValidationError::Type(kind));
    }
    match header.take(Param::Kid) {
        None => Ok(None),
        Some(Json::Text(kid)) => Ok(Some(kid.into_owned())),
        Some(_) => Err(TokenValidationError::UnknownKey),
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
