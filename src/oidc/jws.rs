//! Parser and signature check for compact JWS (RFC 7515, RFC 8037). This module does not validate
//! claims.

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
    validation_error::{TokenKind, TokenPart, TokenValidationError},
};
use crate::{
    strict_json::{self, Json, Object, names},
    wire::claims,
};

/// Maximum length of a token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Base64url decoder. The decoder is as strict as `URL_SAFE_NO_PAD`, and uses vector instructions
/// if available.
static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// Buffer size for the 64 bytes of a signature. The decoder may require two bytes more.
const MAX_SIGNATURE_BYTES: usize = 66;

/// Optional prefix of `typ`.
const MEDIA_TYPE_PREFIX: &str = "application/";

names! {
    /// Header parameters that the parser reads.
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

/// Header parameters of extensions, which change the signed content or its meaning. The parser
/// rejects these extensions.
const EXTENSIONS: [Param; 4] = [Param::Crit, Param::B64, Param::Zip, Param::Cty];

/// Parsed token with a validated header. The payload is untrusted until the signature is verified.
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
        // A token with more than three parts fails below, because base64url contains no dot. The
        // parser counts the parts of a token only after a failure.
        Self::parse_three_parts(token, kind, names).map_err(|error| {
            match token.bytes().filter(|byte| *byte == b'.').count() {
                2 => error,
                // A JWE has five parts (RFC 7516 section 9).
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
        // Both parts use one buffer, because the header is not needed after its validation.
        let mut bytes = Vec::with_capacity(base64::decoded_len_estimate(signing_input.len()));
        decode(header, &mut bytes)?;
        let kid = {
            let bytes = strict_json::readable(&bytes);
            let header = strict_json::object(&bytes)
                .ok_or(TokenValidationError::NotJson(TokenPart::Header))?;
            validate_header(header, kind, names)?
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

    /// Returns the id of the key that the token names.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Verifies the signature and returns the payload. No other function returns the payload.
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

/// Payload with a verified signature. The parser never parses an unverified payload as JSON.
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

/// Validates the header and returns the key id. Ignores `jwk`, `jku`, `x5c` and `x5u`, because a
/// token must not choose its own key.
fn validate_header(
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
    if !kind.accepts_typ(typ) {
        return Err(TokenValidationError::Type(kind));
    }
    match header.take(Param::Kid) {
        None => Ok(None),
        Some(Json::Text(kid)) => Ok(Some(kid.into_owned())),
        Some(_) => Err(TokenValidationError::UnknownKey),
    }
}

impl TokenKind {
    /// Returns whether a token of this kind may have this `typ`. The comparison ignores case, and
    /// the prefix `application/` is optional (RFC 7515 section 4.1.9).
    fn accepts_typ(self, typ: Option<&str>) -> bool {
        let Some(typ) = typ else {
            // RFC 9068 section 2.1 requires `typ`; an ID token may omit it.
            return self == Self::IdToken;
        };
        let short = match typ.split_at_checked(MEDIA_TYPE_PREFIX.len()) {
            Some((prefix, short)) if prefix.eq_ignore_ascii_case(MEDIA_TYPE_PREFIX) => short,
            _ => typ,
        };
        short.eq_ignore_ascii_case(match self {
            Self::IdToken => "jwt",
            Self::AccessToken => claims::TYP_ACCESS_TOKEN,
        })
    }
}
