//! Tests that a login over plain HTTP succeeds, and that the log contains no secret.

use reqwest::{Client, redirect::Policy};
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::program::Running;

/// Example from RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const BACK: &str = "http://127.0.0.1:4000/callback";

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

async fn post(http: &Client, url: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
    let request = http.post(url).body(form(pairs));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

#[cfg(unix)]
#[tokio::test]
async fn a_login_logs_no_secret() {
    let mock = Running::start(&["--sample-persons", "--auto-consent", "--redirect-uri", BACK]);
    let http = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let discovery = http.get(mock.get("discovery_url")).send().await.unwrap();
    let at: Value = serde_json::from_str(&discovery.text().await.unwrap()).unwrap();
    let at = |name: &str| at[name].as_str().unwrap().to_owned();
    let query = form(&[
        ("response_type", "code"),
        ("client_id", mock.get("client_id")),
        ("redirect_uri", BACK),
        ("scope", "openid kyc"),
        ("state", "a-random-state"),
        ("nonce", "a-random-nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("login_hint", "ada"),
    ]);
    let url = format!("{}?{query}", at("authorization_endpoint"));
    let allowed = http.get(url).send().await.unwrap();
    assert_eq!(allowed.status(), 303);
    let back = Url::parse(allowed.headers()["location"].to_str().unwrap()).unwrap();
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let exchange = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", BACK),
        ("client_id", mock.get("client_id")),
        ("client_secret", mock.get("client_secret")),
        ("code_verifier", VERIFIER),
    ];
    let (status, tokens) = post(&http, &at("token_endpoint"), &exchange).await;
    assert_eq!(status, 200);
    let access = tokens["access_token"].as_str().unwrap().to_owned();
    let userinfo = http
        .get(at("userinfo_endpoint"))
        .bearer_auth(&access)
        .send()
        .await
        .unwrap();
    let userinfo: Value = serde_json::from_str(&userinfo.text().await.unwrap()).unwrap();
    assert_eq!(
        (&userinfo["kyc_status"], &userinfo["kyc_tier"]),
        (&"verified".into(), &"t2".into())
    );
    // The mock accepts a code only once.
    assert_eq!(post(&http, &at("token_endpoint"), &exchange).await.0, 400);
    // The name of this parameter contains a terminal escape sequence.
    let url = format!("{}?%1b%5b2J=1", at("jwks_uri"));
    http.get(url).send().await.unwrap();

    let secrets = [
        code,
        access,
        mock.get("client_secret").to_owned(),
        VERIFIER.to_owned(),
        "a-random-state".to_owned(),
        "a-random-nonce".to_owned(),
        "login_hint=".to_owned(),
        "\u{1b}".to_owned(),
    ];
    // The program logs requests to standard error if the first line is for a script.
    let (out, lines, _) = mock.end_by("-INT");
    assert_eq!(out, "");
    for secret in secrets {
        assert!(!lines.contains(&secret), "{lines}");
    }
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!(
        lines[0],
        "GET /api/oidc/.well-known/openid-configuration -> 200"
    );
    assert!(
        lines[1].starts_with("GET /authorize?response_type,client_id,"),
        "{}",
        lines[1]
    );
    assert!(lines[1].ends_with(" -> 303"), "{}", lines[1]);
    // The log contains the reason for the rejection and the row of the contract.
    assert!(lines[4].contains(" -> 400 invalid_grant: "), "{}", lines[4]);
    assert!(lines[4].ends_with("(K24)"), "{}", lines[4]);
}

#[tokio::test]
async fn the_log_can_be_disabled() {
    let mock = Running::start(&["--quiet", "--until-stdin-ends"]);
    let http = Client::builder().no_proxy().build().unwrap();
    http.get(mock.get("discovery_url")).send().await.unwrap();
    assert_eq!(mock.close_stdin(), (String::new(), String::new(), true));
}
