//! Tests that the SDK validates the claims of access tokens.

use kycport::{
    Timestamp,
    oidc::{
        AccessTokenClaims, AccessTokenProfile,
        ClaimError::{Mismatch, Missing, Mistyped},
        ExpectedAccessToken, TokenKind, TokenValidationError as R, verify_access_token,
    },
};
use serde_json::{Value, json};

use crate::mint::{ACCESS, CLIENT, ISSUER, KEYS, NOW, Verdict, access_expectation, claim, now};

type Row = (&'static str, String, Verdict);

fn check_table(expected: &ExpectedAccessToken, rows: Vec<Row>) {
    for (name, token, verdict) in rows {
        let judged = verify_access_token(&token, &KEYS, expected, now()).map(drop);
        assert_eq!(judged, verdict, "{name}");
    }
}

fn accepted(token: &str) -> AccessTokenClaims {
    verify_access_token(token, &KEYS, &access_expectation(), now()).unwrap()
}

#[test]
fn the_type_must_be_at_jwt() {
    // Covers threat case 84.
    let wrong = || Err(R::Type(TokenKind::AccessToken));
    check_table(
        &access_expectation(),
        vec![
            ("at+jwt", ACCESS.header_set("typ", "at+jwt"), Ok(())),
            (
                "long",
                ACCESS.header_set("typ", "application/at+jwt"),
                Ok(()),
            ),
            ("cased", ACCESS.header_set("typ", "AT+JWT"), Ok(())),
            (
                "long, cased",
                ACCESS.header_set("typ", "APPLICATION/at+JWT"),
                Ok(()),
            ),
            ("absent", ACCESS.header_without("typ"), wrong()),
            ("JWT", ACCESS.header_set("typ", "JWT"), wrong()),
            (
                "long JWT",
                ACCESS.header_set("typ", "application/jwt"),
                wrong(),
            ),
            (
                "logout+jwt",
                ACCESS.header_set("typ", "logout+jwt"),
                wrong(),
            ),
            ("more", ACCESS.header_set("typ", "cat+jwt"), wrong()),
            (
                "the prefix differs and has the same length",
                ACCESS.header_set("typ", "applicationxat+jwt"),
                wrong(),
            ),
            (
                "another prefix",
                ACCESS.header_set("typ", "x/at+jwt"),
                wrong(),
            ),
            ("empty", ACCESS.header_set("typ", ""), wrong()),
            ("null", ACCESS.header_set("typ", Value::Null), wrong()),
            (
                "a list",
                ACCESS.header_set("typ", json!(["at+jwt"])),
                wrong(),
            ),
        ],
    );
}

#[test]
fn client_id_and_jti_are_validated_if_present() {
    // Covers threat case 84.
    check_table(
        &access_expectation(),
        vec![
            ("no client_id", ACCESS.without("client_id"), Ok(())),
            ("no jti", ACCESS.without("jti"), Ok(())),
            (
                "another client",
                ACCESS.set("client_id", "client-2"),
                claim("client_id", Mismatch),
            ),
            (
                "empty client",
                ACCESS.set("client_id", ""),
                claim("client_id", Mismatch),
            ),
            (
                "client_id has the wrong type",
                ACCESS.set("client_id", json!([CLIENT])),
                claim("client_id", Mistyped),
            ),
            ("client null", ACCESS.set("client_id", Value::Null), Ok(())),
            ("empty jti", ACCESS.set("jti", ""), claim("jti", Mistyped)),
            (
                "jti has the wrong type",
                ACCESS.set("jti", 1),
                claim("jti", Mistyped),
            ),
            ("jti null", ACCESS.set("jti", Value::Null), Ok(())),
        ],
    );
}

#[test]
fn client_id_and_jti_can_be_made_mandatory() {
    // Covers threat case 84.
    let mut expected = access_expectation();
    assert_eq!(expected.profile, AccessTokenProfile::Documented);
    expected.profile = AccessTokenProfile::Rfc9068;
    check_table(
        &expected,
        vec![
            ("both", ACCESS.good(), Ok(())),
            (
                "no client_id",
                ACCESS.without("client_id"),
                claim("client_id", Missing),
            ),
            ("no jti", ACCESS.without("jti"), claim("jti", Missing)),
            (
                "jti null",
                ACCESS.set("jti", Value::Null),
                claim("jti", Missing),
            ),
            (
                "another client",
                ACCESS.set("client_id", "client-2"),
                claim("client_id", Mismatch),
            ),
            ("empty jti", ACCESS.set("jti", ""), claim("jti", Mistyped)),
        ],
    );
}

#[test]
fn an_old_iat_is_accepted_until_expiry() {
    check_table(
        &access_expectation(),
        vec![("issued long ago", ACCESS.set("iat", 0), Ok(()))],
    );
}

#[test]
fn the_scope_must_be_a_string() {
    // Covers threat case 85.
    check_table(
        &access_expectation(),
        vec![
            ("absent", ACCESS.without("scope"), Ok(())),
            ("empty", ACCESS.set("scope", ""), Ok(())),
            (
                "a list",
                ACCESS.set("scope", json!(["kyc"])),
                claim("scope", Mistyped),
            ),
            ("a number", ACCESS.set("scope", 1), claim("scope", Mistyped)),
            (
                "an object",
                ACCESS.set("scope", json!({"kyc": true})),
                claim("scope", Mistyped),
            ),
            ("null", ACCESS.set("scope", Value::Null), Ok(())),
        ],
    );
}

#[test]
fn a_scope_matches_whole_words_only() {
    // Covers threat case 85.
    for (scope, asked, granted) in [
        ("openid kyc", "kyc", true),
        ("openid kyc", "openid", true),
        (" kyc  openid ", "openid", true),
        ("openid kyc", "", false),
        ("", "", false),
        ("openid kyc", "ky", false),
        ("openid kyc", "openid kyc", false),
        ("kyc:read", "kyc", false),
        ("mykyc", "kyc", false),
        ("KYC", "kyc", false),
        ("openid,kyc", "kyc", false),
        ("openid\tkyc", "kyc", false),
        ("openid\u{a0}kyc", "kyc", false),
        ("", "kyc", false),
    ] {
        let claims = accepted(&ACCESS.set("scope", scope));
        assert_eq!(claims.has_scope(asked), granted, "{scope:?} {asked:?}");
    }
    assert!(!accepted(&ACCESS.without("scope")).has_scope("kyc"));
}

#[test]
fn all_claims_are_returned_as_received() {
    let claims = accepted(&ACCESS.with_claims(|claims| {
        claims["tenant"] = json!("t");
        claims["iat"] = json!(NOW - 9);
    }));
    assert_eq!(claims.issuer, ISSUER);
    assert_eq!(claims.subject, "person-1");
    assert_eq!(claims.issued_at, Timestamp::from_unix(NOW - 9));
    assert_eq!(claims.expires_at, Timestamp::from_unix(NOW + 300));
    assert_eq!(claims.jti.as_deref(), Some("j-1"));
    assert_eq!(claims.scopes, ["openid", "kyc"]);
    assert_eq!(Value::Object(claims.other), json!({"tenant": "t"}));
    assert_eq!(accepted(&ACCESS.without("jti")).jti, None);
}

#[test]
fn the_configured_clock_skew_applies() {
    // Covers threat case 82.
    let mut expected = access_expectation();
    assert_eq!(expected.skew.as_secs(), 60);
    expected.skew = std::time::Duration::from_secs(600);
    check_table(
        &expected,
        vec![(
            "the token expired ten minutes ago",
            ACCESS.set("exp", NOW - 599),
            Ok(()),
        )],
    );
}

#[test]
fn debug_output_contains_no_personal_data() {
    // Covers threat case 137.
    let token = ACCESS.with_claims(|claims| {
        claims["sub"] = json!("canary-sub");
        claims["jti"] = json!("canary-jti");
        claims["extra"] = json!("canary-extra");
    });
    let shown = format!("{:?}", accepted(&token));
    assert!(shown.contains("openid"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
}
