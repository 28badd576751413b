//! What OpenID Connect, OAuth 2 and HTTP require of the issuer beyond the table of bad inputs.

use std::io::{Read as _, Write as _};

use http::Method;
use kycport::{
    KycTier,
    mock::{Endpoint, MockIssuer},
};

use crate::support::{Desk, and, pairs, payload, query, set};

/// OpenID Connect Core 1.0 section 3.1.2.1.
#[tokio::test]
async fn a_request_comes_as_a_form_too() {
    let desk = Desk::new().await;
    let form = desk.request();
    let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let post = |form: &[(&str, &str)]| {
        let visit = desk
            .browser
            .request(Method::POST, desk.kyc.url(Endpoint::Authorize));
        visit.form(form).send()
    };
    let page = post(&form).await.unwrap();
    page.assert_status(200);
    assert!(page.body().contains("ada@example.test"));
    // The page is at the address of the same request.
    let (login, ada) = (page.url().clone(), &desk.ada);
    assert_eq!(query(&login, "state").as_deref(), Some("the state"));
    let callback = desk.browser.start_sign_in(login, ada).await.unwrap();
    assert!(query(&callback, "code").is_some());
    // What is wrong with it is said as ever.
    let twice = [&form[..], &[("nonce", "other")]].concat();
    let visit = desk
        .browser
        .request(Method::POST, desk.kyc.url(Endpoint::Authorize));
    let page = visit.form(&twice).stay().send().await.unwrap();
    let page = desk.browser.open(page.location().unwrap()).await.unwrap();
    let error = query(&page.location().unwrap(), "error");
    assert_eq!(error.as_deref(), Some("invalid_request"));
}

/// OpenID Connect Core 1.0 section 3.1.2.1: `prompt=none` with an `id_token_hint` of somebody else
/// is an error.
#[tokio::test]
async fn a_hint_at_another_person_is_no_silent_login() {
    let desk = Desk::new().await;
    let grace = desk.kyc.person("grace").create();
    desk.code().await;
    let client = desk.kyc.client();
    let token = |person| desk.kyc.mint().id_token(person, client, "n").sign();
    let silently = async |hint: &str| {
        let request = and(desk.request(), "prompt", "none");
        let request = and(request, "id_token_hint", hint);
        let page = desk.browser.open(desk.authorize_url(&request)).await;
        let to = page.unwrap().location().unwrap();
        query(&to, "error").unwrap_or_else(|| "none".to_owned())
    };
    let own = token(&desk.ada);
    assert_eq!(silently(&own).await, "none");
    assert_eq!(silently(&token(&grace)).await, "login_required");
    let forged = own.split_at(own.len() - 8).0.to_owned() + "AAAAAAAA";
    for hint in [forged.as_str(), "", "a.b.c", "no token"] {
        assert_eq!(silently(hint).await, "invalid_request", "{hint}");
    }
    // It may have expired, and its key may be an old one.
    desk.kyc
        .clock()
        .advance(std::time::Duration::from_secs(3600));
    assert_eq!(silently(&own).await, "none");
}

/// Without a hint, the first person was preselected: Enter during a step-up ended in their account.
#[tokio::test]
async fn the_page_preselects_the_person_who_is_signed_in() {
    let desk = Desk::new().await;
    let grace = desk.kyc.person("grace").tier(KycTier::T1).create();
    let login = desk.authorize_url(&set(desk.request(), "scope", "openid kyc"));
    let page = desk.browser.open(&login).await.unwrap();
    assert!(page.body().contains("<h1>Sign in to "), "{}", page.body());
    desk.browser.start_sign_in(&login, &grace).await.unwrap();

    let step_up = desk.authorize_url(&and(desk.request(), "acr_values", "t2"));
    let page = desk.browser.open(&step_up).await.unwrap();
    let checked = |id: &str| {
        let radio = format!("value=\"{id}\" required checked>");
        page.body().contains(&radio)
    };
    assert!(
        checked(grace.id()) && !checked(desk.ada.id()),
        "{}",
        page.body()
    );
    assert!(page.body().contains("<h1>Continue to "), "{}", page.body());
    // A hint says more.
    let hinted = and(desk.request(), "login_hint", "ada");
    let page = desk
        .browser
        .open(desk.authorize_url(&hinted))
        .await
        .unwrap();
    let radio = format!("value=\"{}\" required checked>", desk.ada.id());
    assert!(page.body().contains(&radio));
}

/// OpenID Connect Discovery 1.0 section 3: what is left out stands for its default.
#[tokio::test]
async fn the_metadata_is_true() {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true);
    let desk = Desk::with(kyc.start().await.unwrap());
    let page = desk.browser.fetch(desk.kyc.discovery_url()).await.unwrap();
    let metadata = page.json();
    assert_eq!(metadata["request_uri_parameter_supported"], false);
    assert_eq!(
        metadata["response_modes_supported"],
        serde_json::json!(["query"])
    );
    let lists =
        |member: &str, word: &str| metadata[member].as_array().unwrap().contains(&word.into());
    assert!(lists("scopes_supported", "offline_access"));
    let tokens = desk.tokens().await.json();
    let claims = payload(tokens["id_token"].as_str().unwrap());
    for claim in claims.as_object().unwrap().keys() {
        assert!(lists("claims_supported", claim), "{claim}");
    }
}

/// RFC 6749 sections 5.1 and 6.
#[tokio::test]
async fn a_refresh_narrows_the_scope_and_never_widens_it() {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true);
    let desk = Desk::with(kyc.start().await.unwrap());
    let login = desk.authorize_url(&set(desk.request(), "scope", "openid email kyc"));
    let callback = desk.browser.start_sign_in(login, &desk.ada).await.unwrap();
    let exchange = desk.exchange(&query(&callback, "code").unwrap());
    let first = desk.token(&exchange).await;
    assert_eq!(first.header("pragma"), Some("no-cache"));
    let refresh = async |token: &serde_json::Value, scope: &str| {
        let form = pairs(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
            ("scope", scope),
            ("client_id", desk.kyc.client().id()),
            ("client_secret", desk.kyc.client().secret().unwrap()),
        ]);
        desk.token(&form).await.json()
    };
    let token = &first.json()["refresh_token"];
    let wider = refresh(token, "openid email kyc profile").await;
    assert_eq!(wider["error"], "invalid_scope");

    let narrower = refresh(token, "openid email").await;
    assert_eq!(narrower["scope"], "openid email");
    let claims = payload(narrower["access_token"].as_str().unwrap());
    assert_eq!(claims["scope"], "openid email");
    let claims = payload(narrower["id_token"].as_str().unwrap());
    assert!(claims.get("kyc_tier").is_none() && claims.get("acr").is_none());
    // The refresh token is for as much as before.
    let whole = refresh(&narrower["refresh_token"], "openid email kyc").await;
    let claims = payload(whole["id_token"].as_str().unwrap());
    assert_eq!(claims["acr"], "t2");
}

#[tokio::test]
async fn the_tier_is_told_with_its_scope_alone() {
    let desk = Desk::new().await;
    for (scope, acr) in [("openid email", None), ("openid kyc", Some("t2"))] {
        let login = desk.authorize_url(&set(desk.request(), "scope", scope));
        let callback = desk.browser.start_sign_in(login, &desk.ada).await.unwrap();
        let exchange = desk.exchange(&query(&callback, "code").unwrap());
        let tokens = desk.token(&exchange).await.json();
        let claims = payload(tokens["id_token"].as_str().unwrap());
        assert_eq!(claims.get("acr").and_then(|it| it.as_str()), acr, "{scope}");
    }
}

/// RFC 6749 section 5.2.
#[tokio::test]
async fn an_error_is_described_in_the_characters_it_may_have() {
    let desk = Desk::new().await;
    for name in ["zoë", "a\"b", "a\\b", "𝄞"] {
        let request = and(and(desk.request(), name, "1"), name, "2");
        let page = desk
            .browser
            .open(desk.authorize_url(&request))
            .await
            .unwrap();
        let text = query(&page.location().unwrap(), "error_description").unwrap();
        let is_good = |c| matches!(c, ' '..='~') && c != '"' && c != '\\';
        assert!(
            text.contains("more than once") && text.chars().all(is_good),
            "{text}"
        );
    }
}

/// RFC 9112 section 3.2.
#[tokio::test]
async fn a_request_without_a_host_is_rejected() {
    let kyc = MockIssuer::start().await;
    for hosts in ["", "host: a\r\nhost: b\r\n"] {
        let mut stream = std::net::TcpStream::connect(kyc.address()).unwrap();
        let request = format!("GET /api/health/ HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

/// RFC 6749 section 5.2, RFC 9110 section 15.5.2: a challenge names a scheme that can be met.
#[tokio::test]
async fn the_challenge_of_the_token_endpoint_can_be_met() {
    let desk = Desk::new().await;
    let form = set(desk.exchange("code"), "client_secret", "wrong");
    let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let challenge = async |authorization: &str| {
        let url = desk.kyc.url(Endpoint::Token);
        let visit = desk.browser.request(Method::POST, url);
        let visit = if authorization.is_empty() {
            visit
        } else {
            visit.header("authorization", authorization)
        };
        let page = visit.form(&form).send().await.unwrap();
        page.assert_status(401);
        page.header("www-authenticate").unwrap().to_owned()
    };
    let post = "ClientSecretPost realm=\"token\"";
    assert_eq!(challenge("").await, post);
    assert_eq!(challenge("Bearer abc").await, post);
    // The scheme that was used.
    assert_eq!(challenge("basic YTpi").await, "Basic realm=\"token\"");
    desk.kyc.switch(|it| it.accept_basic = true);
    assert_eq!(challenge("").await, "Basic realm=\"token\"");
}

/// A client that reads JSON gets JSON for a wrong address, too.
#[tokio::test]
async fn what_is_missing_below_api_is_said_in_json() {
    let desk = Desk::new().await;
    for path in ["/api/", "/api/v2/kyc/x/status/", "/api/oidc/token"] {
        let url = format!("{}{path}", desk.kyc.origin());
        let page = desk.browser.fetch(url).await.unwrap();
        page.assert_status(404);
        assert_eq!(page.header("content-type"), Some("application/json"));
        assert_eq!(page.json()["error"], "not_found", "{path}");
    }
    let url = format!("{}/nothing", desk.kyc.origin());
    let page = desk.browser.open(url).await.unwrap();
    assert!(page.body().starts_with("<!doctype html>"));
}
