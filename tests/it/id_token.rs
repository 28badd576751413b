//! Tests that the SDK validates the claims of ID tokens.

use std::time::Duration;

use kycport::{
    KycStatus, KycTier, Secret, Timestamp,
    oidc::{
        ClaimError::{Future, Insufficient, Mismatch, Missing, Mistyped, Past},
        ExpectedIdToken, IdTokenClaims, TokenKind, TokenValidationError as R, verify_id_token,
    },
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use crate::mint::{
    CLIENT, ID, ISSUER, KEYS, NOW, SKEW, Verdict, access_expectation, b64, claim, id_expectation,
    now,
};

type Row = (&'static str, String, Verdict);

fn check_table(expected: &ExpectedIdToken, rows: Vec<Row>) {
    for (name, token, verdict) in rows {
        let result = verify_id_token(&token, &KEYS, expected, now()).map(drop);
        assert_eq!(result, verdict, "{name}");
    }
}

fn accepted(token: &str) -> IdTokenClaims {
    verify_id_token(token, &KEYS, &id_expectation(), now()).unwrap()
}

#[test]
fn the_type_is_jwt_or_absent() {
    // Covers threat case 63.
    let wrong = || Err(R::Type(TokenKind::IdToken));
    check_table(
        &id_expectation(),
        vec![
            ("absent", ID.header_without("typ"), Ok(())),
            ("JWT", ID.header_set("typ", "JWT"), Ok(())),
            ("jwt", ID.header_set("typ", "jwt"), Ok(())),
            ("long", ID.header_set("typ", "application/jwt"), Ok(())),
            (
                "long, cased",
                ID.header_set("typ", "Application/JWT"),
                Ok(()),
            ),
            ("at+jwt", ID.header_set("typ", "at+jwt"), wrong()),
            (
                "long at+jwt",
                ID.header_set("typ", "application/at+jwt"),
                wrong(),
            ),
            ("logout+jwt", ID.header_set("typ", "logout+jwt"), wrong()),
            ("JOSE", ID.header_set("typ", "JOSE"), wrong()),
            ("empty", ID.header_set("typ", ""), wrong()),
            (
                "prefix alone",
                ID.header_set("typ", "application/"),
                wrong(),
            ),
            (
                "prefix twice",
                ID.header_set("typ", "application/application/jwt"),
                wrong(),
            ),
            ("another prefix", ID.header_set("typ", "text/jwt"), wrong()),
            (
                "the prefix differs and has the same length",
                ID.header_set("typ", "multipart---jwt"),
                wrong(),
            ),
            ("with a parameter", ID.header_set("typ", "jwt;v=1"), wrong()),
            ("null", ID.header_set("typ", Value::Null), wrong()),
            ("a list", ID.header_set("typ", json!(["JWT"])), wrong()),
        ],
    );
}

#[test]
fn the_nonce_must_match_the_login() {
    // Covers threat case 72.
    check_table(
        &id_expectation(),
        vec![
            ("absent", ID.without("nonce"), claim("nonce", Missing)),
            (
                "null",
                ID.set("nonce", Value::Null),
                claim("nonce", Mistyped),
            ),
            (
                "a list",
                ID.set("nonce", json!(["n-0S6_WzA2Mj"])),
                claim("nonce", Mistyped),
            ),
            (
                "of another login",
                ID.set("nonce", "another"),
                claim("nonce", Mismatch),
            ),
            ("empty", ID.set("nonce", ""), claim("nonce", Mismatch)),
            (
                "the claim is a prefix of the nonce",
                ID.set("nonce", "n-0S6_WzA2M"),
                claim("nonce", Mismatch),
            ),
            (
                "the claim is the nonce with a suffix",
                ID.set("nonce", "n-0S6_WzA2Mjj"),
                claim("nonce", Mismatch),
            ),
            (
                "different case",
                ID.set("nonce", "N-0S6_WzA2Mj"),
                claim("nonce", Mismatch),
            ),
        ],
    );
}

#[test]
fn a_refreshed_token_needs_no_nonce() {
    // Covers threat case 72.
    let mut expected = id_expectation();
    expected.nonce = None;
    check_table(
        &expected,
        vec![
            ("absent", ID.without("nonce"), Ok(())),
            ("there", ID.good(), Ok(())),
        ],
    );
}

#[test]
fn iat_must_be_recent() {
    // Covers threat case 71.
    const OLDEST: i64 = NOW - 600 - SKEW;
    check_table(
        &id_expectation(),
        vec![
            ("maximum age", ID.set("iat", OLDEST), Ok(())),
            (
                "one second older",
                ID.set("iat", OLDEST - 1),
                claim("iat", Past),
            ),
            ("1970", ID.set("iat", 0), claim("iat", Past)),
        ],
    );
}

/// Returns the `at_hash` of `token`: the left half of its SHA-512, because Ed25519 uses
/// SHA-512.
fn at_hash(token: &str) -> String {
    b64(&Sha512::digest(token)[..32])
}

#[test]
fn at_hash_must_match_the_access_token() {
    // Covers threat case 74.
    const TOKEN: &str = "an.access.token";
    let good = at_hash(TOKEN);
    let whole = b64(Sha512::digest(TOKEN));
    let right_half = b64(&Sha512::digest(TOKEN)[32..]);
    let sha256 = b64(&Sha256::digest(TOKEN)[..16]);
    let mut expected = id_expectation();
    expected.access_token = Some(Secret::new(TOKEN));
    let wrong = || claim("at_hash", Mismatch);
    check_table(
        &expected,
        vec![
            ("absent", ID.good(), Ok(())),
            ("fits", ID.set("at_hash", good.clone()), Ok(())),
            (
                "of another token",
                ID.set("at_hash", at_hash("another")),
                wrong(),
            ),
            ("whole hash", ID.set("at_hash", whole), wrong()),
            ("right half", ID.set("at_hash", right_half), wrong()),
            ("half of SHA-256", ID.set("at_hash", sha256), wrong()),
            ("cut", ID.set("at_hash", &good[..42]), wrong()),
            ("padded", ID.set("at_hash", format!("{good}=")), wrong()),
            ("empty", ID.set("at_hash", ""), wrong()),
            ("null", ID.set("at_hash", Value::Null), Ok(())),
            ("a number", ID.set("at_hash", 1), claim("at_hash", Mistyped)),
        ],
    );
    // The client ignores `at_hash` if the response contains no access token.
    check_table(
        &id_expectation(),
        vec![
            ("unused", ID.set("at_hash", "whatever"), Ok(())),
            (
                "unused, odd",
                ID.set("at_hash", 1),
                claim("at_hash", Mistyped),
            ),
        ],
    );
}

#[test]
fn auth_time_must_respect_max_age() {
    // Covers threat cases 75, 82.
    const MAX_AGE: i64 = 300;
    let mut expected = id_expectation();
    expected.max_age = Some(Duration::from_secs(300));
    let at = |seconds: i64| ID.set("auth_time", seconds);
    check_table(
        &expected,
        vec![
            ("absent", ID.good(), claim("auth_time", Missing)),
            (
                "null",
                ID.set("auth_time", Value::Null),
                claim("auth_time", Missing),
            ),
            ("now", at(NOW), Ok(())),
            (
                "the time is ahead by exactly the skew",
                at(NOW + SKEW),
                Ok(()),
            ),
            (
                "one second more",
                at(NOW + SKEW + 1),
                claim("auth_time", Future),
            ),
            ("maximum age", at(NOW - MAX_AGE - SKEW), Ok(())),
            (
                "one second older",
                at(NOW - MAX_AGE - SKEW - 1),
                claim("auth_time", Past),
            ),
            ("1970", at(0), claim("auth_time", Past)),
            (
                "the time is the maximum time",
                at(i64::MAX),
                claim("auth_time", Future),
            ),
        ],
    );
    expected.max_age = Some(Duration::MAX);
    check_table(&expected, vec![("every age is accepted", at(0), Ok(()))]);
    // This login requests no `max_age`. The claim `auth_time` is informative, but it must be a
    // valid time.
    check_table(
        &id_expectation(),
        vec![
            ("old", at(0), Ok(())),
            ("ahead", at(i64::MAX), Ok(())),
            (
                "a string",
                ID.set("auth_time", "1"),
                claim("auth_time", Mistyped),
            ),
            ("a fraction", ID.set("auth_time", 1.5), Ok(())),
            ("negative", at(-1), claim("auth_time", Mistyped)),
            ("null", ID.set("auth_time", Value::Null), Ok(())),
        ],
    );
}

#[test]
fn acr_must_meet_the_requested_tier() {
    // Covers threat case 75.
    let mut expected = id_expectation();
    expected.acr = Some(KycTier::T2);
    let acr = |text: &str| ID.set("acr", text);
    check_table(
        &expected,
        vec![
            ("absent", ID.good(), claim("acr", Missing)),
            ("below", acr("t1"), claim("acr", Insufficient)),
            ("enough", acr("t2"), Ok(())),
            ("upper case", acr("T2"), Ok(())),
            ("a higher tier", acr("t3"), Ok(())),
            ("unknown", acr("t4"), claim("acr", Insufficient)),
            ("empty", acr(""), claim("acr", Insufficient)),
            (
                "of another scheme",
                acr("urn:mace:incommon:iap:silver"),
                claim("acr", Insufficient),
            ),
            ("two values", acr("t2 t3"), claim("acr", Insufficient)),
            ("a number", ID.set("acr", 2), claim("acr", Mistyped)),
            ("null", ID.set("acr", Value::Null), claim("acr", Missing)),
            (
                "a list",
                ID.set("acr", json!(["t2"])),
                claim("acr", Mistyped),
            ),
        ],
    );
    // This login requests no tier.
    check_table(
        &id_expectation(),
        vec![
            ("below", acr("t0"), Ok(())),
            ("null", ID.set("acr", Value::Null), Ok(())),
        ],
    );
    // No ID token satisfies a requested tier that is unknown.
    expected.acr = Some(KycTier::Unknown("t9".to_owned()));
    check_table(
        &expected,
        vec![(
            "unknown tier requested",
            acr("t9"),
            claim("acr", Insufficient),
        )],
    );
}

#[test]
fn the_configured_clock_skew_applies() {
    // Covers threat case 82.
    let mut expected = id_expectation();
    assert_eq!(expected.skew, Duration::from_secs(60));
    expected.skew = Duration::ZERO;
    check_table(
        &expected,
        vec![
            ("exp", ID.set("exp", NOW), claim("exp", Past)),
            ("exp left", ID.set("exp", NOW + 1), Ok(())),
            ("iat", ID.set("iat", NOW + 1), claim("iat", Future)),
            ("iat old", ID.set("iat", NOW - 601), claim("iat", Past)),
        ],
    );
    // A very large clock skew causes no overflow.
    expected.skew = Duration::MAX;
    check_table(&expected, vec![("exp", ID.set("exp", 0), Ok(()))]);
}

#[test]
fn all_claims_are_returned_as_received() {
    let token = ID.with_claims(|claims| {
        claims["auth_time"] = json!(NOW - 5);
        claims["acr"] = json!("t2");
        claims["email"] = json!("ann@example.com");
        claims["email_verified"] = json!(true);
        claims["name"] = json!("Ann");
        claims["kyc_status"] = json!("verified");
        claims["kyc_tier"] = json!("t2");
        claims["aml_clear"] = json!(true);
        claims["nbf"] = json!(NOW);
        claims["azp"] = json!(CLIENT);
        claims["locale"] = json!("en");
    });
    let claims = accepted(&token);
    assert_eq!(claims.issuer, ISSUER);
    assert_eq!(claims.subject, "person-1");
    assert_eq!(claims.issued_at, now());
    assert_eq!(claims.expires_at, Timestamp::from_unix(NOW + 300));
    assert_eq!(claims.auth_time, Some(Timestamp::from_unix(NOW - 5)));
    assert_eq!(claims.acr.as_deref(), Some("t2"));
    assert_eq!(claims.email.as_deref(), Some("ann@example.com"));
    assert_eq!(claims.email_verified, Some(true));
    assert_eq!(claims.name.as_deref(), Some("Ann"));
    assert_eq!(claims.kyc_status, Some(KycStatus::Verified));
    assert_eq!(claims.kyc_tier, Some(KycTier::T2));
    assert_eq!(claims.aml_clear, Some(true));
    assert_eq!(Value::Object(claims.other), json!({"locale": "en"}));
}

#[test]
fn missing_and_mistyped_kyc_claims_are_unknown() {
    let token = ID.with_claims(|claims| {
        claims["email"] = json!(["ann@example.com"]);
        claims["email_verified"] = json!("true");
        claims["name"] = json!(null);
        claims["kyc_status"] = json!(1);
        claims["kyc_tier"] = json!({"tier": "t3"});
        claims["aml_clear"] = json!("yes");
    });
    let claims = accepted(&token);
    assert_eq!(claims.email, None);
    assert_eq!(claims.email_verified, None);
    assert_eq!(claims.name, None);
    assert_eq!(claims.kyc_status, None);
    assert_eq!(claims.kyc_tier, None);
    assert_eq!(claims.aml_clear, None);
}

#[test]
fn exp_is_limited_to_a_day() {
    // Covers threat case 69.
    const DAY: i64 = 24 * 3600;
    for (exp, ends) in [
        (NOW + DAY - 1, NOW + DAY - 1),
        (NOW + DAY, NOW + DAY),
        (NOW + DAY + 1, NOW + DAY),
        (i64::MAX, NOW + DAY),
    ] {
        let ends = Timestamp::from_unix(ends);
        assert_eq!(accepted(&ID.set("exp", exp)).expires_at, ends);
        let access = crate::mint::ACCESS.set("exp", exp);
        let access =
            kycport::oidc::verify_access_token(&access, &KEYS, &access_expectation(), now());
        assert_eq!(access.unwrap().expires_at, ends);
    }
}

#[test]
fn only_the_subject_identifies_a_person() {
    // Covers threat cases 73, 83.
    let email = "ann@example.com";
    let person = |sub: &str, email: &str| {
        let claims = accepted(&ID.with_claims(|claims| {
            claims["sub"] = json!(sub);
            claims["email"] = json!(email);
        }));
        (claims.issuer, claims.subject)
    };
    // Two different subjects are two persons, even with the same email address.
    assert_ne!(person("person-1", email), person("person-2", email));
    // The same subject is the same person, even with a different email address.
    assert_eq!(
        person("person-1", email),
        person("person-1", "ann\u{ff20}example.com")
    );
    // The crate compares subjects as bytes, without folding case, white space or Unicode
    // equivalents.
    for sub in ["Person-1", "person-1 ", " person-1", "p\u{435}rson-1"] {
        assert_eq!(person(sub, email).1, sub);
    }
    assert_ne!(person("\u{e9}", email), person("e\u{301}", email));
}

#[test]
fn debug_output_contains_no_personal_data() {
    // Covers threat case 137.
    let token = ID.with_claims(|claims| {
        claims["sub"] = json!("canary-sub");
        claims["email"] = json!("canary@example.com");
        claims["extra"] = json!("canary-extra");
    });
    let shown = format!("{:?}", accepted(&token));
    assert!(shown.contains(ISSUER), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!format!("{:?}", id_expectation()).contains(crate::mint::NONCE));
}
