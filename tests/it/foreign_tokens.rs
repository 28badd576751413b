//! Tests with tokens that other libraries created. The tokens are stored next to the scripts that
//! created the tokens.

use kycport::{
    Secret, Timestamp,
    oidc::{
        AlgorithmNames, ExpectedAccessToken, ExpectedIdToken, KeySet, TokenValidationError,
        verify_access_token, verify_id_token,
    },
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    issuer: String,
    client_id: String,
    nonce: String,
    now: i64,
    access_token: String,
    jwks: serde_json::Value,
    tokens: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    name: String,
    kind: String,
    token: String,
    /// Expected result: `ok`, or the code of the error.
    verdict: String,
}

/// Verifies every token of the fixture, and returns the numbers of accepted and rejected tokens.
fn verify_all(json: &str) -> (usize, usize) {
    let fixture: Fixture = serde_json::from_str(json).unwrap();
    let jwks = fixture.jwks.to_string();
    let keys = KeySet::from_json(jwks.as_bytes(), AlgorithmNames::default()).unwrap();
    let now = Timestamp::from_unix(fixture.now);
    let access = ExpectedAccessToken::new(&fixture.issuer, &fixture.client_id);
    let nonce = Secret::new(fixture.nonce);
    let mut id = ExpectedIdToken::new(&fixture.issuer, &fixture.client_id, nonce);
    id.access_token = Some(Secret::new(fixture.access_token));
    let mut accepted = 0;
    for token in &fixture.tokens {
        let judged = match token.kind.as_str() {
            "id" => verify_id_token(&token.token, &keys, &id, now).map(|it| it.subject),
            "access" => verify_access_token(&token.token, &keys, &access, now).map(|it| it.subject),
            other => panic!("{other} is not a token kind"),
        };
        let verdict = judged
            .as_ref()
            .map_or_else(TokenValidationError::code, |_| "ok");
        assert_eq!(
            verdict, token.verdict,
            "{} ({} token)",
            token.name, token.kind
        );
        if let Ok(subject) = judged {
            assert_eq!(subject, "person-1");
            accepted += 1;
        }
    }
    (accepted, fixture.tokens.len() - accepted)
}

#[test]
fn tokens_of_joserfc_get_the_expected_results() {
    // Covers threat cases 16, 22, 56 to 60, 62 to 64, 67, 69, 72, 79, 84.
    let counts = verify_all(include_str!("../fixtures/joserfc.json"));
    assert_eq!(counts, (5, 19));
}

#[test]
fn tokens_of_jose_get_the_expected_results() {
    // Covers threat cases 16, 22, 56 to 60, 62, 63, 71, 73, 74, 76, 79, 84, 85.
    let counts = verify_all(include_str!("../fixtures/jose.json"));
    assert_eq!(counts, (4, 22));
}
