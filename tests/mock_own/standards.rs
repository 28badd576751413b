//! Tests that the mock follows OpenID Connect, OAuth 2.0 and HTTP, for requirements that
//! `bad_input.md` does not contain.

use std::io::{Read as _, Write as _};

use http::Method;
use kycport::{
    KycTier,
    mock::{Endpoint, MockIssuer},
};

use crate::support::{TestIssuer, and, pairs, payload, query, set};

/// See OpenID Connect Core 1.0 section 3.1.2.1.
#[tokio::test]
async fn an_authorization_request_can_be_sent_as_a_form() {
    let issuer = TestIssuer::new().await;
    let form = issuer.request();
    let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let post = |form: &[(&str, &str)]| {
        let visit = issuer
            .browser
            .request(Method::POST, issuer.kyc.url(Endpoint::Authorize));
        visit.form(form).send()
    };
    let page = post(&form).await.unwrap();
    page.assert_status(200);
    assert!(page.body().contains("ada@example.test"));
    // The URL of the page contains the authorization request.
    let (login, ada) = (page.url().clone(), &issuer.ada);
    assert_eq!(query(&login, "state").as_deref(), Some("the state"));
    let callback = issuer.browser.start_sign_in(login, ada).await.unwrap();
    assert!(query(&callback, "code").is_some());
    // The mock also redirects errors of a form request to the client.
    let twice = [&form[..], &[("nonce", "other")]].concat();
    let visit = issuer
        .browser
        .request(Method::POST, issuer.kyc.url(Endpoint::Authorize));
    let page = visit.form(&twice).stay().send().await.unwrap();
    let page = issuer.browser.open(page.location().unwrap()).await.unwrap();
    let error = query(&page.location().unwrap(), "error");
    assert_eq!(error.as_deref(), Some("invalid_request"));
}

/// OpenID Connect Core 1.0 section 3.1.2.1: The mock rejects `prompt=none` with an `id_token_hint`
/// of another person.
#[tokio::test]
async fn an_id_token_hint_of_another_person_fails_with_prompt_none() {
    let issuer = TestIssuer::new().await;
    let grace = issuer.kyc.person("grace").create();
    issuer.code().await;
    let client = issuer.kyc.client();
    let token = |person| issuer.kyc.mint().id_token(person, client, "n").sign();
    let silently = async |hint: &str| {
        let request = and(issuer.request(), "prompt", "none");
        let request = and(request, "id_token_hint", hint);
        let page = issuer.browser.open(issuer.authorize_url(&request)).await;
        let to = page.unwrap().location().unwrap();
        query(&to, "error").unwrap_or_else(|| "none".to_owned())
    };
    let own = token(&issuer.ada);
    assert_eq!(silently(&own).await, "none");
    assert_eq!(silently(&token(&grace)).await, "login_required");
    let forged = own.split_at(own.len() - 8).0.to_owned() + "AAAAAAAA";
    for hint in [forged.as_str(), "", "a.b.c", "no token"] {
        assert_eq!(silently(hint).await, "invalid_request", "{hint}");
    }
    // The mock accepts an expired `id_token_hint`.
    issuer
        .kyc
        .clock()
        .advance(std::time::Duration::from_secs(3600));
    assert_eq!(silently(&own).await, "none");
}

/// If the page preselected the first person in the list, a user could sign in as another person.
/// The user only had to press Enter during a step-up.
#[tokio::test]
async fn the_page_preselects_the_person_who_is_signed_in() {
    let issuer = TestIssuer::new().await;
    let grace = issuer.kyc.person("grace").tier(KycTier::T1).create();
    let login = issuer.authorize_url(&set(issuer.request(), "scope", "openid kyc"));
    let page = issuer.browser.open(&login).await.unwrap();
    assert!(page.body().contains("<h1>Sign in to "), "{}", page.body());
    issuer.browser.start_sign_in(&login, &grace).await.unwrap();

    let step_up = issuer.authorize_url(&and(issuer.request(), "acr_values", "t2"));
    let page = issuer.browser.open(&step_up).await.unwrap();
    let checked = |id: &str| {
        let radio = format!("value=\"{id}\" required checked>");
        page.body().contains(&radio)
    };
    assert!(
        checked(grace.id()) && !checked(issuer.ada.id()),
        "{}",
        page.body()
    );
    assert!(page.body().contains("<h1>Continue to "), "{}", page.body());
    // A `login_hint` takes precedence over the session.
    let hinted = and(issuer.request(), "login_hint", "ada");
    let page = issuer
        .browser
        .open(issuer.authorize_url(&hinted))
        .await
        .unwrap();
    let radio = format!("value=\"{}\" required checked>", issuer.ada.id());
    assert!(page.body().contains(&radio));
}

/// OpenID Connect Discovery 1.0 section 3: An omitted member of the metadata has its default value.
#[tokio::test]
async fn the_metadata_matches_the_endpoints() {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true);
    let issuer = TestIssuer::with(kyc.start().await.unwrap());
    let page = issuer
        .browser
        .fetch(issuer.kyc.discovery_url())
        .await
        .unwrap();
    let metadata = page.json();
    assert_eq!(metadata["request_uri_parameter_supported"], false);
    assert_eq!(
        metadata["response_modes_supported"],
        serde_json::json!(["query"])
    );
    let lists =
        |member: &str, word: &str| metadata[member].as_array().unwrap().contains(&word.into());
    assert!(lists("scopes_supported", "offline_access"));
    let tokens = issuer.tokens().await.json();
    let claims = payload(tokens["id_token"].as_str().unwrap());
    for claim in claims.as_object().unwrap().keys() {
        assert!(lists("claims_supported", claim), "{claim}");
    }
}

/// See RFC 6749 sections 5.1 and 6.
#[tokio::test]
async fn a_refresh_narrows_the_scope_and_never_widens_it() {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true);
    let issuer = TestIssuer::with(kyc.start().await.unwrap());
    let login = issuer.authorize_url(&set(issuer.request(), "scope", "openid email kyc"));
    let callback = issuer
        .browser
        .start_sign_in(login, &issuer.ada)
        .await
        .unwrap();
    let exchange = issuer.exchange(&query(&callback, "code").unwrap());
    let first = issuer.token(&exchange).await;
    assert_eq!(first.header("pragma"), Some("no-cache"));
    let refresh = async |token: &serde_json::Value, scope: &str| {
        let form = pairs(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
            ("scope", scope),
            ("client_id", issuer.kyc.client().id()),
            ("client_secret", issuer.kyc.client().secret().unwrap()),
        ]);
        issuer.token(&form).await.json()
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
    // The new refresh token keeps all scopes of the grant.
    let whole = refresh(&narrower["refresh_token"], "openid email kyc").await;
    let claims = payload(whole["id_token"].as_str().unwrap());
    assert_eq!(claims["acr"], "t2");
}

#[tokio::test]
async fn the_tier_is_returned_only_with_its_scope() {
    let issuer = TestIssuer::new().await;
    for (scope, acr) in [("openid email", None), ("openid kyc", Some("t2"))] {
        let login = issuer.authorize_url(&set(issuer.request(), "scope", scope));
        let callback = issuer
            .browser
            .start_sign_in(login, &issuer.ada)
            .await
            .unwrap();
        let exchange = issuer.exchange(&query(&callback, "code").unwrap());
        let tokens = issuer.token(&exchange).await.json();
        let claims = payload(tokens["id_token"].as_str().unwrap());
        assert_eq!(claims.get("acr").and_then(|it| it.as_str()), acr, "{scope}");
    }
}

/// See RFC 6749 section 5.2.
#[tokio::test]
async fn an_error_description_has_only_allowed_characters() {
    let issuer = TestIssuer::new().await;
    for name in ["zoë", "a\"b", "a\\b", "𝄞"] {
        let request = and(and(issuer.request(), name, "1"), name, "2");
        let page = issuer
            .browser
            .open(issuer.authorize_url(&request))
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

/// See RFC 9112 section 3.2.
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

/// RFC 6749 section 5.2, RFC 9110 section 15.5.2: The challenge contains a scheme that the client
/// can use.
#[tokio::test]
async fn the_token_endpoint_challenge_names_a_usable_scheme() {
    let issuer = TestIssuer::new().await;
    let form = set(issuer.exchange("code"), "client_secret", "wrong");
    let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let challenge = async |authorization: &str| {
        let url = issuer.kyc.url(Endpoint::Token);
        let visit = issuer.browser.request(Method::POST, url);
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
    // The challenge contains Basic, because the client used Basic.
    assert_eq!(challenge("basic YTpi").await, "Basic realm=\"token\"");
    issuer.kyc.switch(|it| it.accept_basic = true);
    assert_eq!(challenge("").await, "Basic realm=\"token\"");
}

/// A client that accepts JSON also gets JSON for an unknown URL.
#[tokio::test]
async fn an_unknown_api_path_returns_a_json_error() {
    let issuer = TestIssuer::new().await;
    for path in ["/api/", "/api/v2/kyc/x/status/", "/api/oidc/token"] {
        let url = format!("{}{path}", issuer.kyc.origin());
        let page = issuer.browser.fetch(url).await.unwrap();
        page.assert_status(404);
        assert_eq!(page.header("content-type"), Some("application/json"));
        assert_eq!(page.json()["error"], "not_found", "{path}");
    }
    let url = format!("{}/nothing", issuer.kyc.origin());
    let page = issuer.browser.open(url).await.unwrap();
    assert!(page.body().starts_with("<!doctype html>"));
}
