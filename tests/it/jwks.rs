//! Tests that the SDK handles the issuer's key set: rotation, floods of unknown keys, outages and
//! invalid members.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use kycport::{
    RelyingParty, TransportError,
    mock::{Endpoint, MockIssuer, Person, Signing},
    oidc::{
        AccessTokenClaims, AlgorithmNames, KeySetError, ProviderError, TokenValidationError,
        VerifyError,
    },
};
use serde_json::{Value, json};

use crate::{
    direct::{relying_party, relying_party_with, relying_party_with_short_timeouts, sign_in},
    support::setup,
};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Starts the mock with a stopped clock, a relying party and a person.
async fn stopped_clock_mock() -> (MockIssuer, RelyingParty, Person) {
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    let app = relying_party(&kyc);
    let ada = kyc.person("ada").create();
    (kyc, app, ada)
}

async fn verify(app: &RelyingParty, token: &str) -> Result<AccessTokenClaims, VerifyError> {
    app.oidc().verify_access_token(token).await
}

fn token(kyc: &MockIssuer, person: &Person) -> String {
    kyc.mint().access_token(person, kyc.client()).sign()
}

/// Returns an access token with this `kid` in its header. The mock's key signs the token.
fn token_by(kyc: &MockIssuer, person: &Person, kid: &str) -> String {
    let kid = kid.to_owned();
    kyc.mint()
        .access_token(person, kyc.client())
        .edit(|draft| {
            draft.header.insert("kid".to_owned(), json!(kid));
            draft.signing = Signing::Key(kid);
        })
        .sign()
}

/// Returns a well-formed token with an unknown `kid`. No key verifies the token's signature.
fn unknown_key_token(kid: &str) -> String {
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid });
    format!(
        "{}.e30.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode([1; 64])
    )
}

#[track_caller]
fn assert_rejected<T: std::fmt::Debug>(
    outcome: Result<T, VerifyError>,
    expected: impl Into<VerifyError>,
) {
    assert_eq!(outcome.map(|_| ()), Err(expected.into()));
}

/// Asserts that the client does not know the key of the token. Either the fetch did not return the
/// key, or the fetch budget is spent.
#[track_caller]
fn assert_unknown<T: std::fmt::Debug>(outcome: Result<T, VerifyError>) {
    let unknown: [VerifyError; 2] = [
        TokenValidationError::UnknownKey.into(),
        ProviderError::KeyBudget.into(),
    ];
    let error = outcome.map(|_| ()).unwrap_err();
    assert!(unknown.contains(&error), "{error:?}");
}

/// Sends a request to another endpoint. When this function returns, all earlier requests have
/// reached the mock.
async fn settle(kyc: &MockIssuer) {
    let url = kyc.url(Endpoint::Userinfo);
    for _ in 0..3 {
        drop(kyc.browser().fetch(&url).await);
    }
}

#[tokio::test]
async fn a_key_rotation_just_before_signing_costs_one_fetch() {
    // Covers threat case 10.
    let (kyc, app, ada) = setup().await;
    let login = app.url("/auth/login");
    kyc.browser()
        .sign_in(&login, &ada)
        .await
        .unwrap()
        .assert_ok();
    kyc.forget_requests();

    for step in ["publish", "promote", "retire", "all together"] {
        match step {
            "publish" => drop(kyc.keys().publish_next()),
            "promote" => drop(kyc.keys().promote()),
            "retire" => kyc.keys().retire_old(),
            _ => drop(kyc.keys().rotate()),
        }
        kyc.browser()
            .sign_in(&login, &ada)
            .await
            .unwrap()
            .assert_ok();
        let fetches = match step {
            "publish" => 0,
            "promote" | "retire" => 1,
            _ => 2,
        };
        kyc.requests(Endpoint::Jwks).assert_count(fetches);
    }
}

#[tokio::test]
async fn a_key_rotation_between_authorization_and_token_response_is_noticed() {
    // Covers threat case 10.
    let (kyc, app, ada) = stopped_clock_mock().await;
    sign_in(&kyc, &app, &ada).await.unwrap();
    kyc.forget_requests();
    let gate = kyc.on(Endpoint::Token).hold();
    let (login, ()) = tokio::join!(sign_in(&kyc, &app, &ada), async {
        gate.wait_for(1).await;
        kyc.keys().rotate();
        gate.release();
    });
    login.unwrap();
    kyc.requests(Endpoint::Jwks).assert_count(1);
}

#[tokio::test]
async fn a_thousand_validations_after_a_key_rotation_make_one_request() {
    // Covers threat case 12.
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    kyc.keys().rotate();
    kyc.forget_requests();
    let new = token(&kyc, &ada);
    let gate = kyc.on(Endpoint::Jwks).hold();

    let (verdicts, ()) = tokio::join!(join_all((0..1000).map(|_| verify(&app, &new))), async {
        gate.wait_for(1).await;
        gate.release();
    });

    for verdict in verdicts {
        verdict.unwrap();
    }
    kyc.requests(Endpoint::Jwks).assert_count(1);
}

#[tokio::test]
async fn a_thousand_initial_validations_make_one_request() {
    // Covers threat case 12.
    let (kyc, app, ada) = stopped_clock_mock().await;
    let token = token(&kyc, &ada);
    for verdict in join_all((0..1000).map(|_| verify(&app, &token))).await {
        verdict.unwrap();
    }
    kyc.requests(Endpoint::Jwks).assert_count(1);
    kyc.requests(Endpoint::Discovery).assert_count(1);
}

#[tokio::test]
async fn a_fetch_started_before_a_rotation_does_not_hide_the_new_key() {
    // Threat case 10: the mock creates the response before it publishes the key, and the client
    // reads the response afterwards
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    let gate = kyc.on(Endpoint::Jwks).after().hold();
    let ghost = unknown_key_token("ghost");
    let new = async {
        gate.wait_for(1).await;
        kyc.keys().rotate();
        let new = token(&kyc, &ada);
        tokio::join!(verify(&app, &new), async {
            tokio::task::yield_now().await;
            gate.release();
        })
        .0
    };

    let (ghost, new) = tokio::join!(verify(&app, &ghost), new);

    assert_rejected(ghost, TokenValidationError::UnknownKey);
    new.unwrap();
    verify(&app, &token(&kyc, &ada)).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_two_requests_and_one_per_half_minute() {
    // Covers threat cases 11, 13.
    let (kyc, app, ada) = stopped_clock_mock().await;
    let good = token(&kyc, &ada);
    verify(&app, &good).await.unwrap();
    kyc.forget_requests();
    let mut number = 0_u32;
    let mut flood = async |n: u32| {
        for _ in 0..n {
            number += 1;
            assert_unknown(verify(&app, &unknown_key_token(&number.to_string())).await);
        }
    };

    flood(100_000).await;
    kyc.requests(Endpoint::Jwks).assert_count(2);
    for (advance, requests) in [(29, 2), (1, 3), (29, 3), (1, 4), (30, 5), (120, 7)] {
        kyc.clock().advance(seconds(advance));
        flood(100).await;
        kyc.requests(Endpoint::Jwks).assert_count(requests);
    }
    verify(&app, &good).await.unwrap();
}

#[tokio::test]
async fn simultaneous_unknown_keys_cost_two_requests() {
    // Covers threat case 11.
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    kyc.forget_requests();
    let tokens: Vec<_> = (0..1000)
        .map(|n| unknown_key_token(&n.to_string()))
        .collect();
    for verdict in join_all(tokens.iter().map(|token| verify(&app, token))).await {
        assert_unknown(verdict);
    }
    let requests = kyc.requests(Endpoint::Jwks).count();
    assert!((1..=2).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_missing_key_is_not_fetched_again_for_a_minute() {
    // Covers threat case 11.
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    kyc.forget_requests();
    let ghost = unknown_key_token("ghost");
    for (advance, requests) in [(0, 1), (0, 1), (31, 1), (28, 1), (1, 2)] {
        kyc.clock().advance(seconds(advance));
        assert_rejected(verify(&app, &ghost).await, TokenValidationError::UnknownKey);
        kyc.requests(Endpoint::Jwks).assert_count(requests);
    }
}

/// KYCPort may sign with a new key before the published key set contains the key.
#[tokio::test]
async fn a_missing_key_of_the_token_endpoint_is_fetched_again_at_the_next_login() {
    let (kyc, app, ada) = stopped_clock_mock().await;
    sign_in(&kyc, &app, &ada).await.unwrap();
    let new = kyc.keys().publish_next();
    let old_set = kyc.on(Endpoint::Jwks).edit(move |set| {
        let keys = set["keys"].as_array_mut().unwrap();
        keys.retain(|key| key["kid"] != new);
    });
    let old_set = old_set.always();
    kyc.keys().promote();
    sign_in(&kyc, &app, &ada).await.unwrap_err();
    drop(old_set);
    sign_in(&kyc, &app, &ada).await.unwrap();
}

#[tokio::test]
async fn an_unknown_key_during_a_key_set_outage_is_unavailable() {
    // Covers threat case 13.
    let (kyc, app, ada) = stopped_clock_mock().await;
    let good = token(&kyc, &ada);
    verify(&app, &good).await.unwrap();
    kyc.keys().rotate();
    let new = token(&kyc, &ada);
    let fault = kyc.on(Endpoint::Jwks).fail(500).always();
    for _ in 0..100 {
        assert_rejected(verify(&app, &new).await, ProviderError::Status(500));
        verify(&app, &good).await.unwrap();
    }
    assert_eq!(fault.hits(), 1);
    drop(fault);
    kyc.clock().advance(seconds(1));
    verify(&app, &new).await.unwrap();
}

#[tokio::test]
async fn a_spent_fetch_budget_causes_unavailable_and_delays_no_login() {
    // Threat case 13: the client rejects the token and does not exceed the fetch budget
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    kyc.forget_requests();
    for kid in ["1", "2"] {
        assert_rejected(
            verify(&app, &unknown_key_token(kid)).await,
            TokenValidationError::UnknownKey,
        );
    }
    assert_rejected(
        verify(&app, &unknown_key_token("3")).await,
        ProviderError::KeyBudget,
    );
    kyc.keys().rotate();
    let new = token(&kyc, &ada);
    assert_rejected(verify(&app, &new).await, ProviderError::KeyBudget);
    kyc.requests(Endpoint::Jwks).assert_count(2);

    // Tokens from the token endpoint have a separate fetch budget.
    sign_in(&kyc, &app, &ada).await.unwrap();
    kyc.requests(Endpoint::Jwks).assert_count(3);
    verify(&app, &new).await.unwrap();

    kyc.keys().rotate();
    let newer = token(&kyc, &ada);
    assert_rejected(verify(&app, &newer).await, ProviderError::KeyBudget);
    kyc.clock().advance(seconds(30));
    verify(&app, &newer).await.unwrap();
    kyc.requests(Endpoint::Jwks).assert_count(4);
}

#[tokio::test]
async fn a_known_key_verifies_for_an_hour_during_a_key_set_outage() {
    // Covers threat case 14.
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    kyc.stop().unwrap();
    for (advance, verifies) in [
        (599, true),
        (1, true),
        (1800, true),
        (1799, true),
        (1, false),
        (3600, false),
    ] {
        kyc.clock().advance(seconds(advance));
        let verdict = verify(&app, &token(&kyc, &ada)).await;
        if verifies {
            verdict.unwrap();
        } else {
            assert!(
                matches!(verdict, Err(VerifyError::Provider(_))),
                "{verdict:?}"
            );
        }
    }
    kyc.restart().unwrap();
    kyc.clock().advance(seconds(31));
    verify(&app, &token(&kyc, &ada)).await.unwrap();
}

#[tokio::test]
async fn a_withdrawn_key_is_rejected_after_the_next_refresh() {
    // Covers threat case 15.
    let (kyc, app, ada) = stopped_clock_mock().await;
    let old = kyc.keys().active_kid();
    verify(&app, &token_by(&kyc, &ada, &old)).await.unwrap();
    kyc.keys().rotate();
    kyc.clock().advance(seconds(539));
    verify(&app, &token_by(&kyc, &ada, &old)).await.unwrap();

    kyc.clock().advance(seconds(61));

    assert_rejected(
        verify(&app, &token_by(&kyc, &ada, &old)).await,
        TokenValidationError::UnknownKey,
    );
}

#[tokio::test]
async fn an_empty_key_set_withdraws_all_keys() {
    // Threat case 15: an empty key set is a valid response and not an outage
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    let empty = kyc.edit_jwks(|set| set["keys"] = json!([])).always();

    kyc.clock().advance(seconds(600));

    let no_key = ProviderError::from(KeySetError::NoUsableKey);
    assert_rejected(verify(&app, &token(&kyc, &ada)).await, no_key);
    assert_rejected(verify(&app, &token(&kyc, &ada)).await, no_key);
    drop(empty);
    kyc.clock().advance(seconds(60));
    verify(&app, &token(&kyc, &ada)).await.unwrap();
}

#[tokio::test]
async fn a_token_without_kid_uses_the_only_key() {
    // Covers threat case 16.
    let (kyc, app, ada) = stopped_clock_mock().await;
    let nameless = || {
        kyc.mint()
            .access_token(&ada, kyc.client())
            .edit(|draft| drop(draft.header.remove("kid")))
            .sign()
    };
    verify(&app, &nameless()).await.unwrap();
    kyc.keys().publish_next();
    let app = relying_party(&kyc);
    assert_rejected(
        verify(&app, &nameless()).await,
        TokenValidationError::AmbiguousKey,
    );
    // The client also rejects two keys without a `kid`.
    kyc.edit_jwks(|set| {
        for key in set["keys"].as_array_mut().unwrap() {
            key.as_object_mut().unwrap().remove("kid");
        }
    })
    .always()
    .keep();
    let app = relying_party(&kyc);
    assert_rejected(
        verify(&app, &nameless()).await,
        TokenValidationError::AmbiguousKey,
    );
    assert_rejected(
        verify(&app, &token(&kyc, &ada)).await,
        TokenValidationError::UnknownKey,
    );
}

#[tokio::test]
async fn two_keys_with_the_same_kid_are_both_rejected() {
    // Covers threat case 17.
    let (kyc, _, ada) = stopped_clock_mock().await;
    let active = kyc.keys().active_kid();
    kyc.keys().publish_next();
    kyc.keys().publish_next();
    let kid = active.clone();
    kyc.edit_jwks(move |set| set["keys"][1]["kid"] = json!(kid))
        .always()
        .keep();
    let app = relying_party(&kyc);
    assert_rejected(
        verify(&app, &token(&kyc, &ada)).await,
        TokenValidationError::AmbiguousKey,
    );
    // The client also rejects two identical keys.
    kyc.edit_jwks(|set| set["keys"][1] = set["keys"][0].clone())
        .always()
        .keep();
    let app = relying_party(&kyc);
    assert_rejected(
        verify(&app, &token(&kyc, &ada)).await,
        TokenValidationError::AmbiguousKey,
    );
}

/// Members of a key set that the client must ignore, each with a label.
#[expect(clippy::too_many_lines, reason = "a table")]
fn invalid_members() -> Vec<(&'static str, Value)> {
    let x = URL_SAFE_NO_PAD.encode([9; 32]);
    let okp = |x: Value| json!({ "kty": "OKP", "crv": "Ed25519", "kid": "invalid", "x": x });
    let with = |name: &str, value: Value| {
        let mut key = okp(json!(x));
        key[name] = value;
        key
    };
    let bytes = |n: usize| json!(URL_SAFE_NO_PAD.encode(vec![9; n]));
    let small = |hex: &str| {
        let bytes: Vec<u8> = (0..32)
            .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
            .collect();
        okp(json!(URL_SAFE_NO_PAD.encode(bytes)))
    };
    vec![
        // Covers threat case 18.
        ("null", json!(null)),
        ("a string", json!("key")),
        ("an array", json!([])),
        ("an empty object", json!({})),
        (
            "no kty",
            json!({ "crv": "Ed25519", "kid": "invalid", "x": x }),
        ),
        ("an unknown kty", with("kty", json!("AKP"))),
        ("kty in capitals", with("kty", json!("okp"))),
        ("kty is a number", with("kty", json!(1))),
        ("kid is a number", with("kid", json!(1))),
        (
            "RSA",
            json!({ "kty": "RSA", "kid": "invalid", "n": x, "e": "AQAB", "alg": "RS256" }),
        ),
        (
            "EC",
            json!({ "kty": "EC", "crv": "P-256", "kid": "invalid", "x": x, "y": x }),
        ),
        ("X25519", with("crv", json!("X25519"))),
        ("Ed448", with("crv", json!("Ed448"))),
        ("no crv", json!({ "kty": "OKP", "kid": "invalid", "x": x })),
        // Covers threat case 19.
        ("use: enc", with("use", json!("enc"))),
        ("use: nothing", with("use", json!(""))),
        ("use is an array", with("use", json!(["sig"]))),
        ("key_ops: sign", with("key_ops", json!(["sign"]))),
        ("key_ops: none", with("key_ops", json!([]))),
        ("key_ops as text", with("key_ops", json!("verify"))),
        ("alg: RS256", with("alg", json!("RS256"))),
        ("alg: HS256", with("alg", json!("HS256"))),
        ("alg: none", with("alg", json!("none"))),
        ("alg: Ed25519", with("alg", json!("Ed25519"))),
        ("alg: ECDH-ES", with("alg", json!("ECDH-ES"))),
        // Covers threat case 20.
        (
            "no x",
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "invalid" }),
        ),
        ("x has 0 bytes", okp(bytes(0))),
        ("x has 31 bytes", okp(bytes(31))),
        ("x has 33 bytes", okp(bytes(33))),
        ("x has 72 bytes", okp(bytes(72))),
        ("x padded", okp(json!(format!("{x}=")))),
        ("x in base64", okp(json!("+/".repeat(21) + "A"))),
        ("x is a number", okp(json!(9))),
        // Covers threat case 21.
        (
            "order 1",
            small("0100000000000000000000000000000000000000000000000000000000000000"),
        ),
        (
            "order 2",
            small("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ),
        (
            "order 4",
            small("0000000000000000000000000000000000000000000000000000000000000000"),
        ),
        (
            "order 4, with the other sign bit",
            small("0000000000000000000000000000000000000000000000000000000000000080"),
        ),
        (
            "order 8",
            small("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        ),
        (
            "order 8, second point",
            small("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ),
        (
            "order 1, not canonical",
            small("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ),
        (
            "order 1, with a sign bit",
            small("0100000000000000000000000000000000000000000000000000000000000080"),
        ),
        (
            "y = p",
            small("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ),
        (
            "y = p + 3, not canonical",
            small("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ),
        (
            "not a point",
            small("0200000000000000000000000000000000000000000000000000000000000000"),
        ),
        // Covers threat case 22.
        (
            "oct",
            json!({ "kty": "oct", "kid": "invalid", "k": x, "alg": "HS256" }),
        ),
        (
            "oct with alg EdDSA",
            json!({ "kty": "oct", "kid": "invalid", "k": x, "x": x, "alg": "EdDSA" }),
        ),
    ]
}

#[tokio::test]
async fn invalid_verification_keys_are_ignored_and_the_valid_key_is_used() {
    // Covers threat cases 18, 19, 20, 21, 22.
    let (kyc, _, ada) = stopped_clock_mock().await;
    for (name, member) in invalid_members() {
        for first in [true, false] {
            let put = member.clone();
            let _fault = kyc
                .edit_jwks(move |set| {
                    let keys = set["keys"].as_array_mut().unwrap();
                    keys.insert(if first { 0 } else { keys.len() }, put.clone());
                })
                .always();
            let app = relying_party(&kyc);
            verify(&app, &token(&kyc, &ada))
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_rejected(
                verify(&app, &unknown_key_token("invalid")).await,
                TokenValidationError::UnknownKey,
            );
        }
        // The client rejects a key set that contains only invalid keys.
        let _fault = kyc
            .edit_jwks(move |set| set["keys"] = json!([member]))
            .always();
        let app = relying_party(&kyc);
        let outcome = verify(&app, &unknown_key_token("invalid")).await;
        let no_key = ProviderError::from(KeySetError::NoUsableKey);
        assert_eq!(outcome.map(|_| ()), Err(no_key.into()), "{name}");
    }
}

/// Function that changes one key.
type Edit = fn(&mut Value);

#[tokio::test]
async fn a_valid_key_with_optional_members_is_used() {
    // Threat cases 18, 19, 23: one key has no optional members, one key has additional members, and
    // one key has a private part.
    let (kyc, _, ada) = stopped_clock_mock().await;
    let edits: [(&str, Edit); 6] = [
        ("bare", |key| {
            for name in ["use", "alg"] {
                key.as_object_mut().unwrap().remove(name);
            }
        }),
        ("key_ops", |key| {
            key["key_ops"] = json!(["verify"]);
        }),
        ("more key_ops", |key| {
            key["key_ops"] = json!(["sign", "verify"]);
        }),
        ("unknown members", |key| {
            key["x5t#S256"] = json!({ "deep": [1] });
        }),
        ("a private key", |key| {
            key["d"] = json!("cHJpdmF0ZS1jYW5hcnk");
        }),
        ("a malformed private key", |key| {
            key["d"] = json!([{ "a": 1 }]);
        }),
    ];
    for (name, edit) in edits {
        let _fault = kyc.edit_jwks(move |set| edit(&mut set["keys"][0])).always();
        let app = relying_party(&kyc);
        let claims = verify(&app, &token(&kyc, &ada))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let debug_output = format!("{app:?} {claims:?}");
        assert!(!debug_output.contains("cHJpdmF0ZS1jYW5hcnk"), "{name}");
    }
}

#[tokio::test]
async fn alg_ed25519_is_accepted_only_if_configured() {
    // Covers threat cases 19, 59.
    let (kyc, _, ada) = stopped_clock_mock().await;
    kyc.edit_jwks(|set| set["keys"][0]["alg"] = json!("Ed25519"))
        .always()
        .keep();
    let token = token(&kyc, &ada);
    let strict = relying_party(&kyc);
    assert_rejected(
        verify(&strict, &token).await,
        ProviderError::from(KeySetError::NoUsableKey),
    );
    let both = relying_party_with(&kyc, |config| {
        config.algorithm_names(AlgorithmNames::EdDsaOrEd25519)
    });
    verify(&both, &token).await.unwrap();
}

#[tokio::test]
async fn a_key_set_that_is_too_large_is_rejected() {
    // Covers threat case 24.
    let (kyc, _, ada) = stopped_clock_mock().await;
    let good = kyc.browser().fetch(kyc.url(Endpoint::Jwks)).await.unwrap();
    let good = good.json()["keys"][0].clone();
    let other = URL_SAFE_NO_PAD.encode([9; 32]);
    let set =
        |n: usize| {
            let mut keys = vec![good.clone()];
            keys.extend((1..n).map(
                |n| json!({ "kty": "OKP", "crv": "Ed25519", "x": other, "kid": n.to_string() }),
            ));
            json!({ "keys": keys }).to_string()
        };
    let capped = ProviderError::from(TransportError::TooLarge { limit: 65_536 });
    let counted = ProviderError::from(KeySetError::TooManyKeys);
    let padded = |size: usize| {
        let body = set(1);
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    for (body, expected) in [
        (set(100), Ok(())),
        (set(101), Err(counted)),
        (json!({ "keys": vec![1; 10_000] }).to_string(), Err(counted)),
        (set(10_000), Err(capped)),
        (padded(65_536), Ok(())),
        (padded(65_537), Err(capped)),
    ] {
        let app = relying_party(&kyc);
        let _fault = kyc
            .on(Endpoint::Jwks)
            .answer(200, "application/json", body.clone())
            .always();
        let outcome = verify(&app, &token(&kyc, &ada)).await.map(|_| ());
        assert_eq!(outcome, expected.map_err(Into::into), "{body:.80}");
    }
}

#[tokio::test]
async fn a_response_that_is_not_a_key_set_is_unavailable() {
    // Covers threat cases 3, 4, 5, 6 for the key set.
    let (kyc, _, ada) = stopped_clock_mock().await;
    let foreign = MockIssuer::start().await;
    let token = token(&kyc, &ada);
    let at = || kyc.on(Endpoint::Jwks);
    let json = |body: &str| at().answer(200, "application/json", body);
    let no_set = ProviderError::from(KeySetError::NotAJwkSet);
    let capped = ProviderError::from(TransportError::TooLarge { limit: 65_536 });
    let redirect = |status| ProviderError::from(TransportError::Redirect { status });
    for (fault, expected) in [
        (
            at().redirect(302, &foreign.url(Endpoint::Jwks)),
            redirect(302),
        ),
        (
            at().redirect(307, &foreign.url(Endpoint::Jwks)),
            redirect(307),
        ),
        (
            at().redirect(308, &foreign.url(Endpoint::Jwks)),
            redirect(308),
        ),
        (at().fail(404), ProviderError::Status(404)),
        (at().fail(500), ProviderError::Status(500)),
        (
            at().answer(204, "application/json", ""),
            ProviderError::Status(204),
        ),
        (at().answer(200, "text/html", "<!doctype html>"), no_set),
        (json(""), no_set),
        (json("[]"), no_set),
        (json("null"), no_set),
        (json("{}"), no_set),
        (json("{\"keys\":{}}"), no_set),
        (json("{\"keys\":null}"), no_set),
        (json("{\"keys\":[],\"keys\":[]}"), no_set),
        (json("{\"keys\":[]"), no_set),
        (json("\u{feff}[]"), no_set),
        (
            json(&format!(
                "{{\"keys\":[{}{}]}}",
                "[".repeat(9000),
                "]".repeat(9000)
            )),
            no_set,
        ),
        (at().endless_body(), capped),
        (at().huge(100_000_000), capped),
        (at().gzip_bomb(10_000_000), TransportError::Encoded.into()),
        (at().truncate(), TransportError::Broken.into()),
        (at().drop_connection(), TransportError::Broken.into()),
    ] {
        let app = relying_party(&kyc);
        let fault = fault.always();
        let outcome = verify(&app, &token).await.map(|_| ());
        assert_eq!(outcome, Err(expected.into()), "{fault:?}");
    }
    for fault in [
        at().hang(),
        at().hang_body(),
        at().dribble(Duration::from_millis(20)),
    ] {
        let app = relying_party_with_short_timeouts(&kyc);
        let fault = fault.always();
        let outcome = verify(&app, &token).await.map(|_| ());
        let expected = ProviderError::from(TransportError::Timeout);
        assert_eq!(outcome, Err(expected.into()), "{fault:?}");
    }
    assert_eq!(foreign.all_requests().len(), 0);
}

#[tokio::test]
async fn an_unreadable_key_set_does_not_replace_the_cached_set() {
    // Covers threat case 14.
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    let _fault = kyc
        .on(Endpoint::Jwks)
        .answer(200, "text/html", "<!doctype html>")
        .always();
    kyc.clock().advance(seconds(601));
    verify(&app, &token(&kyc, &ada)).await.unwrap();
}

#[tokio::test]
async fn without_keys_the_callback_page_offers_a_retry() {
    // Threat cases 13, 14: the login fails with "unavailable", not with "forged"
    let (kyc, app, ada) = setup().await;
    let _fault = kyc.on(Endpoint::Jwks).fail(500).always();
    let browser = kyc.browser();
    let page = browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    page.assert_status(503);
    assert!(page.header("retry-after").is_some());
    browser
        .fetch(app.url("/auth/me"))
        .await
        .unwrap()
        .assert_status(401);
}

#[tokio::test]
async fn a_short_max_age_still_caches() {
    // The client sends at most one request per minute, for any number of tokens.
    let (kyc, app, ada) = stopped_clock_mock().await;
    kyc.switch(|switches| switches.cache_max_age = Some(seconds(1)));
    for _ in 0..50 {
        verify(&app, &token(&kyc, &ada)).await.unwrap();
    }
    settle(&kyc).await;
    kyc.requests(Endpoint::Jwks).assert_count(1);
    kyc.requests(Endpoint::Discovery).assert_count(1);
}

#[tokio::test]
async fn keys_are_refreshed_in_the_background_before_they_expire() {
    let (kyc, app, ada) = stopped_clock_mock().await;
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    kyc.clock().advance(seconds(541));
    let gate = kyc.on(Endpoint::Jwks).hold();
    for _ in 0..100 {
        verify(&app, &token(&kyc, &ada)).await.unwrap();
    }
    gate.wait_for(1).await;
    assert_eq!(gate.hits(), 1);
    gate.release();
    kyc.clock().advance(seconds(60));
    verify(&app, &token(&kyc, &ada)).await.unwrap();
    kyc.requests(Endpoint::Jwks).assert_count(2);
}

#[tokio::test]
async fn cancelling_the_first_caller_does_not_cancel_the_fetch() {
    // Covers threat case 140.
    let (kyc, app, ada) = stopped_clock_mock().await;
    let gate = kyc.on(Endpoint::Jwks).hold();
    let token = token(&kyc, &ada);
    let leader = {
        let (app, token) = (app.clone(), token.clone());
        tokio::spawn(async move { verify(&app, &token).await })
    };
    gate.wait_for(1).await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let (verdict, ()) = tokio::join!(verify(&app, &token), async { gate.release() });
    verdict.unwrap();
    kyc.requests(Endpoint::Jwks).assert_count(1);
}
