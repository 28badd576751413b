//! What a buggy tenant sends, and how it is refused (case 136).

use http::Method;
use kycport::mock::Endpoint;

use crate::support::{BACK, CHALLENGE, Desk, and, query, set, without};

type Params = Vec<(String, String)>;

/// One request gone wrong, and the error and row it is refused with.
struct Refused {
    what: &'static str,
    bend: fn(Params) -> Params,
    error: &'static str,
    row: &'static str,
}

const fn refused(
    what: &'static str,
    bend: fn(Params) -> Params,
    error: &'static str,
    row: &'static str,
) -> Refused {
    Refused {
        what,
        bend,
        error,
        row,
    }
}

/// These get a page and no redirect, for nothing vouches for the address.
const PAGES: &[Refused] = &[
    refused(
        "no client",
        |p| without(p, "client_id"),
        "invalid_request",
        "K14",
    ),
    refused(
        "unknown client",
        |p| set(p, "client_id", "nobody"),
        "invalid_request",
        "K14",
    ),
    refused(
        "empty client",
        |p| set(p, "client_id", ""),
        "invalid_request",
        "K14",
    ),
    refused(
        "two clients",
        |p| and(p, "client_id", "other"),
        "invalid_request",
        "K14",
    ),
    refused(
        "no address",
        |p| without(p, "redirect_uri"),
        "invalid_request",
        "K12",
    ),
    refused(
        "two addresses",
        |p| and(p, "redirect_uri", BACK),
        "invalid_request",
        "K12",
    ),
    refused(
        "a slash more",
        |p| set(p, "redirect_uri", "https://app.example.test/callback/"),
        "invalid_request",
        "K12",
    ),
    refused(
        "other case",
        |p| set(p, "redirect_uri", "https://app.example.test/Callback"),
        "invalid_request",
        "K12",
    ),
    refused(
        "other port",
        |p| set(p, "redirect_uri", "https://app.example.test:8443/callback"),
        "invalid_request",
        "K12",
    ),
    refused(
        "default port",
        |p| set(p, "redirect_uri", "https://app.example.test:443/callback"),
        "invalid_request",
        "K12",
    ),
    refused(
        "http",
        |p| set(p, "redirect_uri", "http://app.example.test/callback"),
        "invalid_request",
        "K12",
    ),
    refused(
        "a query more",
        |p| set(p, "redirect_uri", "https://app.example.test/callback?a=b"),
        "invalid_request",
        "K12",
    ),
];

/// These go back to the client (K14).
const REDIRECTS: &[Refused] = &[
    refused(
        "no type",
        |p| without(p, "response_type"),
        "unsupported_response_type",
        "K10",
    ),
    refused(
        "implicit",
        |p| set(p, "response_type", "id_token"),
        "unsupported_response_type",
        "K10",
    ),
    refused(
        "hybrid",
        |p| set(p, "response_type", "code id_token"),
        "unsupported_response_type",
        "K10",
    ),
    refused("no scope", |p| without(p, "scope"), "invalid_scope", "K13"),
    refused(
        "no openid",
        |p| set(p, "scope", "email kyc"),
        "invalid_scope",
        "K13",
    ),
    refused(
        "unknown scope",
        |p| set(p, "scope", "openid documents"),
        "invalid_scope",
        "K13",
    ),
    refused(
        "no state",
        |p| without(p, "state"),
        "invalid_request",
        "K10",
    ),
    refused(
        "empty state",
        |p| set(p, "state", ""),
        "invalid_request",
        "K10",
    ),
    refused(
        "two states",
        |p| and(p, "state", "other"),
        "invalid_request",
        "K26",
    ),
    refused(
        "huge state",
        |p| set(p, "state", &"s".repeat(5000)),
        "invalid_request",
        "K26",
    ),
    refused(
        "NUL in state",
        |p| set(p, "state", "a\0b"),
        "invalid_request",
        "K26",
    ),
    refused(
        "no nonce",
        |p| without(p, "nonce"),
        "invalid_request",
        "K10",
    ),
    refused(
        "two of what nobody knows",
        |p| and(and(p, "x", "1"), "x", "2"),
        "invalid_request",
        "K26",
    ),
    refused(
        "no PKCE",
        |p| without(p, "code_challenge"),
        "invalid_request",
        "K11",
    ),
    refused(
        "no method",
        |p| without(p, "code_challenge_method"),
        "invalid_request",
        "K11",
    ),
    refused(
        "plain",
        |p| set(p, "code_challenge_method", "plain"),
        "invalid_request",
        "K11",
    ),
    refused(
        "other case",
        |p| set(p, "code_challenge_method", "s256"),
        "invalid_request",
        "K11",
    ),
    refused(
        "short challenge",
        |p| set(p, "code_challenge", &CHALLENGE[1..]),
        "invalid_request",
        "K29",
    ),
    refused(
        "padded challenge",
        |p| set(p, "code_challenge", &format!("{CHALLENGE}=")),
        "invalid_request",
        "K29",
    ),
    refused(
        "fragment",
        |p| and(p, "response_mode", "fragment"),
        "invalid_request",
        "K16",
    ),
    refused(
        "strange prompt",
        |p| and(p, "prompt", "please"),
        "invalid_request",
        "K17",
    ),
    refused(
        "none and login",
        |p| and(p, "prompt", "none login"),
        "invalid_request",
        "K17",
    ),
    refused(
        "strange age",
        |p| and(p, "max_age", "-1"),
        "invalid_request",
        "K17",
    ),
    refused(
        "nobody signed in",
        |p| and(p, "prompt", "none"),
        "login_required",
        "K17",
    ),
    refused(
        "request object",
        |p| and(p, "request", "e30.e30."),
        "request_not_supported",
        "K10",
    ),
];

/// These are refused by the token endpoint with 400; each is tried with a fresh code.
const TOKEN: &[Refused] = &[
    refused(
        "no grant type",
        |p| without(p, "grant_type"),
        "invalid_request",
        "K20",
    ),
    refused(
        "password",
        |p| set(p, "grant_type", "password"),
        "unsupported_grant_type",
        "K20",
    ),
    refused(
        "refresh, which is off",
        |p| set(p, "grant_type", "refresh_token"),
        "unsupported_grant_type",
        "K20",
    ),
    refused("no code", |p| without(p, "code"), "invalid_request", "K20"),
    refused(
        "empty code",
        |p| set(p, "code", ""),
        "invalid_request",
        "K27",
    ),
    refused(
        "two codes",
        |p| and(p, "code", "other"),
        "invalid_request",
        "K26",
    ),
    refused(
        "huge code",
        |p| set(p, "code", &"c".repeat(5000)),
        "invalid_request",
        "K26",
    ),
    refused(
        "a code never issued",
        |p| set(p, "code", "made-up"),
        "invalid_grant",
        "K24",
    ),
    refused(
        "no address",
        |p| without(p, "redirect_uri"),
        "invalid_request",
        "K20",
    ),
    refused(
        "other address",
        |p| set(p, "redirect_uri", "https://app.example.test/callback/"),
        "invalid_grant",
        "K24",
    ),
    refused(
        "no client",
        |p| without(p, "client_id"),
        "invalid_request",
        "K20",
    ),
    refused(
        "two secrets",
        |p| and(p, "client_secret", "x"),
        "invalid_request",
        "K26",
    ),
    refused(
        "empty secret",
        |p| set(p, "client_secret", ""),
        "invalid_request",
        "K27",
    ),
    refused(
        "no verifier",
        |p| without(p, "code_verifier"),
        "invalid_request",
        "K20",
    ),
    refused(
        "short verifier",
        |p| set(p, "code_verifier", "short"),
        "invalid_request",
        "K29",
    ),
    refused(
        "wrong verifier",
        |p| set(p, "code_verifier", &"v".repeat(43)),
        "invalid_grant",
        "K11",
    ),
    refused(
        "the challenge itself",
        |p| set(p, "code_verifier", CHALLENGE),
        "invalid_grant",
        "K11",
    ),
];

/// These are refused with 401.
const CLIENTS: &[Refused] = &[
    refused(
        "unknown client",
        |p| set(p, "client_id", "nobody"),
        "invalid_client",
        "K20",
    ),
    refused(
        "wrong secret",
        |p| set(p, "client_secret", "wrong"),
        "invalid_client",
        "K20",
    ),
    refused(
        "no secret",
        |p| without(p, "client_secret"),
        "invalid_client",
        "K20",
    ),
];

// case 136
#[tokio::test]
async fn an_authorization_request_without_a_sure_address_gets_a_page() {
    let desk = Desk::new().await;
    for case in PAGES {
        let url = desk.authorize_url(&(case.bend)(desk.request()));
        for method in [Method::GET, Method::POST] {
            let visit = desk.browser.request(method, &url).stay();
            let page = visit.send().await.unwrap();
            assert_eq!(page.status(), 400, "{}", case.what);
            assert!(page.location().is_none(), "{}", case.what);
            assert!(page.body().contains(case.row), "{}", case.what);
            let requests = desk.kyc.requests(Endpoint::Authorize);
            let refusal = requests.last().unwrap().refusal().unwrap();
            assert_eq!(
                (refusal.error, refusal.row),
                (case.error, case.row),
                "{}",
                case.what
            );
        }
    }
}

// case 136
#[tokio::test]
async fn any_other_bad_authorization_request_goes_back_to_the_client() {
    let desk = Desk::new().await;
    for case in REDIRECTS {
        let request = (case.bend)(desk.request());
        let page = desk
            .browser
            .open(desk.authorize_url(&request))
            .await
            .unwrap();
        assert_eq!(page.status(), 303, "{}", case.what);
        let to = page.location().unwrap();
        assert!(to.as_str().starts_with(BACK), "{}", case.what);
        assert_eq!(
            query(&to, "error").as_deref(),
            Some(case.error),
            "{}",
            case.what
        );
        assert!(
            query(&to, "error_description").unwrap().contains(case.row),
            "{}",
            case.what
        );
        assert_eq!(
            query(&to, "iss").as_deref(),
            Some(desk.kyc.issuer()),
            "{}",
            case.what
        );
        assert_eq!(query(&to, "code"), None, "{}", case.what);
        if !case.what.contains("state") {
            assert_eq!(
                query(&to, "state").as_deref(),
                Some("the state"),
                "{}",
                case.what
            );
        }
    }
}

// case 136
#[tokio::test]
async fn a_post_to_authorize_says_who_and_whether() {
    let desk = Desk::new().await;
    let url = desk.authorize_url(&desk.request());
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
        let page = desk.browser.post_form(&url, form).await.unwrap();
        assert_eq!(page.status(), 400, "{form:?}");
        assert!(page.body().contains(reason), "{form:?}");
    }
    let form = [("person", "ada"), ("decision", "deny")];
    let visit = desk.browser.request(Method::POST, &url).form(&form).stay();
    let to = visit.send().await.unwrap().location().unwrap();
    assert_eq!(query(&to, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&to, "state").as_deref(), Some("the state"));
}

// case 136
#[tokio::test]
async fn a_bad_token_request_is_refused_with_its_error() {
    let desk = Desk::new().await;
    for (cases, status) in [(TOKEN, 400), (CLIENTS, 401)] {
        for case in cases {
            let form = (case.bend)(desk.exchange(&desk.code().await));
            let page = desk.token(&form).await;
            assert_eq!(page.status(), status, "{}", case.what);
            assert_eq!(page.json()["error"], case.error, "{}", case.what);
            assert_eq!(
                page.header("cache-control"),
                Some("no-store"),
                "{}",
                case.what
            );
            let requests = desk.kyc.requests(Endpoint::Token);
            let refusal = requests.last().unwrap().refusal().unwrap();
            assert_eq!(refusal.row, case.row, "{}", case.what);
        }
    }
}

// case 136
#[tokio::test]
async fn a_client_authenticates_in_the_body_alone() {
    let desk = Desk::new().await;
    let url = desk.kyc.url(Endpoint::Token);
    let form = without(desk.exchange(&desk.code().await), "client_secret");
    let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let basic = {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let client = desk.kyc.client();
        let pair = format!("{}:{}", client.id(), client.secret().unwrap());
        format!("Basic {}", STANDARD.encode(pair))
    };
    let ask = || {
        let visit = desk.browser.request(Method::POST, &url).form(&form);
        visit.header("authorization", &basic).send()
    };
    let page = ask().await.unwrap();
    assert_eq!(page.status(), 401);
    assert_eq!(page.json()["error"], "invalid_client");
    assert!(page.header("www-authenticate").is_some());
    desk.kyc.switch(|switches| switches.accept_basic = true);
    ask().await.unwrap().assert_ok();
}

// case 136
#[tokio::test]
async fn a_public_client_has_no_secret_and_gets_no_code_of_another() {
    let desk = Desk::new().await;
    let public = desk.kyc.public_client();
    assert_eq!(public.secret(), None);
    let own = desk.exchange(&desk.code_for(public).await);
    let own = set(own, "client_id", public.id());
    let page = desk.token(&own).await;
    assert_eq!(page.json()["error"], "invalid_client");
    desk.token(&without(own, "client_secret")).await.assert_ok();

    let foreign = desk.code().await;
    let form = without(desk.exchange(&foreign), "client_secret");
    let page = desk.token(&set(form, "client_id", public.id())).await;
    assert_eq!(page.json()["error"], "invalid_grant");
    // The attempt of another client does not spoil the login.
    desk.token(&desk.exchange(&foreign)).await.assert_ok();
}

// case 136
#[tokio::test]
async fn a_code_works_once_and_its_second_use_revokes_what_it_gave() {
    let desk = Desk::new().await;
    let form = desk.exchange(&desk.code().await);
    let first = desk.token(&form).await;
    let access = first.json()["access_token"].as_str().unwrap().to_owned();
    desk.userinfo(&access).await.assert_ok();
    let second = desk.token(&form).await;
    assert_eq!(
        (second.status(), &second.json()["error"]),
        (400, &"invalid_grant".into())
    );
    let told = desk.userinfo(&access).await;
    assert_eq!(told.status(), 401);
    assert!(
        told.header("www-authenticate")
            .unwrap()
            .contains("invalid_token")
    );
}

// case 136
#[tokio::test]
async fn a_code_lives_for_sixty_seconds() {
    let desk = Desk::new().await;
    desk.kyc.clock().freeze();
    for (seconds, status) in [(59, 200), (60, 400)] {
        let form = desk.exchange(&desk.code().await);
        desk.kyc
            .clock()
            .advance(std::time::Duration::from_secs(seconds));
        assert_eq!(
            desk.token(&form).await.status(),
            status,
            "after {seconds} s"
        );
    }
}

// case 136
#[tokio::test]
async fn each_address_answers_its_methods_and_no_other() {
    let desk = Desk::new().await;
    let origin = desk.kyc.origin().to_owned();
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
        let visit = desk
            .browser
            .request(method.clone(), format!("{origin}{path}"));
        let page = visit.send().await.unwrap();
        assert_eq!(page.status(), status, "{method} {path}");
    }
    let huge = "x".repeat(2 * 1024 * 1024);
    let page = desk.token(&[("code".to_owned(), huge)]).await;
    assert_eq!(page.status(), 413);
}

#[tokio::test]
async fn only_an_https_or_loopback_address_is_registered() {
    let desk = Desk::new().await;
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
        let result = desk.kyc.client().register_redirect_uri(uri);
        assert_eq!(result.is_ok(), taken, "{uri}");
    }
}
