//! Tests that the app handles unusual request headers, and that every response has the required
//! headers.

use axum::http::Method;
use url::Url;

use crate::{
    recording_store::{TestApp, setup},
    support::raw,
    visitor::{SESSION_COOKIE, session_cookie},
};

/// Returns the `Cookie` header of a signed-in person.
async fn signed_in(setup: &TestApp) -> String {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    browser.sign_in(login, &setup.ada).await.unwrap();
    let key = browser.cookie(setup.app.url("/"), SESSION_COOKIE).unwrap();
    session_cookie(&key)
}

/// Sends a request with only these headers. Returns the head of the response.
async fn head_of(setup: &TestApp, line: &str, headers: &[(&str, &[u8])]) -> String {
    let mut request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    let answer = raw(&setup.app, &request).await;
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    head.to_ascii_lowercase()
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(own, _)| *own == name).map(|(_, value)| value)
}

#[tokio::test]
async fn a_non_ascii_cookie_of_another_app_ends_no_session() {
    let setup = setup().await;
    let session = signed_in(&setup).await;
    for odd in [&b"name=Zo\xc3\xab"[..], b"name=Zo\xeb", b"\xff\xfe"] {
        for cookies in [
            [odd, b"; ", session.as_bytes()].concat(),
            [session.as_bytes(), b"; ", odd].concat(),
        ] {
            let head = head_of(&setup, "GET /auth/me", &[("cookie", &cookies)]).await;
            assert_eq!(status(&head), 200, "{head}");
            // The app still rejects a `POST` without an `Origin`, because a `POST` can change
            // state.
            let post = "POST /auth/logout";
            let head = head_of(&setup, post, &[("cookie", &cookies)]).await;
            assert_eq!(status(&head), 403, "{head}");
        }
    }
    // The app recognises a request for a page, and the login returns to the page.
    let headers = [
        ("accept", &b"text/html, x/\xff"[..]),
        ("cookie", b"name=Zo\xeb"),
    ];
    let head = head_of(&setup, "GET /vault", &headers).await;
    let login = Some("/auth/login?return_to=%2fvault");
    assert_eq!(value(&head, "location"), login, "{head}");
    // The login also returns to a path that is not ASCII. Browsers encode a path that is not ASCII,
    // but other programs may not.
    let headers = [("accept", &b"text/html"[..])];
    let head = head_of(&setup, "GET /vault?Zo\u{eb}", &headers).await;
    let login = Some("/auth/login?return_to=%2fvault%3fzo%25c3%25ab");
    assert_eq!(value(&head, "location"), login, "{head}");
    // A form on a page whose URL is not ASCII returns to this page.
    let referer = [setup.app.url("/vault?").as_bytes(), "Zoë".as_bytes()].concat();
    let headers = [
        ("accept", &b"text/html"[..]),
        ("referer", &referer),
        ("content-length", b"0"),
    ];
    let head = head_of(&setup, "POST /withdraw", &headers).await;
    let login = Some("/auth/login?return_to=%2fvault%3fzo%25c3%25ab");
    assert_eq!(value(&head, "location"), login, "{head}");
    // A prefetch request does not start a login.
    let purpose = [("sec-purpose", &b"prefetch;\xff"[..])];
    let head = head_of(&setup, "GET /auth/login", &purpose).await;
    assert_eq!(status(&head), 403, "{head}");
}

#[tokio::test]
async fn a_navigation_is_redirected_and_a_script_gets_401() {
    let setup = setup().await;
    for (mode, accept, redirected) in [
        (None, "text/html", true),
        (None, "application/xml, Text/HTML;q=0.9", true),
        (None, "*/*", false),
        (Some("navigate"), "*/*", true),
        // A service worker repeats a navigation with changed headers.
        (Some("same-origin"), "text/html,*/*;q=0.8", true),
        (Some("same-origin"), "TEXT/html", true),
        (Some("same-origin"), "application/json", false),
        (Some("cors"), "text/html", false),
        (Some("no-cors"), "text/html", false),
    ] {
        let mut headers = vec![("accept", accept.as_bytes())];
        headers.extend(mode.map(|mode| ("sec-fetch-mode", mode.as_bytes())));
        let head = head_of(&setup, "GET /vault", &headers).await;
        let expected = if redirected { 303 } else { 401 };
        assert_eq!(status(&head), expected, "{mode:?} {accept}");
        // The app redirects a service worker to the login, and the service worker passes the
        // redirect to the browser. The app does not redirect a script.
        headers.push(("sec-fetch-dest", b"empty"));
        let head = head_of(&setup, "GET /auth/login", &headers).await;
        let expected = if redirected && mode == Some("same-origin") {
            303
        } else {
            403
        };
        assert_eq!(status(&head), expected, "login: {mode:?} {accept}");
    }
}

#[tokio::test]
async fn a_405_has_an_allow_header_and_a_401_has_a_challenge() {
    let setup = setup().await;
    for (path, allowed) in [
        ("/auth/login", "get"),
        ("/auth/step-up", "get"),
        ("/auth/step-up/state?tier=t2", "get, head, post"),
        ("/auth/callback", "get"),
        ("/auth/logout", "post"),
        ("/auth/me", "get, head"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let line = format!("{method} {path}");
            let head = head_of(&setup, &line, &[]).await;
            let lowered = method.to_ascii_lowercase();
            if allowed.split(", ").any(|it| it == lowered) {
                assert_ne!(status(&head), 405, "{line}");
                continue;
            }
            assert_eq!(status(&head), 405, "{line}");
            assert_eq!(value(&head, "allow"), Some(allowed), "{line}");
            assert_eq!(value(&head, "set-cookie"), None, "{line}");
        }
    }
    // A person who opens the URL of the logout sees a page with a link to the home page.
    let browser = setup.kyc.browser();
    let page = browser.open(setup.app.url("/auth/logout")).await.unwrap();
    page.assert_status(405);
    assert!(page.body().contains("href=\"/\""), "{}", page.body());

    for path in ["/auth/me", "/vault", "/guarded", "/sensitive", "/api/me"] {
        let head = head_of(&setup, &format!("GET {path}"), &[]).await;
        assert_eq!(status(&head), 401, "{path}");
        assert!(value(&head, "www-authenticate").is_some(), "{head}");
    }
}

#[tokio::test]
async fn json_responses_forbid_sniffing_and_cross_origin_reads() {
    let setup = setup().await;
    let session = signed_in(&setup).await;
    let evil = Url::parse("https://evil.example/").unwrap();
    let browser = setup.kyc.browser();
    let ask = |method, url: String| browser.request(method, url).fetch().stay();
    for (visit, status) in [
        (ask(Method::GET, setup.app.url("/auth/me")), 200),
        (
            ask(Method::GET, setup.app.url("/auth/step-up?tier=t9")),
            400,
        ),
        (ask(Method::GET, setup.app.url("/auth/callback")), 400),
        (ask(Method::GET, setup.app.url("/auth/logout")), 405),
        (
            ask(Method::POST, setup.app.url("/auth/logout")).from(&evil),
            403,
        ),
    ] {
        let page = visit.header("cookie", &session).send().await.unwrap();
        assert_eq!(page.status(), status, "{}", page.url());
        let content = page.header("content-type").unwrap();
        assert!(content.ends_with("json"), "{content}");
        let policy = page.header("cross-origin-resource-policy");
        assert_eq!(policy, Some("same-origin"), "{}", page.url());
        let sniffing = page.header("x-content-type-options");
        assert_eq!(sniffing, Some("nosniff"), "{}", page.url());
    }
}
