//! Tests that the callback accepts only valid authorization responses.

use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use kycport::{
    mock::{Browser, Endpoint, MockIssuer, Page},
    store::LeaseFamily,
};
use url::Url;

use crate::{
    recording_store::{LOGIN, Op, SESSION, TOKENS, TestApp, setup, setup_on},
    support::raw,
    visitor::{LOGIN_COOKIES, SESSION_COOKIE, set_and_deleted},
};

/// Starts a login. Returns the browser, and the callback URL to which KYCPort redirects the
/// browser.
async fn started(setup: &TestApp) -> (Browser, Url) {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login?return_to=/vault");
    let callback = browser.start_sign_in(login, &setup.ada).await.unwrap();
    (browser, callback)
}

fn parameter(url: &Url, name: &str) -> String {
    let mut pairs = url.query_pairs();
    pairs.find(|(own, _)| own == name).unwrap().1.into_owned()
}

fn with(url: &Url, pairs: &[(&str, &str)]) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url
}

/// Returns the status and the problem code.
async fn code_of(browser: &Browser, url: &Url) -> (u16, String) {
    let page = browser
        .request(Method::GET, url)
        .header("sec-fetch-mode", "cors")
        .stay()
        .send()
        .await
        .unwrap();
    let code = page.json()["code"].as_str().unwrap_or_default().to_owned();
    (page.status(), code)
}

fn assert_leaves_nothing_behind(page: &Page) {
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
}

/// Asserts that the response ends the login and does not change the session
/// cookie.
fn assert_ends_the_login_only(page: &Page) {
    let (set, deleted) = set_and_deleted(page);
    assert_eq!(set.len(), 0, "{set:?}");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].starts_with(LOGIN_COOKIES), "{deleted:?}");
}

#[tokio::test]
async fn an_invalid_authorization_response_does_not_consume_the_login() {
    // Covers threat cases 32, 38, 43.
    let setup = setup().await;
    let (browser, genuine) = started(&setup).await;
    let base = setup.app.url("/auth/callback");
    let (state, code) = (parameter(&genuine, "state"), parameter(&genuine, "code"));
    let iss = parameter(&genuine, "iss");
    let query = genuine.query().unwrap();
    let long = "c".repeat(9000);
    setup.store.forget();
    for bad in [
        String::new(),
        format!("code={code}&iss={iss}"),
        format!("state=&code={code}&iss={iss}"),
        format!("state={}&code={code}&iss={iss}", "A".repeat(43)),
        format!("state={}&code={code}&iss={iss}", &state[..42]),
        format!("state={state}&iss={iss}"),
        format!("state={state}&code=&iss={iss}"),
        format!("{query}&state={state}"),
        format!("{query}&code={code}"),
        format!("{query}&%63ode=x"),
        format!("{query}&iss={iss}"),
        format!("{query}&error=access_denied"),
        format!("{query}%00"),
        format!("{query}%ff"),
        format!("{query}%0d%0aset-cookie:%20x=1"),
        format!("{query}%zz"),
        format!("state={state}&code={long}&iss={iss}"),
    ] {
        let page = browser.open(format!("{base}?{bad}")).await.unwrap();
        assert_eq!(page.status(), 400, "{bad:.80}");
        assert_eq!(page.header("set-cookie"), None);
        assert!(!page.body().contains(&state) && !page.body().contains(&code));
        assert_leaves_nothing_behind(&page);
    }
    setup.kyc.requests(Endpoint::Token).assert_count(0);
    assert_eq!(setup.store.operations(), 0);

    browser.open(genuine).await.unwrap().assert_status(303);
}

#[tokio::test]
async fn raw_bytes_and_long_urls_cause_no_server_error() {
    // Covers threat case 43.
    let setup = setup().await;
    let mut odd = b"GET /auth/callback?state=s&code=\xff\xfe HTTP/1.1\r\nhost: x\r\n".to_vec();
    odd.extend(b"connection: close\r\n\r\n");
    let answer = raw(&setup.app, &odd).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer:.80}");

    let (browser, genuine) = started(&setup).await;
    let endless = format!("{genuine}{}", "c".repeat(60_000));
    browser.open(endless).await.unwrap().assert_status(400);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn a_form_post_response_is_rejected() {
    // Covers threat case 43.
    let setup = setup().await;
    let (browser, genuine) = started(&setup).await;
    let page = browser
        .request(Method::POST, &genuine)
        .form(&[
            ("state", &parameter(&genuine, "state")),
            ("code", &parameter(&genuine, "code")),
        ])
        .stay()
        .send()
        .await
        .unwrap();
    page.assert_status(405);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
    browser.open(genuine).await.unwrap().assert_status(303);
}

#[tokio::test]
async fn another_browser_cannot_complete_or_consume_a_login() {
    // Covers threat cases 33, 44.
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;
    let without_cookies = setup.kyc.browser();
    let (with_its_own, _) = started(&setup).await;
    let (signed_in, own_callback) = started(&setup).await;
    signed_in
        .open(own_callback)
        .await
        .unwrap()
        .assert_status(303);
    let session = signed_in.cookie(setup.app.url("/"), SESSION_COOKIE);
    setup.kyc.forget_requests();

    for other in [&without_cookies, &with_its_own] {
        let page = other.open(&callback).await.unwrap();
        page.assert_status(400);
        assert!(page.body().contains("another browser"), "{}", page.body());
        assert!(page.body().contains("href=\"/auth/login\""));
        assert_eq!(page.header("set-cookie"), None);
        assert_leaves_nothing_behind(&page);
    }
    // The callback of another browser's login does not change the session of a signed-in person.
    let page = signed_in.open(&callback).await.unwrap();
    page.assert_status(303);
    assert_eq!(page.header("location"), Some("/"));
    assert_eq!(page.header("set-cookie"), None);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
    assert_eq!(
        signed_in.cookie(setup.app.url("/"), SESSION_COOKIE),
        session
    );

    let page = browser.get(&callback).await.unwrap();
    page.assert_ok();
    assert_eq!(page.url().path(), "/vault");
}

#[tokio::test]
async fn a_repeated_callback_redirects_without_a_second_exchange() {
    // Covers threat case 34.
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;
    browser.get(&callback).await.unwrap().assert_ok();
    let session = browser.cookie(setup.app.url("/"), SESSION_COOKIE);

    // The browser repeats the callback immediately, and after the maximum lifetime of a login.
    for wait in [0, 11 * 60] {
        setup.kyc.clock().advance(Duration::from_secs(wait));
        let again = browser.open(&callback).await.unwrap();
        again.assert_status(303);
        // The redirect leads to the home page, because the login cookie with the requested page is
        // deleted.
        assert_eq!(again.header("location"), Some("/"));
        assert_eq!(again.header("set-cookie"), None);
    }

    setup.kyc.requests(Endpoint::Token).assert_count(1);
    assert_eq!(browser.cookie(setup.app.url("/"), SESSION_COOKIE), session);
    browser
        .fetch(setup.app.url("/auth/me"))
        .await
        .unwrap()
        .assert_ok();
}

#[tokio::test]
async fn a_replayed_callback_without_a_session_gets_an_error_page() {
    // Covers threat case 34.
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;
    let before = browser.clone();
    browser.get(&callback).await.unwrap().assert_ok();
    let thief = setup.kyc.browser();
    browser
        .post_form(setup.app.url("/auth/logout"), &[])
        .await
        .unwrap();

    for (who, code) in [(&browser, "unknown_login"), (&thief, "unknown_login")] {
        assert_eq!(code_of(who, &callback).await, (400, code.to_owned()));
    }
    // This browser still sends the deleted login cookie. The app redirects the browser and creates
    // no session.
    let page = before.open(&callback).await.unwrap();
    assert_eq!(page.assert_status(303).header("location"), Some("/vault"));
    assert_eq!(page.header("set-cookie"), None);
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn one_of_many_simultaneous_callbacks_exchanges_the_code() {
    // Covers threat case 35.
    for n in [2, 5] {
        let setup = setup().await;
        let (browser, callback) = started(&setup).await;
        // All requests read the login before any request exchanges the code.
        setup.store.let_meet(Op::Acquire, LOGIN, n);
        let copies: Vec<Browser> = (0..n).map(|_| browser.clone()).collect();

        let pages = join_all(copies.iter().map(|copy| copy.open(&callback))).await;

        let pages: Vec<Page> = pages.into_iter().map(Result::unwrap).collect();
        // Every response lets the person continue.
        for page in &pages {
            assert_eq!(page.assert_status(303).header("location"), Some("/vault"));
        }
        let set = pages.iter().map(|page| set_and_deleted(page).0.len());
        assert_eq!(set.sum::<usize>(), 1);
        setup.kyc.requests(Endpoint::Token).assert_count(1);
        assert_eq!(setup.store.records(SESSION).await.len(), 1);
    }
}

#[tokio::test]
async fn a_reload_exchanges_a_code_that_was_never_sent() {
    // Covers threat case 36.
    let setup = setup().await;
    // The mock closes all connections, so the client must open a new connection to send the code.
    let close = setup.kyc.on(Endpoint::Discovery);
    let close = close.add_header("connection", "close");
    close.always().keep();
    let (browser, callback) = started(&setup).await;
    setup.kyc.stop().unwrap();
    for _ in 0..2 {
        let page = browser.open(&callback).await.unwrap();
        page.assert_status(503);
        assert!(page.header("retry-after").is_some());
        assert_eq!(page.header("set-cookie"), None);
        assert_leaves_nothing_behind(&page);
    }
    setup.kyc.restart().unwrap();
    setup.kyc.forget_requests();

    let page = browser.open(&callback).await.unwrap();
    page.assert_status(303);
    assert_eq!(page.header("location"), Some("/vault"));
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn a_code_is_never_sent_twice() {
    // Covers threat cases 36, 51.
    type Break = fn(&MockIssuer) -> kycport::mock::Rule;
    let breaks: [(Break, u16); 6] = [
        (|kyc| kyc.on(Endpoint::Token).fail(500), 503),
        (|kyc| kyc.on(Endpoint::Token).fail(503).retry_after(7), 503),
        (|kyc| kyc.on(Endpoint::Token).fail(429), 503),
        (|kyc| kyc.on(Endpoint::Token).after().drop_connection(), 503),
        (|kyc| kyc.on(Endpoint::Token).truncate(), 503),
        (
            |kyc| kyc.on(Endpoint::Token).answer(200, "text/html", "<p>"),
            502,
        ),
    ];
    for (number, (fault, status)) in breaks.into_iter().enumerate() {
        let setup = setup().await;
        let (browser, callback) = started(&setup).await;
        let before = browser.clone();
        let fault = fault(&setup.kyc).once();
        let page = browser.open(&callback).await.unwrap();
        assert_eq!(page.status(), status, "{number}");
        assert_ends_the_login_only(&page);
        if number == 1 {
            assert_eq!(page.header("retry-after"), Some("7"));
        }
        fault.assert_hit();
        // The pause after a 429 is over.
        setup.kyc.clock().advance(Duration::from_secs(2));

        for (who, code) in [(&browser, "unknown_login"), (&before, "finished_login")] {
            assert_eq!(code_of(who, &callback).await, (400, code.to_owned()));
        }
        setup.kyc.requests(Endpoint::Token).assert_count(1);
        assert_eq!(setup.store.records(SESSION).await.len(), 0);
    }
}

/// Any visitor can start logins and send invented codes.
#[tokio::test]
async fn a_rejected_code_is_remembered_for_a_minute() {
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;
    let pairs: Vec<_> = callback.query_pairs().into_owned().collect();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| match name.as_str() {
            "code" => ("code", "invented"),
            other => (other, value.as_str()),
        })
        .collect();
    let callback = with(&callback, &pairs);
    let refused = (502, "issuer_rejected".to_owned());
    let attacker = || browser.clone();
    assert_eq!(code_of(&attacker(), &callback).await, refused);
    let again = code_of(&attacker(), &callback).await;
    assert_eq!(again, (400, "finished_login".to_owned()));
    setup.kyc.requests(Endpoint::Token).assert_count(1);
    setup.kyc.clock().advance(Duration::from_secs(61));
    assert_eq!(code_of(&attacker(), &callback).await, refused);
    setup.kyc.requests(Endpoint::Token).assert_count(2);
}

/// Other clients must not fill the store with logins that KYCPort did not complete.
#[tokio::test]
async fn a_token_request_without_effect_is_remembered_for_a_minute() {
    type Break = fn(&MockIssuer) -> kycport::mock::Rule;
    let breaks: [(Break, (u16, &str)); 2] = [
        (
            |kyc| kyc.on(Endpoint::Token).fail(429),
            (503, "issuer_unavailable"),
        ),
        (
            |kyc| kyc.on(Endpoint::Token).answer(403, "text/plain", "no"),
            (502, "tenant_rejected"),
        ),
    ];
    for (fault, (status, code)) in breaks {
        let setup = setup().await;
        let (browser, callback) = started(&setup).await;
        let copy = || browser.clone();
        let (first, second) = (copy(), copy());
        let fault = fault(&setup.kyc).once();
        let failed = code_of(&first, &callback).await;
        assert_eq!(failed, (status, code.to_owned()));
        fault.assert_hit();
        setup.kyc.clock().advance(Duration::from_secs(2));
        let again = code_of(&second, &callback).await;
        assert_eq!(again, (400, "finished_login".to_owned()));
        setup.kyc.requests(Endpoint::Token).assert_count(1);
        setup.kyc.clock().advance(Duration::from_secs(60));
        // KYCPort's code has expired during the pause.
        let late = code_of(&browser, &callback).await;
        assert_eq!(late, (502, "issuer_rejected".to_owned()));
        setup.kyc.requests(Endpoint::Token).assert_count(2);
    }
}

#[tokio::test]
async fn after_a_429_of_the_token_endpoint_no_code_is_sent() {
    let setup = setup().await;
    let (first, limited) = started(&setup).await;
    let (second, callback) = started(&setup).await;
    let fault = setup.kyc.on(Endpoint::Token).fail(429).retry_after(7);
    let fault = fault.once();
    first.open(&limited).await.unwrap().assert_status(503);
    fault.assert_hit();
    let locked = setup.store.leases(LeaseFamily::Login);
    for (seconds, left) in [(0, "7"), (2, "5")] {
        setup.kyc.clock().advance(Duration::from_secs(seconds));
        let page = second.open(&callback).await.unwrap();
        page.assert_status(503);
        let retry_after = page.header("retry-after").map(str::parse::<u32>);
        let limit = left.parse().unwrap();
        assert!(matches!(retry_after, Some(Ok(it)) if (1..=limit).contains(&it)));
        assert_eq!(page.header("set-cookie"), None);
    }
    assert_eq!(setup.store.leases(LeaseFamily::Login), locked);
    setup.kyc.requests(Endpoint::Token).assert_count(1);
    setup.kyc.clock().advance(Duration::from_secs(5));
    let page = second.open(&callback).await.unwrap();
    assert_eq!(page.header("location"), Some("/vault"));
}

#[tokio::test]
async fn an_expired_login_is_rejected() {
    // Covers threat case 37.
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;
    setup.kyc.clock().advance(Duration::from_secs(600));

    let page = browser.open(&callback).await.unwrap();

    page.assert_status(400);
    assert!(page.body().contains("took too long"), "{}", page.body());
    assert!(page.body().contains("href=\"/auth/login\""));
    assert_eq!(page.location(), None);
    assert_ends_the_login_only(&page);
    setup.kyc.requests(Endpoint::Token).assert_count(0);

    // After ten more minutes, the login is unknown.
    setup.kyc.clock().advance(Duration::from_secs(600));
    browser.open(&callback).await.unwrap().assert_status(400);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
    assert_eq!(setup.store.leases(LeaseFamily::Login), 0);
}

#[tokio::test]
async fn a_login_is_valid_until_its_last_second() {
    // Covers threat case 37.
    let setup = setup().await;
    setup
        .kyc
        .switch(|s| s.code_lifetime = Duration::from_secs(3600));
    setup.kyc.clock().freeze();
    let (browser, callback) = started(&setup).await;
    setup.kyc.clock().advance(Duration::from_secs(599));
    browser.open(&callback).await.unwrap().assert_status(303);
}

#[tokio::test]
async fn access_denied_shows_that_the_person_declined() {
    // Covers threat case 39.
    let setup = setup().await;
    let browser = setup.kyc.browser();
    let page = browser
        .deny(setup.app.url("/auth/login"), &setup.ada)
        .await
        .unwrap();
    page.assert_status(403);
    assert!(page.body().contains("You did not sign in"));
    assert!(page.body().contains("href=\"/auth/login\""));
    assert_leaves_nothing_behind(&page);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn an_invalid_error_description_does_not_hide_the_error() {
    let setup = setup().await;
    for odd in [
        "error_description=x%0D%0Ay",
        "error_description=%E9",
        "error_description=%09%00",
        "error_description=%zz%4",
        "%E9=%zz",
    ] {
        let (browser, genuine) = started(&setup).await;
        let (state, iss) = (parameter(&genuine, "state"), parameter(&genuine, "iss"));
        let base = setup.app.url("/auth/callback");
        let query = format!("{odd}&error=access_denied&state={state}&iss={iss}");
        let callback = format!("{base}?{query}").parse().unwrap();
        let found = code_of(&browser, &callback).await;
        assert_eq!(found, (403, "declined".to_owned()), "{odd}");
    }
}

#[tokio::test]
async fn the_error_page_contains_no_text_of_the_error() {
    // Covers threat cases 39, 138.
    let setup = setup().await;
    for (error, status, code) in [
        ("access_denied", 403, "declined"),
        ("temporarily_unavailable", 503, "issuer_unavailable"),
        ("server_error", 502, "issuer_rejected"),
        ("login_required", 502, "issuer_rejected"),
        ("redirect_uri_mismatch", 502, "redirect_uri_mismatch"),
        ("invalid_redirect_uri", 502, "redirect_uri_mismatch"),
        ("<script>alert(1)</script>", 502, "issuer_rejected"),
        ("\" onload=alert(1) x=\"", 502, "issuer_rejected"),
    ] {
        for fetched in [false, true] {
            let (browser, genuine) = started(&setup).await;
            let evil = "<img src=x onerror=alert(2)> call +1-900";
            let callback = with(
                &genuine,
                &[
                    ("error", error),
                    ("error_description", evil),
                    ("error_uri", "https://evil.example/"),
                    ("state", &parameter(&genuine, "state")),
                    ("iss", &parameter(&genuine, "iss")),
                ],
            );
            if fetched {
                let found = code_of(&browser, &callback).await;
                assert_eq!(found, (status, code.to_owned()), "{error}");
                continue;
            }
            let page = browser.open(&callback).await.unwrap();
            assert_eq!(page.status(), status, "{error}");
            for part in ["alert", "+1-900", "evil.example", "<script"] {
                assert!(!page.body().contains(part), "{part} in {}", page.body());
            }
            assert_ends_the_login_only(&page);
            let policy = page.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
            assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
            assert_leaves_nothing_behind(&page);

            // The error response has completed the login, so a second response gets 400.
            let again = browser.open(&genuine).await.unwrap();
            again.assert_status(400);
        }
    }
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn a_forged_error_does_not_consume_the_login() {
    // Covers threat case 40.
    let setup = setup().await;
    let (victim, genuine) = started(&setup).await;
    let iss = parameter(&genuine, "iss");
    let state = parameter(&genuine, "state");
    let forged = with(
        &genuine,
        &[
            ("error", "access_denied"),
            ("state", "forged"),
            ("iss", &iss),
        ],
    );
    let guessed = with(
        &genuine,
        &[("error", "access_denied"), ("state", &state), ("iss", &iss)],
    );

    victim.open(&forged).await.unwrap().assert_status(400);
    let attacker = setup.kyc.browser();
    attacker.open(&guessed).await.unwrap().assert_status(400);

    victim.open(&genuine).await.unwrap().assert_status(303);
}

#[tokio::test]
async fn a_code_of_another_issuer_is_not_exchanged() {
    // Covers threat cases 41, 42.
    let setup = setup().await;
    let issuer = setup.kyc.issuer().to_owned();
    for iss in [
        Some("https://evil.example".to_owned()),
        Some(format!("{issuer}/")),
        Some(String::new()),
        Some(issuer.to_uppercase()),
        None,
    ] {
        for outcome in ["code", "error"] {
            let (browser, genuine) = started(&setup).await;
            let (state, code) = (parameter(&genuine, "state"), parameter(&genuine, "code"));
            let mut pairs = vec![("state", state.as_str())];
            match outcome {
                "code" => pairs.push(("code", &code)),
                _ => pairs.push(("error", "access_denied")),
            }
            pairs.extend(iss.as_deref().map(|iss| ("iss", iss)));

            let found = code_of(&browser, &with(&genuine, &pairs)).await;

            assert_eq!(
                found,
                (502, "invalid_issuer_response".to_owned()),
                "{iss:?}"
            );
            assert_eq!(browser.cookie(setup.app.url("/"), SESSION_COOKIE), None);
        }
    }
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn a_response_without_the_promised_iss_is_rejected() {
    // Covers threat case 42.
    let setup = setup().await;
    setup.kyc.switch(|switches| switches.iss_parameter = false);
    let (browser, callback) = started(&setup).await;
    assert!(!callback.query().unwrap().contains("iss="));
    assert_eq!(
        code_of(&browser, &callback).await,
        (502, "invalid_issuer_response".to_owned())
    );
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn iss_is_mandatory_when_advertised_or_configured() {
    // Covers threat case 42.
    for (required, status) in [(false, 303), (true, 502)] {
        let kyc = MockIssuer::builder()
            .switch(|switches| {
                switches.iss_parameter = false;
                switches.advertise_iss_parameter = false;
            })
            .start()
            .await
            .unwrap();
        let setup = setup_on(kyc, 1000, |config| {
            if required {
                config.response_issuer(kycport::oidc::ResponseIssuer::Required)
            } else {
                config
            }
        })
        .await;
        let (browser, callback) = started(&setup).await;
        let page = browser.open(&callback).await.unwrap();
        page.assert_status(status);
    }
}

#[tokio::test]
async fn during_a_store_outage_the_code_is_not_consumed() {
    // Covers threat case 45.
    type Break = fn(&TestApp);
    let setup = setup().await;
    let breaks: [Break; 2] = [
        |setup| setup.store.fail_on(Op::Acquire, LOGIN),
        // The store grants the lease, but its response is lost.
        |setup| setup.store.lose_answer(Op::Acquire, LOGIN),
    ];
    for fault in breaks {
        let (browser, callback) = started(&setup).await;
        setup.kyc.forget_requests();
        fault(&setup);
        let page = browser.open(&callback).await.unwrap();
        page.assert_status(503);
        assert_eq!(page.header("retry-after"), Some("1"));
        assert_eq!(page.header("set-cookie"), None);
        assert_leaves_nothing_behind(&page);
        setup.kyc.requests(Endpoint::Token).assert_count(0);

        setup.store.heal();
        browser.open(&callback).await.unwrap().assert_status(303);
        setup.kyc.requests(Endpoint::Token).assert_count(1);
    }
}

#[tokio::test]
async fn a_complete_store_outage_gets_503_and_keeps_the_code() {
    // Covers threat case 45.
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;
    setup.store.fail();
    let found = code_of(&browser, &callback).await;
    assert_eq!(found, (503, "store_unavailable".to_owned()));
    setup.store.heal();
    browser.get(&callback).await.unwrap().assert_ok();
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn a_login_that_cannot_be_settled_is_not_reused() {
    // Covers threat cases 35, 45.
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;
    let before = browser.clone();
    setup.store.fail_on(Op::Settle, LOGIN);
    browser.open(&callback).await.unwrap().assert_status(303);
    // The store does not release the lease. The second request waits for the lease up to the limit.
    // The app then treats the login as used.
    assert_eq!(
        code_of(&before, &callback).await,
        (400, "finished_login".to_owned())
    );
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn a_session_that_cannot_be_stored_is_not_created() {
    // Covers threat cases 45, 95.
    for kind in [SESSION, TOKENS] {
        let setup = setup().await;
        let (browser, callback) = started(&setup).await;
        let before = browser.clone();
        setup.store.fail_on(Op::Write, kind);
        let page = browser.open(&callback).await.unwrap();
        page.assert_status(503);
        assert_ends_the_login_only(&page);

        setup.store.heal();
        for (who, code) in [(&browser, "unknown_login"), (&before, "finished_login")] {
            assert_eq!(code_of(who, &callback).await, (400, code.to_owned()));
        }
        setup.kyc.requests(Endpoint::Token).assert_count(1);
        assert_eq!(setup.store.records(SESSION).await.len(), 0);
    }
}

#[tokio::test]
async fn the_response_does_not_expose_the_code_or_the_state() {
    // Covers threat case 46.
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;

    let page = browser.open(&callback).await.unwrap();

    page.assert_status(303);
    assert_eq!(page.header("location"), Some("/vault"));
    assert_eq!(page.body(), "");
    assert_leaves_nothing_behind(&page);
}
