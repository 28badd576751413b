//! Tests that the app rejects a request that another site makes a browser send (CSRF).

use std::fmt::Write as _;

use axum::http::Method;
use kycport::mock::Browser;
use url::Url;

use crate::{
    recording_store::{SESSION, TestApp, setup},
    support::raw,
};

const COOKIE: &str = "__Host-kycport";

async fn signed_in(setup: &TestApp) -> (Browser, String) {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    browser
        .sign_in(login, &setup.ada)
        .await
        .unwrap()
        .assert_ok();
    let key = browser.cookie(setup.app.url("/"), COOKIE).unwrap();
    (browser, format!("{COOKIE}={key}"))
}

/// Sends a request with only these headers, and returns the status and the whole response.
async fn send(setup: &TestApp, line: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    request.push_str("content-length: 0\r\n\r\n");
    let answer = raw(&setup.app, request.as_bytes()).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

async fn withdrawals(setup: &TestApp) -> String {
    let browser = setup.kyc.browser();
    let page = browser.get(setup.app.url("/withdrawals")).await.unwrap();
    page.body().to_owned()
}

#[tokio::test]
async fn only_same_origin_requests_change_state() {
    // Covers threat cases 101, 102.
    let setup = setup().await;
    let (_, cookie) = signed_in(&setup).await;
    let own = setup.app.url("");
    let sibling = own.replace("127.0.0.1", "sibling.127.0.0.1");
    let other_port = format!("{own}1");
    let mut passed = 0;
    for (headers, allowed) in [
        (vec![], false),
        (vec![("sec-fetch-site", "cross-site")], false),
        (vec![("sec-fetch-site", "same-site")], false),
        (vec![("sec-fetch-site", "")], false),
        (vec![("origin", "null")], false),
        (vec![("origin", "https://evil.example")], false),
        (vec![("origin", &sibling)], false),
        (vec![("origin", &other_port)], false),
        (
            vec![("sec-fetch-site", "same-site"), ("origin", &own)],
            false,
        ),
        (
            vec![("sec-fetch-site", "same-site"), ("origin", "null")],
            false,
        ),
        (
            vec![("sec-fetch-site", "cross-site"), ("origin", "null")],
            false,
        ),
        (vec![("sec-fetch-site", "none"), ("origin", "null")], false),
        (vec![("x-kycport-csrf", "1"), ("origin", "null")], false),
        (
            vec![("x-kycport-csrf", "1"), ("sec-fetch-site", "cross-site")],
            false,
        ),
        (
            vec![("x-kycport-csrf", "1"), ("origin", "https://evil.example")],
            false,
        ),
        (vec![("x-requested-with", "XMLHttpRequest")], false),
        (vec![("x-kycport-csrf", "1")], true),
        (vec![("origin", &own)], true),
        (vec![("sec-fetch-site", "same-origin")], true),
        // The browser sends `Origin: null` with a form of a page with `Referrer-Policy:
        // no-referrer`.
        (
            vec![("sec-fetch-site", "same-origin"), ("origin", "null")],
            true,
        ),
        (
            vec![("sec-fetch-site", "same-origin"), ("origin", &own)],
            true,
        ),
    ] {
        let mut sent = headers.clone();
        sent.push(("cookie", &cookie));
        let (status, answer) = send(&setup, "POST /withdraw", &sent).await;
        assert_eq!(status, if allowed { 200 } else { 403 }, "{headers:?}");
        passed += usize::from(allowed);
        assert_eq!(withdrawals(&setup).await, passed.to_string());
        if !allowed {
            assert!(answer.contains("cross_site"), "{answer}");
        }
    }
}

#[tokio::test]
async fn every_unsafe_method_is_protected_on_every_route() {
    // Covers threat cases 101, 103.
    let setup = setup().await;
    let (_, cookie) = signed_in(&setup).await;
    let bad = [
        ("cookie", cookie.as_str()),
        ("origin", "https://evil.example"),
    ];
    for line in [
        "POST /withdraw",
        "PUT /vault",
        "PATCH /vault",
        "DELETE /vault",
        "POST /nested/vault",
        "POST /auth/logout",
        "QUERY /vault",
    ] {
        let (status, _) = send(&setup, line, &bad).await;
        assert_eq!(status, 403, "{line}");
    }
    // The app accepts safe methods from other origins.
    for line in ["GET /vault", "HEAD /vault"] {
        let (status, _) = send(&setup, line, &bad).await;
        assert_eq!(status, 200, "{line}");
    }
    assert_eq!(send(&setup, "GET /withdraw", &bad).await.0, 405);
    assert_eq!(setup.store.records(SESSION).await.len(), 1);
}

#[tokio::test]
async fn a_malformed_session_cookie_does_not_bypass_the_check() {
    // Covers threat case 101.
    let setup = setup().await;
    let (_, cookie) = signed_in(&setup).await;
    for cookie in [format!("{cookie}; {cookie}"), format!("{COOKIE}=x")] {
        let headers = [
            ("cookie", cookie.as_str()),
            ("sec-fetch-site", "cross-site"),
        ];
        assert_eq!(send(&setup, "POST /withdraw", &headers).await.0, 403);
    }
}

#[tokio::test]
async fn requests_without_a_session_cookie_are_not_checked() {
    // Covers threat case 101.
    let setup = setup().await;
    for headers in [
        vec![],
        vec![("origin", "https://www.kycport.com")],
        vec![("cookie", "other=1"), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(send(&setup, "POST /webhook", &headers).await.0, 204);
        assert_eq!(send(&setup, "POST /withdraw", &headers).await.0, 401);
    }
    assert_eq!(withdrawals(&setup).await, "0");
}

#[tokio::test]
async fn forms_and_scripts_of_another_site_are_rejected() {
    // Covers threat cases 101, 102.
    let setup = setup().await;
    let (browser, cookie) = signed_in(&setup).await;
    let evil = Url::parse("https://evil.example/").unwrap();
    let url = setup.app.url("/withdraw");
    for forced in [
        browser.request(Method::POST, &url).from(&evil).form(&[]),
        browser.request(Method::POST, &url).from_opaque().form(&[]),
        browser.request(Method::POST, &url).from(&evil).fetch(),
    ] {
        // The test sends the cookie like a browser without SameSite.
        let page = forced.header("cookie", &cookie).stay().send().await;
        page.unwrap().assert_status(403);
    }
    assert_eq!(withdrawals(&setup).await, "0");
    browser.post_form(&url, &[]).await.unwrap().assert_ok();
    assert_eq!(withdrawals(&setup).await, "1");
}

#[tokio::test]
async fn responses_never_allow_cross_origin_reads() {
    // Covers threat case 104.
    let setup = setup().await;
    let (_, cookie) = signed_in(&setup).await;
    let own = setup.app.url("");
    for origin in ["https://evil.example", "null", own.as_str()] {
        for line in [
            "GET /auth/me",
            "GET /vault",
            "OPTIONS /auth/me",
            "OPTIONS /auth/logout",
            "OPTIONS /withdraw",
            "POST /withdraw",
            "GET /auth/login",
            "GET /auth/callback",
        ] {
            let headers = [
                ("cookie", cookie.as_str()),
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "x-kycport-csrf"),
            ];
            let (_, answer) = send(&setup, line, &headers).await;
            let answer = answer.to_ascii_lowercase();
            assert!(!answer.contains("access-control-"), "{line} {answer}");
        }
    }
}
