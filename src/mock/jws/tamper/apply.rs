//! Changes a token draft as each `Tamper` variant requires.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{
    super::{Signing, TokenDraft},
    Tamper, shape,
};
use crate::wire::{claims, kyc::KycTier};

impl Tamper {
    pub(in crate::mock) fn apply(self, draft: &mut TokenDraft) {
        if !(self.header(draft) || self.identity(draft) || self.times(draft) || self.person(draft))
        {
            self.form(draft);
        }
    }

    /// Changes the header and the signature.
    fn header(self, draft: &mut TokenDraft) -> bool {
        let header = &mut draft.header;
        let foreign = Signing::Foreign { embed: false };
        match self {
            Self::AlgNone => unsigned(draft, json!("none")),
            Self::AlgNoneMixedCase => unsigned(draft, json!("NoNe")),
            Self::AlgNull => unsigned(draft, Value::Null),
            Self::AlgAbsent => unset(header, "alg"),
            Self::Hs256WithPublicKey => {
                set(header, "alg", json!("HS256"));
                draft.signing = Signing::Hs256WithPublicKey;
            }
            Self::AlgRs256 => set(header, "alg", json!("RS256")),
            Self::AlgEs256 => set(header, "alg", json!("ES256")),
            Self::AlgEd25519Name => set(header, "alg", json!("Ed25519")),
            Self::BadSignature => draft.signing = Signing::Corrupt,
            Self::EmptySignature => draft.signing = Signing::None,
            Self::ForeignKey => draft.signing = foreign,
            Self::ForeignKeyEmbeddedJwk => draft.signing = Signing::Foreign { embed: true },
            Self::ForeignKeyJku => {
                set(header, "jku", json!("https://evil.test/jwks"));
                draft.signing = foreign;
            }
            Self::ForeignKeyX5u => {
                set(header, "x5u", json!("https://evil.test/chain.pem"));
                draft.signing = foreign;
            }
            Self::UnknownKid => set(header, "kid", json!("key_nobody_published")),
            Self::NoKid => unset(header, "kid"),
            Self::KidPath => set(header, "kid", json!("../../../../dev/null")),
            Self::KidSql => set(header, "kid", json!("' UNION SELECT 'secret' --")),
            Self::KidLong => set(header, "kid", json!("k".repeat(12 * 1024))),
            Self::KidNumber => set(header, "kid", json!(1)),
            Self::CritHeader => {
                set(header, "crit", json!(["https://example.test/policy"]));
                set(header, "https://example.test/policy", json!(true));
            }
            Self::CritEmpty => set(header, "crit", json!([])),
            Self::B64False => {
                set(header, "b64", json!(false));
                set(header, "crit", json!(["b64"]));
            }
            Self::TypAtJwt => set(header, "typ", json!("at+jwt")),
            Self::TypApplicationAtJwt => set(header, "typ", json!("application/at+jwt")),
            Self::TypJwt => set(header, "typ", json!("JWT")),
            Self::TypLogout => set(header, "typ", json!("logout+jwt")),
            Self::TypAbsent => unset(header, "typ"),
            Self::NestedCty => set(header, "cty", json!("JWT")),
            Self::Zip => set(header, "zip", json!("DEF")),
            _ => return false,
        }
        true
    }

    /// Changes `iss`, `aud`, `azp` and `client_id`.
    fn identity(self, draft: &mut TokenDraft) -> bool {
        let claims = &mut draft.claims;
        let issuer = text(claims, claims::ISS);
        let audience = text(claims, claims::AUD);
        let foreign = json!("client_of_somebody_else");
        let (name, value) = match self {
            Self::WrongIssuer => (claims::ISS, json!("https://evil.test")),
            Self::IssuerSlash => (claims::ISS, json!(format!("{issuer}/"))),
            Self::IssuerCase => (claims::ISS, json!(issuer.to_uppercase())),
            Self::IssuerPrefix => (claims::ISS, json!(format!("{issuer}.evil.test"))),
            Self::IssuerArray => (claims::ISS, json!([issuer, "https://evil.test"])),
            Self::IssuerNumber => (claims::ISS, json!(1)),
            Self::MissingIssuer => (claims::ISS, Value::Null),
            Self::WrongAudience => (claims::AUD, foreign),
            Self::ExtraAudience => (claims::AUD, json!([audience, foreign])),
            Self::AudienceArrayOfOne => (claims::AUD, json!([audience])),
            Self::AudienceEmptyArray => (claims::AUD, json!([])),
            Self::AudienceNumber => (claims::AUD, json!(1)),
            Self::AudiencePrefix => (claims::AUD, json!(format!("{audience}_more"))),
            Self::MissingAudience => (claims::AUD, Value::Null),
            Self::ForeignAzp => (claims::AZP, foreign),
            Self::MissingClientId => (claims::CLIENT_ID, Value::Null),
            Self::ForeignClientId => (claims::CLIENT_ID, foreign),
            _ => return false,
        };
        put(claims, name, value);
        true
    }

    /// Changes the times. The `iat` of the draft is the current time.
    fn times(self, draft: &mut TokenDraft) -> bool {
        let claims = &mut draft.claims;
        let now = claims
            .get(claims::IAT)
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let at = |seconds: i64| json!(now.saturating_add(seconds));
        let (name, value) = match self {
            Self::Expired => {
                put(claims, claims::IAT, at(-HOUR - 300));
                (claims::EXP, at(-HOUR))
            }
            Self::MissingExp => (claims::EXP, Value::Null),
            Self::ExpString => (claims::EXP, json!(at(300).to_string())),
            Self::ExpNegative => (claims::EXP, json!(-1)),
            Self::ExpFloat => (claims::EXP, json!(1e300)),
            Self::ExpHuge => (claims::EXP, json!(u64::MAX)),
            Self::ExpFarFuture => (claims::EXP, at(10 * YEAR)),
            Self::FutureNbf => (claims::NBF, at(HOUR)),
            Self::NbfString => (claims::NBF, json!(at(0).to_string())),
            Self::MissingIat => (claims::IAT, Value::Null),
            Self::FutureIat => {
                put(claims, claims::EXP, at(HOUR + 300));
                (claims::IAT, at(HOUR))
            }
            Self::AncientIat => (claims::IAT, at(-YEAR)),
            Self::IatString => (claims::IAT, json!(at(0).to_string())),
            Self::StaleAuthTime => (claims::AUTH_TIME, at(-WEEK)),
            Self::MissingAuthTime => (claims::AUTH_TIME, Value::Null),
            _ => return false,
        };
        put(claims, name, value);
        true
    }

    /// Changes the claims about the person, and the claims that bind the token to the login.
    fn person(self, draft: &mut TokenDraft) -> bool {
        let claims = &mut draft.claims;
        let tier: KycTier = text(claims, claims::KYC_TIER)
            .parse()
            .unwrap_or(KycTier::T0);
        let (name, value) = match self {
            Self::WrongNonce => (claims::NONCE, json!("nonce-of-another-login")),
            Self::MissingNonce => (claims::NONCE, Value::Null),
            Self::NumberNonce => (claims::NONCE, json!(1)),
            Self::MissingSub => (claims::SUB, Value::Null),
            Self::EmptySub => (claims::SUB, json!("")),
            Self::NumberSub => (claims::SUB, json!(1)),
            Self::LongSub => (claims::SUB, json!("s".repeat(256))),
            Self::WrongAtHash => (claims::AT_HASH, json!(URL_SAFE_NO_PAD.encode([7; 32]))),
            Self::MissingAtHash => (claims::AT_HASH, Value::Null),
            Self::WeakAcr => (claims::ACR, json!("t0")),
            Self::MissingAcr => (claims::ACR, Value::Null),
            Self::UnknownStatus => (claims::KYC_STATUS, json!("under_the_sea")),
            Self::UnknownTier => (claims::KYC_TIER, json!("t9")),
            Self::NumericTier => {
                let number = tier.as_str().get(1..).and_then(|n| n.parse().ok());
                (claims::KYC_TIER, json!(number.unwrap_or(0_u8)))
            }
            Self::UpperCaseTier => (claims::KYC_TIER, json!(tier.as_str().to_uppercase())),
            Self::MissingKyc => {
                unset(claims, claims::KYC_STATUS);
                unset(claims, claims::AML_CLEAR);
                (claims::KYC_TIER, Value::Null)
            }
            Self::UnknownClaim => ("favourite_colour", json!(["green", { "dark": true }])),
            Self::MissingJti => (claims::JTI, Value::Null),
            Self::ScopeArray => (claims::SCOPE, json!(["openid", "kyc"])),
            Self::Large => ("padding", json!("p".repeat(20 * 1024))),
            Self::Huge => ("padding", json!("p".repeat(10_000_000))),
            _ => return false,
        };
        put(claims, name, value);
        true
    }

    /// Changes the bytes and the structure of the token.
    fn form(self, draft: &mut TokenDraft) {
        let payload = || Value::Object(draft.claims.clone()).to_string();
        let with = |first: &str| payload().replacen('{', &format!("{{{first},"), 1);
        match self {
            Self::NullStatus => {
                draft
                    .claims
                    .insert(claims::KYC_STATUS.to_owned(), Value::Null);
            }
            Self::DuplicateClaim => {
                draft.raw_payload = Some(with("\"sub\":\"person_of_the_attacker\"").into());
            }
            Self::DuplicateHeader => {
                let header = Value::Object(draft.header.clone()).to_string();
                let twice = header.replacen('{', "{\"alg\":\"EdDSA\",", 1);
                draft.raw_header = Some(twice.into());
            }
            Self::ClaimsNotObject => draft.raw_payload = Some(format!("[{}]", payload()).into()),
            Self::BadUtf8 => {
                let mut bytes = payload().into_bytes();
                bytes.pop();
                bytes.extend_from_slice(b",\"text\":\"\xff\xfe\"}");
                draft.raw_payload = Some(bytes);
            }
            Self::NotJson => draft.raw_payload = Some(b"these are no claims".to_vec()),
            Self::TrailingData => draft.raw_payload = Some(format!("{}{{}}", payload()).into()),
            Self::DeepNesting => {
                let nest = format!("\"deep\":{}{}", "[".repeat(4000), "]".repeat(4000));
                draft.raw_payload = Some(with(&nest).into());
            }
            other => draft.reshape = shape::of(other),
        }
    }
}

fn unsigned(draft: &mut TokenDraft, alg: Value) {
    set(&mut draft.header, "alg", alg);
    draft.signing = Signing::None;
}

fn text(claims: &Map<String, Value>, name: &str) -> String {
    let value = claims.get(name).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

/// Sets a claim. `null` removes the claim.
fn put(claims: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() {
        unset(claims, name);
    } else {
        set(claims, name, value);
    }
}

fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    members.insert(name.to_owned(), value);
}

fn unset(members: &mut Map<String, Value>, name: &str) {
    members.remove(name);
}

const HOUR: i64 = 3600;
const WEEK: i64 = 7 * 24 * HOUR;
const YEAR: i64 = 365 * 24 * HOUR;
