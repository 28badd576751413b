//! Tests that cookies of pending logins need no store operation and have a limited number and size.

use std::time::Duration;

use axum::http::Method;
use kycport::{
    KycTier, RunningApp,
    mock::{Endpoint, MockIssuer, Person},
    store::LeaseFamily,
    web::SealingKeys,
};
use url::Url;

use crate::{
    engines::FIRST_KEY,
    login::{Login, TO_THE_VAULT, cookies},
    recording_store::{Op, SESSION, TestApp, setup},
    support::{raw, serve},
    visitor::{LOGIN_COOKIES, SESSION_COOKIE, Visitor, session_cookie, set_and_deleted},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Limits per browser: the number of logins, and the total bytes of the names and values of the
/// login cookies.
const MAX_LOGINS: usize = 4;
const MAX_BYTES: usize = 3 * 1024;

fn visitor(app: &RunningApp) -> Visitor {
    Visitor::new(app.url(""))
}

/// Returns a `return_to` of the maximum length.
fn longest_path() -> String {
    format!("/{}", "a".repeat(511))
}

fn size(login: &Login) -> usize {
    login.name().len() + login.value().len()
}

/// Returns the cookie with one changed character. `n` selects the first, middle or last character.
fn tampered(login: &Login, n: usize) -> String {
    let mut value = login.value().to_owned().into_bytes();
    let place = [0, value.len() / 2, value.len() - 1][n % 3];
    value[place] = if value[place] == b'A' { b'B' } else { b'A' };
    format!("{}={}", login.name(), String::from_utf8(value).unwrap())
}

#[tokio::test]
async fn a_login_and_rejected_callbacks_write_no_record() {
    // Covers threat cases 28, 100, 140.
    let setup = setup().await;
    let visitor = visitor(&setup.app);
    // The app reads the store again for an unknown key after five seconds.
    setup.kyc.clock().freeze();
    // The first login creates the login key in the store.
    Login::start(&visitor, TO_THE_VAULT, "").await;
    assert_eq!((setup.store.count(Op::Read), setup.store.writes()), (1, 1));
    setup.store.forget();

    let mut logins = Vec::new();
    for _ in 0..500 {
        logins.push(Login::start(&visitor, TO_THE_VAULT, "").await);
    }
    assert_eq!(setup.store.operations(), 0);

    let issuer = setup.kyc.issuer();
    let (in_time, too_late) = logins.split_at(420);
    for (n, login) in in_time.iter().enumerate() {
        let code = [("code", "x"), ("iss", issuer)];
        let own = login.cookie.clone();
        let (cookies, callback, refusal) = match n % 7 {
            0 => (String::new(), login.callback(&code), "unknown_login"),
            1 => {
                let other = &logins[n + 1];
                let cookies = other.cookie.clone();
                (cookies, login.callback(&code), "unknown_login")
            }
            2 => {
                // The browser sends the cookie of another login under the name of this login.
                let cookies = format!("{}={}", login.name(), logins[n + 1].value());
                (cookies, login.callback(&code), "unknown_login")
            }
            3 => (tampered(login, n), login.callback(&code), "unknown_login"),
            4 => {
                let pairs = [("code", "x"), ("iss", "https://evil.example")];
                (own, login.callback(&pairs), "invalid_issuer_response")
            }
            5 => {
                let pairs = [("error", "access_denied"), ("iss", issuer)];
                (own, login.callback(&pairs), "declined")
            }
            _ => {
                let pairs = [("iss", issuer)];
                (own, login.callback(&pairs), "malformed_callback")
            }
        };
        let answer = visitor.get(&callback, &cookies).await.unwrap();
        assert_eq!(answer.code(), refusal, "{n}");
        let (set, deleted) = answer.set_and_deleted();
        assert_eq!(set.len(), 0, "{n}");
        // The callback does not delete an unreadable cookie or the cookie of a login that can still
        // be completed.
        let ends_the_login = matches!(refusal, "invalid_issuer_response" | "declined");
        assert_eq!(deleted.len(), usize::from(ends_the_login), "{n}");
    }
    assert_eq!(setup.store.operations(), 0);

    setup.kyc.clock().advance(10 * MINUTE);
    for login in too_late {
        let callback = login.callback(&[("code", "x"), ("iss", issuer)]);
        let answer = visitor.get(&callback, &login.cookie).await.unwrap();
        assert_eq!(answer.code(), "expired_login");
    }
    assert_eq!(setup.store.writes(), 0);
    assert_eq!(setup.store.leases(LeaseFamily::Login), 0);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn a_rejected_callback_reads_the_store_only_for_a_session() {
    let setup = setup().await;
    let visitor = visitor(&setup.app);
    let login = Login::start(&visitor, TO_THE_VAULT, "").await;
    let callback = login.callback(&[("code", "x")]);
    let session = session_cookie(&"A".repeat(64));
    for (cookies, reads) in [("", 0), ("other=1", 0), (session.as_str(), 1)] {
        setup.store.forget();
        let answer = visitor.get(&callback, cookies).await.unwrap();
        assert_eq!(answer.code(), "unknown_login");
        assert_eq!(setup.store.operations(), reads, "{cookies:.20}");
        assert_eq!(setup.store.count(Op::Read), reads);
    }
}

#[tokio::test]
async fn a_fifth_login_evicts_the_oldest_in_any_cookie_order() {
    let setup = setup().await;
    let visitor = visitor(&setup.app);
    setup.kyc.clock().freeze();
    let mut logins = Vec::new();
    for _ in 0..MAX_LOGINS {
        setup.kyc.clock().advance(SECOND);
        let login = visitor.get(TO_THE_VAULT, &cookies(&logins)).await.unwrap();
        assert_eq!(login.set_and_deleted().1.len(), 0);
        logins.push(Login::of(&login));
    }
    setup.kyc.clock().advance(SECOND);
    for turn in 0..MAX_LOGINS {
        let mut sent = logins.clone();
        sent.rotate_left(turn);
        let fifth = visitor.get(TO_THE_VAULT, &cookies(&sent)).await.unwrap();
        let (set, deleted) = fifth.set_and_deleted();
        assert_eq!(set, [Login::of(&fifth).name()]);
        assert_eq!(deleted, [logins[0].name()], "{turn}");
    }
    // A person who continues with the second login reaches its page.
    let callback = logins[1].allow(&visitor, &setup.ada).await;
    let answer = visitor.get(&callback, &cookies(&logins)).await.unwrap();
    assert_eq!(answer.header("location"), Some("/vault"));
    assert_eq!(answer.set_and_deleted().1, [logins[1].name()]);
}

#[tokio::test]
async fn an_unreadable_login_cookie_is_evicted_first() {
    let setup = setup().await;
    let visitor = visitor(&setup.app);
    let other = crate::recording_store::setup().await;
    let foreign = Login::start(&self::visitor(&other.app), TO_THE_VAULT, "").await;
    let mut logins = Vec::new();
    for _ in 0..MAX_LOGINS {
        logins.push(Login::start(&visitor, TO_THE_VAULT, "").await);
    }
    let (spare, logins) = logins.split_last().unwrap();
    for odd in [
        format!("{LOGIN_COOKIES}AAAAAAAAAAAA="),
        format!("{LOGIN_COOKIES}AAAAAAAAAAAA=!"),
        format!("{LOGIN_COOKIES}zzzzzzzzzzzz={}", "A".repeat(300)),
        format!("{LOGIN_COOKIES}zzzzzzzzzzzz={}", spare.value()),
        tampered(spare, 1),
        // The browser sends the cookie of an app that uses another issuer.
        foreign.cookie.clone(),
    ] {
        let name = odd.split_once('=').unwrap().0;
        for sent in [
            format!("{odd}; {}", cookies(logins)),
            format!("{}; {odd}", cookies(logins)),
        ] {
            let answer = visitor.get(TO_THE_VAULT, &sent).await.unwrap();
            assert_eq!(answer.set_and_deleted().1, [name], "{odd:.60}");
        }
    }
    // The app opens no login cookie whose name occurs twice.
    let twice = format!("{0}; {0}; {1}", spare.cookie, cookies(logins));
    let answer = visitor.get(TO_THE_VAULT, &twice).await.unwrap();
    assert_eq!(answer.set_and_deleted().1, [spare.name()]);
    // The app does not change cookies with other names.
    let others =
        "__Host-kycport-login-short=x; __Host-kycport-login=x; kycport-login-AAAAAAAAAAAA=x";
    let sent = format!("{others}; {}", cookies(logins));
    let answer = visitor.get(TO_THE_VAULT, &sent).await.unwrap();
    assert_eq!(answer.set_and_deleted().1.len(), 0);
}

#[tokio::test]
async fn login_cookies_of_a_browser_fit_into_three_kib() {
    let (setup, visitor, session) = signed_in_app().await;
    setup.ada.set_tier(KycTier::T1);
    let long = longest_path();
    let step_up = format!("/auth/step-up?tier=t3&return_to={long}");
    let login = format!("/auth/login?return_to={long}");
    let mut held: Vec<Login> = Vec::new();
    for n in 0..10 {
        setup.kyc.clock().advance(SECOND);
        let path = match n {
            8.. => TO_THE_VAULT,
            _ if n % 2 == 0 => &step_up,
            _ => &login,
        };
        let sent = format!("{session}; {}", cookies(&held));
        let answer = visitor.get(path, &sent).await.unwrap();
        let (_, deleted) = answer.set_and_deleted();
        held.retain(|login| !deleted.iter().any(|name| name == login.name()));
        held.push(Login::of(&answer));
        let bytes: usize = held.iter().map(size).sum();
        assert!(
            held.len() <= MAX_LOGINS && bytes <= MAX_BYTES,
            "{n}: {bytes}"
        );
        // The app deletes only as many logins as the limits require.
        assert!(held.len() > n.min(2), "{n}: {bytes}");
    }
    let long_ones = || held.iter().filter(|it| size(it) > 700);
    assert!(long_ones().count() < held.len());
    // A login with the long path returns to this path.
    let newest = long_ones().next_back().unwrap();
    let callback = newest.allow(&visitor, &setup.ada).await;
    let answer = visitor.get(&callback, &cookies(&held)).await.unwrap();
    assert_eq!(answer.header("location"), Some(long.as_str()));
}

/// Starts the test app with Ada signed in. Returns her session cookie.
async fn signed_in_app() -> (TestApp, Visitor, String) {
    let setup = setup().await;
    let visitor = visitor(&setup.app);
    let session = sign_in(&visitor, &setup.ada).await;
    (setup, visitor, session)
}

async fn sign_in(visitor: &Visitor, person: &Person) -> String {
    let login = Login::start(visitor, TO_THE_VAULT, "").await;
    let callback = login.allow(visitor, person).await;
    let answer = visitor.get(&callback, &login.cookie).await.unwrap();
    session_cookie(answer.cookie(SESSION_COOKIE).unwrap())
}

#[tokio::test]
async fn the_response_head_of_a_login_start_fits_into_four_kib() {
    // By default, proxies read a response head of at most 4 KiB.
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T1).create();
    let stored = serve(&kyc, |config| config).await;
    let long_name = "n".repeat(32);
    let key = FIRST_KEY.split_once(':').unwrap().1;
    let sealed = serve(&kyc, |config| {
        config.session_keys(SealingKeys::new(&long_name, key).unwrap())
    })
    .await;
    for app in [stored, sealed] {
        let visitor = visitor(&app);
        let session = sign_in(&visitor, &ada).await;
        let path = format!("/auth/step-up?tier=t3&return_to={}", longest_path());
        let mut held = Vec::new();
        for _ in 0..MAX_LOGINS {
            held.push(Login::start(&visitor, &path, &session).await);
        }
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nsec-fetch-mode: navigate\r\n\
             sec-fetch-dest: document\r\ncookie: {session}; {}\r\n\r\n",
            cookies(&held)
        );
        let answer = raw(&app, request.as_bytes()).await;
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 303"), "{head:.60}");
        assert!(head.len() <= 4096, "{}", head.len());
        let set: Vec<_> = head
            .lines()
            .filter_map(|line| line.strip_prefix("set-cookie: "))
            .collect();
        // The response head sets the cookie of the new login and deletes the cookies of the evicted
        // logins.
        assert!(set.len() >= 2, "{set:?}");
        for cookie in set {
            assert!(cookie.len() <= 1024, "{}", cookie.len());
        }
    }
}

#[tokio::test]
async fn a_cookie_sent_twice_is_ignored() {
    let setup = setup().await;
    let visitor = visitor(&setup.app);
    let login = Login::start(&visitor, TO_THE_VAULT, "").await;
    let callback = login.allow(&visitor, &setup.ada).await;
    let own = &login.cookie;
    let planted = format!("{}=planted", login.name());
    for cookies in [
        format!("{own}; {own}"),
        format!("{own}; {planted}"),
        format!("{planted}; {own}"),
    ] {
        let answer = visitor.get(&callback, &cookies).await.unwrap();
        assert_eq!(answer.code(), "unknown_login");
        assert_eq!(answer.set_and_deleted(), (vec![], vec![]));
    }
    setup.kyc.requests(Endpoint::Token).assert_count(0);
    let answer = visitor.get(&callback, own).await.unwrap();
    assert_eq!(answer.status, 303);
}

#[tokio::test]
async fn a_non_ascii_cookie_of_another_app_is_ignored() {
    let setup = setup().await;
    let visitor = visitor(&setup.app);
    let odd = b"odd=\xff\xfe\x80; ";
    let head =
        |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: ");
    // The test sends the cookies at the start of a login and at the callback.
    let start = [head(TO_THE_VAULT).as_bytes(), odd, b"\r\n\r\n"].concat();
    assert!(raw(&setup.app, &start).await.starts_with("HTTP/1.1 303"));
    let login = Login::start(&visitor, TO_THE_VAULT, "").await;
    let callback = login.allow(&visitor, &setup.ada).await;
    let back = [
        head(&callback).as_bytes(),
        odd,
        login.cookie.as_bytes(),
        b"\r\n\r\n",
    ]
    .concat();
    let answer = raw(&setup.app, &back).await;
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer:.100}");
    assert!(answer.contains("location: /vault"), "{answer:.300}");
}

#[tokio::test]
async fn only_a_navigation_starts_a_login() {
    // Covers threat case 28.
    let (setup, _, session) = signed_in_app().await;
    setup.store.forget();
    for path in [TO_THE_VAULT, "/auth/step-up?tier=t3"] {
        for (name, value, status) in [
            ("sec-fetch-dest", "image", 403),
            ("sec-fetch-dest", "iframe", 403),
            ("sec-fetch-dest", "frame", 403),
            ("sec-fetch-dest", "embed", 403),
            ("sec-fetch-dest", "object", 403),
            ("sec-fetch-dest", "script", 403),
            ("sec-fetch-dest", "empty", 403),
            ("sec-fetch-dest", "", 403),
            ("sec-purpose", "prefetch", 403),
            ("sec-purpose", "prefetch;prerender", 403),
            ("purpose", "prefetch", 403),
            ("sec-fetch-dest", "document", 303),
        ] {
            let browser = setup.kyc.browser();
            let visit = browser.request(Method::GET, setup.app.url(path));
            let visit = visit.header(name, value).header("cookie", &session);
            let page = visit.stay().send().await.unwrap();
            assert_eq!(page.status(), status, "{path} {name}: {value}");
            let set = set_and_deleted(&page).0.len();
            assert_eq!(set, usize::from(status == 303), "{path} {name}: {value}");
        }
    }
    assert_eq!(setup.store.writes(), 0);
}

#[tokio::test]
async fn another_site_cannot_force_a_new_login() {
    let (setup, _, session) = signed_in_app().await;
    let url = setup.app.url(TO_THE_VAULT);
    for (site, cookie, is_sent) in [
        ("cross-site", session.as_str(), false),
        ("same-site", &session, false),
        // The person starts the login on a page of the app or in the address bar.
        ("same-origin", &session, true),
        ("none", &session, true),
        ("cross-site", "other=1", true),
        ("cross-site", "__Host-kycport=ended", true),
    ] {
        let browser = setup.kyc.browser();
        let visit = browser.request(Method::GET, &url).header("cookie", cookie);
        let visit = visit.header("sec-fetch-site", site).stay();
        let page = visit.send().await.unwrap();
        let location = page.assert_status(303).header("location").unwrap();
        assert_eq!(location != "/vault", is_sent, "{site} {location}");
        let set = set_and_deleted(&page).0;
        assert_eq!(set.len(), usize::from(is_sent), "{site} {set:?}");
    }
}

#[tokio::test]
async fn logout_ends_the_pending_logins_of_the_browser() {
    let setup = setup().await;
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    browser.sign_in(&login, &setup.ada).await.unwrap();
    let mut callbacks = Vec::new();
    for _ in 0..3 {
        callbacks.push(browser.start_sign_in(&login, &setup.ada).await.unwrap());
    }
    browser.get(setup.app.url("/")).await.unwrap();
    let own = |name: &String| name.starts_with("__Host-kycport");
    let held = || browser.cookies(setup.app.url("/")).into_iter();
    assert_eq!(held().filter(|(name, _)| own(name)).count(), 4);
    let out = || browser.request(Method::POST, setup.app.url("/auth/logout"));

    // A logout request from another site aborts no login. An outage of the store does not abort a
    // login either.
    let evil = Url::parse("https://evil.example/").unwrap();
    let page = out().from(&evil).stay().send().await.unwrap();
    assert_eq!(page.assert_status(403).header("set-cookie"), None);
    setup.store.fail_on(Op::Write, SESSION);
    let page = out().form(&[]).stay().send().await.unwrap();
    assert_eq!(page.assert_status(503).header("set-cookie"), None);
    setup.store.heal();

    let page = out().form(&[]).stay().send().await.unwrap();
    let (set, deleted) = set_and_deleted(page.assert_status(303));
    assert_eq!((set.len(), deleted.len()), (0, 4), "{deleted:?}");
    assert_eq!(held().filter(|(name, _)| own(name)).count(), 0);
    setup.kyc.forget_requests();
    for callback in callbacks {
        browser.open(callback).await.unwrap().assert_status(400);
    }
    setup.kyc.requests(Endpoint::Token).assert_count(0);

    // A logout without a session also aborts the logins.
    browser.start_sign_in(&login, &setup.ada).await.unwrap();
    browser.get(setup.app.url("/")).await.unwrap();
    out().form(&[]).stay().send().await.unwrap();
    assert_eq!(held().filter(|(name, _)| own(name)).count(), 0);
}

#[tokio::test]
async fn response_mode_form_post_cannot_be_configured() {
    let kyc = MockIssuer::start().await;
    for (mode, is_good) in [
        ("query", true),
        ("form_post", false),
        ("form_post.jwt", false),
        ("fragment", false),
        ("jwt", false),
        ("", false),
    ] {
        let config = kyc
            .config("http://127.0.0.1:3000/auth/callback")
            .authorize_parameter("response_mode", mode)
            .build();
        assert_eq!(config.is_ok(), is_good, "{mode}");
        if let Err(error) = config {
            assert!(error.to_string().contains("response_mode"), "{error}");
        }
    }
}
