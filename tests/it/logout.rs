//! Tests that a logout ends the session, and that a redirect after a logout stays within the app.

use std::collections::BTreeSet;

use axum::http::Method;
use kycport::mock::Browser;
use url::{Url, form_urlencoded};

use crate::{
    observed::Observed,
    recording_store::{Op, SESSION, TOKENS, TestApp, setup},
    stages::everywhere,
};

const COOKIE: &str = "__Host-kycport";

async fn signed_in(setup: &TestApp) -> Browser {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    browser
        .sign_in(login, &setup.ada)
        .await
        .unwrap()
        .assert_ok();
    browser
}

async fn me(setup: &TestApp, browser: &Browser) -> u16 {
    let page = browser.fetch(setup.app.url("/auth/me")).await.unwrap();
    page.status()
}

#[tokio::test]
async fn the_cookie_deletion_has_the_attributes_of_the_cookie() {
    // Covers threat case 108.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;

        let page = browser
            .request(Method::POST, setup.app.url("/auth/logout"))
            .form(&[])
            .stay()
            .send()
            .await
            .unwrap();

        page.assert_status(303);
        assert_eq!(page.header("location"), Some("/"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let cookie = page.header("set-cookie").unwrap();
        let mut parts: BTreeSet<&str> = cookie.split("; ").collect();
        parts.retain(|part| !part.starts_with("Expires="));
        assert_eq!(
            parts,
            BTreeSet::from([
                "__Host-kycport=",
                "HttpOnly",
                "Secure",
                "SameSite=Lax",
                "Path=/",
                "Max-Age=0",
            ])
        );
        assert!(cookie.contains("Expires="));
        assert_eq!(browser.cookie(setup.app.url("/"), COOKIE), None);
    })
    .await;
}

#[tokio::test]
async fn a_revoked_session_is_deleted_from_the_store() {
    // Covers threat case 109.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        let stolen = browser.clone();
        let page = browser
            .request(Method::POST, setup.app.url("/auth/logout"))
            .fetch()
            .send()
            .await
            .unwrap();
        page.assert_status(204);
        for kind in [SESSION, TOKENS] {
            assert_eq!(setup.store.bodies(kind).await.len(), 0);
        }
        assert_eq!(me(&setup, &stolen).await, 401);
        let page = stolen.open(setup.app.url("/vault")).await.unwrap();
        page.assert_status(303);
        // A second logout gets the same response as the first logout.
        let again = stolen.post_form(setup.app.url("/auth/logout"), &[]).await;
        again.unwrap().assert_ok();
    })
    .await;
}

#[tokio::test]
async fn an_image_or_another_site_cannot_sign_a_person_out() {
    // Covers threat case 110.
    let setup = setup().await;
    let browser = signed_in(&setup).await;
    let url = setup.app.url("/auth/logout");
    let evil = Url::parse("https://evil.example/").unwrap();
    let key = browser.cookie(setup.app.url("/"), COOKIE).unwrap();
    let cookie = format!("{COOKIE}={key}");
    for (visit, status) in [
        (browser.request(Method::GET, &url), 405),
        (browser.request(Method::HEAD, &url), 405),
        (
            browser
                .request(Method::GET, &url)
                .from(&evil)
                .header("sec-fetch-dest", "image"),
            405,
        ),
        (browser.request(Method::POST, &url).from(&evil), 403),
        (browser.request(Method::POST, &url).from_opaque(), 403),
        (browser.request(Method::POST, &url).from(&evil).fetch(), 403),
    ] {
        let page = visit.header("cookie", &cookie).stay().send().await.unwrap();
        page.assert_status(status);
        assert_eq!(page.header("set-cookie"), None);
        assert_eq!(me(&setup, &browser).await, 200);
    }
    // The browser does not send the session cookie because of `SameSite`. The response must not
    // delete the cookie.
    let page = browser
        .request(Method::POST, &url)
        .from(&evil)
        .stay()
        .send()
        .await
        .unwrap();
    page.assert_status(403);
    assert_eq!(page.header("set-cookie"), None);
    assert_eq!(me(&setup, &browser).await, 200);
}

#[tokio::test]
async fn a_failed_logout_is_not_reported_as_done() {
    // Covers threat cases 95, 108.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        setup.store.fail_on(Op::Write, SESSION);
        let url = setup.app.url("/auth/logout");
        let page = browser.post_form(&url, &[]).await.unwrap();
        page.assert_status(503);
        assert_eq!(page.header("set-cookie"), None);
        assert!(browser.cookie(setup.app.url("/"), COOKIE).is_some());

        setup.store.heal();
        browser.post_form(&url, &[]).await.unwrap().assert_ok();
        assert_eq!(me(&setup, &browser).await, 401);
    })
    .await;
}

#[tokio::test]
async fn everywhere_is_also_read_from_the_query() {
    let setup = setup().await;
    for (query, form, ends_others) in [
        ("?everywhere=1", None, true),
        ("?everywhere=true", Some(("everywhere", "0")), true),
        ("?a=b", Some(("everywhere", "1")), true),
        ("?everywhere=0", None, false),
        ("?everywhere=", Some(("everywhere", "false")), false),
        ("", None, false),
    ] {
        let (here, other) = (signed_in(&setup).await, signed_in(&setup).await);
        let url = setup.app.url(&format!("/auth/logout{query}"));
        let out = here.request(Method::POST, url);
        let out = match form {
            Some(pair) => out.form(&[pair]),
            None => out,
        };
        out.fetch().send().await.unwrap().assert_status(204);
        assert_eq!(me(&setup, &here).await, 401, "{query}");
        let expected = if ends_others { 401 } else { 200 };
        assert_eq!(me(&setup, &other).await, expected, "{query}");
    }
}

#[tokio::test]
async fn no_logout_parameter_causes_an_open_redirect() {
    // Covers threat case 111.
    let setup = setup().await;
    let evil = "https://evil.example/";
    for name in [
        "post_logout_redirect_uri",
        "return_to",
        "redirect_uri",
        "next",
        "state",
    ] {
        let browser = signed_in(&setup).await;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair(name, evil)
            .finish();
        let page = browser
            .request(
                Method::POST,
                setup.app.url(&format!("/auth/logout?{query}")),
            )
            .form(&[(name, evil)])
            .stay()
            .send()
            .await
            .unwrap();
        page.assert_status(303);
        assert_eq!(page.header("location"), Some("/"), "{name}");
        assert_eq!(me(&setup, &browser).await, 401);
    }
}

#[tokio::test]
async fn a_logout_without_a_session_is_not_logged() {
    let setup = setup().await;
    let (observed, _listening) = Observed::listen();
    let browser = signed_in(&setup).await;
    let stolen = browser.clone();
    let logout = setup.app.url("/auth/logout");
    // The second cookie has the key of a session that has ended.
    for browser in [&browser, &stolen] {
        let request = browser.request(Method::POST, logout.as_str());
        request.fetch().send().await.unwrap().assert_status(204);
        assert_eq!(observed.of("kycport.session.ended").len(), 1);
    }
}

#[tokio::test]
async fn logout_works_while_the_issuer_is_down() {
    // Covers threat case 112.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        setup.kyc.stop().unwrap();
        assert_eq!(me(&setup, &browser).await, 200);
        let url = setup.app.url("/auth/logout");
        browser.post_form(url, &[]).await.unwrap().assert_ok();
        assert_eq!(me(&setup, &browser).await, 401);
    })
    .await;
}

#[tokio::test]
async fn login_returns_to_a_page_of_this_app_or_to_the_home_page() {
    // Covers threat cases 105, 107.
    let setup = setup().await;
    let browser = setup.kyc.browser();
    for (return_to, lands) in [
        ("/vault?a=1&b=%2F%2Fx", "/vault?a=1&b=%2F%2Fx"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/%2f%2fevil.example", "/"),
        ("/%5cevil.example", "/"),
        ("/.//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("https:evil.example", "/"),
        ("http://[", "/"),
        ("javascript:alert(1)", "/"),
        ("//user@evil.example", "/"),
        ("@evil.example", "/"),
        (".evil.example", "/"),
        ("/\r\nlocation: https://evil.example", "/"),
        ("/\u{2028}", "/%E2%80%A8"),
        ("/\u{ff0f}evil.example", "/%EF%BC%8Fevil.example"),
        // These paths contain a space or an umlaut, which the caller encoded once or twice.
        ("/vault?name=Zo\u{eb} Ada", "/vault?name=Zo%C3%AB%20Ada"),
        ("/vault?name=Zo%C3%AB%20Ada", "/vault?name=Zo%C3%AB%20Ada"),
        // A login that returned to the login or logout endpoint would cause a redirect loop.
        ("/auth/login", "/"),
        ("/auth/login?return_to=/vault", "/"),
        ("/auth/callback?code=x&state=y", "/"),
        ("/auth/logout", "/"),
        ("/nested/../auth/login", "/"),
        ("/auth", "/"),
        ("/authors", "/authors"),
    ] {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", return_to)
            .finish();
        let login = setup.app.url(&format!("/auth/login?{query}"));
        let callback = browser.start_sign_in(login, &setup.ada).await.unwrap();
        let page = browser.open(callback).await.unwrap();
        page.assert_status(303);
        assert_eq!(page.header("location"), Some(lands), "{return_to:?}");
    }
    for raw in [
        "return_to=%ff%fe",
        "return_to=/a%ff",
        "return_to=%00",
        "return_to",
        "%=%",
    ] {
        let login = setup.app.url(&format!("/auth/login?{raw}"));
        let callback = browser.start_sign_in(login, &setup.ada).await.unwrap();
        let page = browser.open(callback).await.unwrap();
        assert_eq!(page.header("location"), Some("/"), "{raw}");
    }
}

#[tokio::test]
async fn a_guarded_page_with_an_unusual_path_causes_no_open_redirect() {
    // Covers threat cases 105, 106.
    let setup = setup().await;
    let browser = setup.kyc.browser();
    for path in ["//evil.example/vault", "/vault/../..//evil.example"] {
        let page = browser.open(setup.app.url(path)).await.unwrap();
        if let Some(to) = page.location() {
            assert!(to.as_str().starts_with(&setup.app.url("/auth/login")));
        }
        assert!(!page.body().contains("evil.example"));
    }
}
