//! Tests that the mock enforces rules that need more than one request (case 136). `bad_input.md`
//! contains the rules that need only one request.

use http::Method;
use kycport::mock::Endpoint;

use crate::support::{TestIssuer, query, set, without};

// case 136
#[tokio::test]
async fn a_post_to_authorize_needs_one_person_and_one_decision() {
    let issuer = TestIssuer::new().await;
    let url = issuer.authorize_url(&issuer.request());
    for (form, reason) in [
        (&[("decision", "allow")][..], "person"),
        (&[("person", "nobody"), ("decision", "allow")], "person"),
        (&[("person", "ada")], "decision"),
        (
            &[("person", "ada"), ("person", "ada"), ("decision", "allow")],
            "more than once",
        ),
        (&[], "decision"),
    ] {
        let page = issuer.browser.post_form(&url, form).await.unwrap();
        assert_eq!(page.status(), 400, "{form:?}");
        assert!(page.body().contains(reason), "{form:?}");
    }
    let form = [("person", "ada"), ("decision", "deny")];
    let visit = issuer
        .browser
        .request(Method::POST, &url)
        .form(&form)
        .stay();
    let to = visit.send().await.unwrap().location().unwrap();
    assert_eq!(query(&to, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&to, "state").as_deref(), Some("the state"));
}

// case 136
#[tokio::test]
async fn a_client_authenticates_only_in_the_body() {
    let issuer = TestIssuer::new().await;
    let url = issuer.kyc.url(Endpoint::Token);
    let form = without(issuer.exchange(&issuer.code().await), "client_secret");
    let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let basic = {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let client = issuer.kyc.client();
        let pair = format!("{}:{}", client.id(), client.secret().unwrap());
        format!("Basic {}", STANDARD.encode(pair))
    };
    let ask = || {
        let visit = issuer.browser.request(Method::POST, &url).form(&form);
        visit.header("authorization", &basic).send()
    };
    let page = ask().await.unwrap();
    assert_eq!(page.status(), 401);
    assert_eq!(page.json()["error"], "invalid_client");
    assert!(page.header("www-authenticate").is_some());
    issuer.kyc.switch(|switches| switches.accept_basic = true);
    ask().await.unwrap().assert_ok();
}

// case 136
#[tokio::test]
async fn a_public_client_has_no_secret_and_cannot_redeem_the_code_of_another_client() {
    let issuer = TestIssuer::new().await;
    let public = issuer.kyc.public_client();
    assert_eq!(public.secret(), None);
    let own = issuer.exchange(&issuer.code_for(public).await);
    let own = set(own, "client_id", public.id());
    let page = issuer.token(&own).await;
    assert_eq!(page.json()["error"], "invalid_client");
    issuer
        .token(&without(own, "client_secret"))
        .await
        .assert_ok();

    let foreign = issuer.code().await;
    let form = without(issuer.exchange(&foreign), "client_secret");
    let page = issuer.token(&set(form, "client_id", public.id())).await;
    assert_eq!(page.json()["error"], "invalid_grant");
    // A request of another client does not invalidate the code.
    issuer.token(&issuer.exchange(&foreign)).await.assert_ok();
}

// case 136
#[tokio::test]
async fn a_code_works_once_and_its_second_use_revokes_its_tokens() {
    let issuer = TestIssuer::new().await;
    let form = issuer.exchange(&issuer.code().await);
    let first = issuer.token(&form).await;
    let access = first.json()["access_token"].as_str().unwrap().to_owned();
    issuer.userinfo(&access).await.assert_ok();
    let second = issuer.token(&form).await;
    assert_eq!(
        (second.status(), &second.json()["error"]),
        (400, &"invalid_grant".into())
    );
    let info = issuer.userinfo(&access).await;
    assert_eq!(info.status(), 401);
    assert!(
        info.header("www-authenticate")
            .unwrap()
            .contains("invalid_token")
    );
}

// case 136
#[tokio::test]
async fn a_code_is_valid_for_sixty_seconds() {
    let issuer = TestIssuer::new().await;
    issuer.kyc.clock().freeze();
    for (seconds, status) in [(59, 200), (60, 400)] {
        let form = issuer.exchange(&issuer.code().await);
        issuer
            .kyc
            .clock()
            .advance(std::time::Duration::from_secs(seconds));
        assert_eq!(
            issuer.token(&form).await.status(),
            status,
            "after {seconds} s"
        );
    }
}

// case 136
#[tokio::test]
async fn each_endpoint_accepts_only_its_methods() {
    let issuer = TestIssuer::new().await;
    let origin = issuer.kyc.origin().to_owned();
    for (method, path, status) in [
        (Method::GET, "/api/oidc/token/", 405),
        (Method::PUT, "/api/oidc/token/", 405),
        (Method::POST, "/api/oidc/token", 404),
        (Method::POST, "/api/oidc/jwks/", 405),
        (Method::GET, "/api/oidc/jwks", 404),
        (
            Method::POST,
            "/api/oidc/.well-known/openid-configuration",
            405,
        ),
        (Method::GET, "/.well-known/openid-configuration", 404),
        (Method::DELETE, "/authorize", 405),
        (Method::GET, "/authorize/", 404),
        (Method::GET, "/api/oidc/userinfo/", 401),
        (Method::GET, "/api/oidc/userinfo/?access_token=x", 400),
    ] {
        let visit = issuer
            .browser
            .request(method.clone(), format!("{origin}{path}"));
        let page = visit.send().await.unwrap();
        assert_eq!(page.status(), status, "{method} {path}");
    }
    let huge = "x".repeat(2 * 1024 * 1024);
    let page = issuer.token(&[("code".to_owned(), huge)]).await;
    assert_eq!(page.status(), 413);
}

#[tokio::test]
async fn only_https_and_loopback_redirect_uris_are_registered() {
    let issuer = TestIssuer::new().await;
    for (uri, taken) in [
        ("https://app.example.test/cb?a=b", true),
        ("http://127.0.0.1:3000/cb", true),
        ("http://[::1]:3000/cb", true),
        ("http://localhost:3000/cb", true),
        ("http://app.example.test/cb", false),
        ("http://localhost.evil.test/cb", false),
        ("https://app.example.test/cb#part", false),
        ("https://ada@app.example.test/cb", false),
        ("/cb", false),
        ("javascript:alert(1)", false),
    ] {
        let result = issuer.kyc.client().register_redirect_uri(uri);
        assert_eq!(result.is_ok(), taken, "{uri}");
    }
}
