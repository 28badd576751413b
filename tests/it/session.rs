//! Signed-in sessions: their cookie, their limits, and their end.

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, http::Method, routing::get};
use futures_util::future::join_all;
use kycport::{
    SignedIn,
    mock::{Browser, Endpoint, MockIssuer, Page},
    web::SignedOutMe,
};
use serde_json::Value;

use crate::{
    faulty_store::{ACTIVITY, LOGIN, Op, SESSION, Stage, TOKENS, stage, stage_on},
    stages::everywhere,
    support::raw,
};

const COOKIE: &str = "__Host-kycport";
const BINDING: &str = "__Host-kycport-login";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn signed_in(stage: &Stage) -> Browser {
    let browser = stage.kyc.browser();
    let login = stage.app.url("/auth/login?return_to=/vault");
    browser
        .sign_in(login, &stage.ada)
        .await
        .unwrap()
        .assert_ok();
    browser
}

async fn me(stage: &Stage, browser: &Browser) -> Page {
    browser.fetch(stage.app.url("/auth/me")).await.unwrap()
}

async fn get_from(stage: &Stage, browser: &Browser, path: &str) -> Page {
    browser.open(stage.app.url(path)).await.unwrap()
}

/// A request of nobody's, but for this cookie header.
async fn with_cookie(stage: &Stage, path: &str, cookie: &str) -> Page {
    stage
        .kyc
        .browser()
        .request(Method::GET, stage.app.url(path))
        .header("cookie", cookie)
        .fetch()
        .stay()
        .send()
        .await
        .unwrap()
}

fn session_key(stage: &Stage, browser: &Browser) -> String {
    browser.cookie(stage.app.url("/"), COOKIE).unwrap()
}

fn assert_private(page: &Page) {
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let vary: Vec<_> = page.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["cookie"], "{page:?}");
}

fn attributes(set_cookie: &str) -> BTreeSet<&str> {
    set_cookie.split("; ").skip(1).collect()
}

#[tokio::test]
async fn the_cookies_say_what_they_must_and_no_more() {
    // cases 90, P9
    let stage = stage().await;
    let browser = stage.kyc.browser();
    let login = browser.open(stage.app.url("/auth/login")).await.unwrap();
    let binding = login.header("set-cookie").unwrap();
    assert!(binding.starts_with("__Host-kycport-login="));
    assert_eq!(
        attributes(binding),
        BTreeSet::from([
            "HttpOnly",
            "Secure",
            "SameSite=Lax",
            "Path=/",
            "Max-Age=1200"
        ])
    );

    let callback = browser
        .start_sign_in(stage.app.url("/auth/login"), &stage.ada)
        .await
        .unwrap();
    let page = browser.open(callback).await.unwrap();
    let cookies: Vec<_> = page.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 1);
    let cookie = cookies[0].to_str().unwrap();
    let (name, value) = cookie.split_once(';').unwrap().0.split_once('=').unwrap();
    assert_eq!((name, value.len()), (COOKIE, 43));
    assert_eq!(
        attributes(cookie),
        BTreeSet::from(["HttpOnly", "Secure", "SameSite=Lax", "Path=/"])
    );
    assert_private(&page);
}

#[tokio::test]
async fn every_sign_in_has_a_new_key_and_ends_the_old_one() {
    // case 91
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        let before = browser.clone();

        browser
            .sign_in(stage.app.url("/auth/login"), &stage.ada)
            .await
            .unwrap()
            .assert_ok();

        assert_ne!(session_key(&stage, &browser), session_key(&stage, &before));
        me(&stage, &before).await.assert_status(401);
        me(&stage, &browser).await.assert_ok();
        assert_eq!(stage.store.records(SESSION).await.len(), 1);
        assert_eq!(stage.store.records(TOKENS).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_planted_key_is_never_adopted() {
    // case 92
    everywhere(async |stage| {
        let attacker = signed_in(&stage).await;
        for planted in ["A".repeat(43), session_key(&stage, &attacker)] {
            let victim = stage.kyc.browser();
            let plant = format!("{COOKIE}={planted}; Path=/; Secure");
            victim.set_cookie(stage.app.url("/"), &plant);

            let bob = stage.kyc.person("bob").create();
            victim
                .sign_in(stage.app.url("/auth/login"), &bob)
                .await
                .unwrap()
                .assert_ok();

            assert_ne!(session_key(&stage, &victim), planted);
            with_cookie(&stage, "/auth/me", &format!("{COOKIE}={planted}"))
                .await
                .assert_status(401);
            assert_eq!(me(&stage, &victim).await.json()["subject"], bob.id());
        }
    })
    .await;
}

#[tokio::test]
async fn a_cookie_that_is_not_a_key_is_nobodys() {
    // case 93, P9
    everywhere(async |stage| {
    let browser = signed_in(&stage).await;
    let key = session_key(&stage, &browser);
    let planted = "A".repeat(43);
    let huge = "A".repeat(20_000);
    for cookie in [
        format!("{COOKIE}="),
        COOKIE.to_owned(),
        format!("{COOKIE}={}", &key[..42]),
        format!("{COOKIE}={key}A"),
        format!("{COOKIE}=\"{key}\""),
        format!("{COOKIE}={}", key.to_uppercase()),
        format!("{COOKIE}={huge}"),
        format!("{COOKIE}=../../etc/passwd"),
        format!("{COOKIE}=%00%ff; {COOKIE}"),
        format!("{COOKIE}={planted}; {COOKIE}={key}"),
        format!("{COOKIE}={key}; {COOKIE}={planted}"),
        format!("{COOKIE}={key}; {COOKIE}={key}"),
        format!("kycport={key}"),
        format!("__host-kycport={key}"),
        format!("x{COOKIE}={key}"),
        ";;;=;=".to_owned(),
    ] {
        let page = with_cookie(&stage, "/auth/me", &cookie).await;
        assert_eq!(page.status(), 401, "{cookie:.80}");
        let page = with_cookie(&stage, "/", &cookie).await;
        assert_eq!((page.status(), page.body()), (200, "signed out"));
    }
    let odd = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: __Host-kycport=\xff\xfe\r\n\r\n";
    let answer = raw(&stage.app, odd).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.80}");
    assert!(answer.ends_with("signed out"));
    me(&stage, &browser).await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn the_keys_of_other_records_open_no_session() {
    // case 94
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        let callback = browser
            .start_sign_in(stage.app.url("/auth/login"), &stage.ada)
            .await
            .unwrap();
        let state = callback.query_pairs().find(|(name, _)| name == "state");
        let binding = browser.cookie(stage.app.url("/"), BINDING).unwrap();
        for key in [state.unwrap().1.into_owned(), binding] {
            assert_eq!(key.len(), 43, "it looks like a key");
            let cookie = format!("{COOKIE}={key}");
            with_cookie(&stage, "/auth/me", &cookie)
                .await
                .assert_status(401);
        }
        // Nor does the session's own key finish a login.
        let key = session_key(&stage, &browser);
        let url = format!("/auth/callback?state={key}&code=x");
        get_from(&stage, &browser, &url).await.assert_status(400);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_down_lets_nobody_in_and_signs_nobody_out() {
    // case 95, P17
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        stage.store.fail();

        for path in ["/vault", "/", "/token", "/cached"] {
            let page = get_from(&stage, &browser, path).await;
            page.assert_status(503);
            assert!(page.body().contains("not available"), "{}", page.body());
            assert_eq!(page.header("set-cookie"), None);
            assert_eq!(page.header("retry-after"), Some("1"));
            assert_private(&page);
        }
        for path in ["/vault", "/", "/auth/me"] {
            let page = browser.fetch(stage.app.url(path)).await.unwrap();
            page.assert_status(503);
            assert_eq!(
                page.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(page.json()["code"], "store_unavailable");
            assert_eq!(page.json()["status"], 503);
            assert_eq!(page.header("set-cookie"), None);
            assert!(!page.body().contains("canary"));
        }
        // Whoever has no cookie needs no store.
        let page = stage.kyc.browser().get(stage.app.url("/")).await.unwrap();
        assert_eq!(page.body(), "signed out");

        stage.store.heal();
        me(&stage, &browser).await.assert_ok();
        get_from(&stage, &browser, "/vault").await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn a_store_that_hangs_is_down() {
    // case 95
    let stage = stage().await;
    let browser = signed_in(&stage).await;
    let gate = stage.store.hold(Op::Load, SESSION);
    stage.store.hang();
    let url = stage.app.url("/auth/me");
    let asking = tokio::spawn(async move { browser.fetch(url).await.unwrap() });
    gate.reached().await;

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();

    asking.await.unwrap().assert_status(503);
}

#[tokio::test]
async fn half_a_store_is_none() {
    // case 95
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        stage.kyc.clock().advance(2 * MINUTE);
        get_from(&stage, &browser, "/vault").await.assert_ok();
        for kind in [SESSION, ACTIVITY] {
            stage.store.fail_on(Op::Load, kind);
            get_from(&stage, &browser, "/vault")
                .await
                .assert_status(503);
            stage.store.heal();
        }
        get_from(&stage, &browser, "/vault").await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn a_use_that_cannot_be_written_down_is_served() {
    // case 95
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        stage.kyc.clock().advance(2 * MINUTE);
        stage.store.fail_on(Op::Create, ACTIVITY);
        get_from(&stage, &browser, "/vault").await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn a_route_outside_the_layer_lets_nobody_in() {
    // case 95
    async fn vault(_: SignedIn) -> &'static str {
        "open"
    }
    let kyc = MockIssuer::start().await;
    let app = kyc
        .serve(|_| Router::new().route("/vault", get(vault)))
        .await
        .unwrap();
    let page = kyc.browser().get(app.url("/vault")).await.unwrap();
    page.assert_status(500);
    assert!(page.body().contains("session_layer"));
}

#[tokio::test]
async fn use_keeps_a_session_alive_and_writes_once_a_minute() {
    // case 96, P18
    everywhere(async |stage| {
        stage.kyc.clock().freeze();
        let browser = signed_in(&stage).await;
        stage.store.forget();
        for _ in 0..5 {
            stage.kyc.clock().advance(Duration::from_secs(11));
            get_from(&stage, &browser, "/vault").await.assert_ok();
        }
        assert_eq!(stage.store.writes(), 0);
        stage.kyc.clock().advance(Duration::from_secs(5));
        for _ in 0..10 {
            get_from(&stage, &browser, "/").await.assert_ok();
        }
        assert_eq!(stage.store.writes(), 1);

        for _ in 0..5 {
            stage.kyc.clock().advance(29 * MINUTE);
            get_from(&stage, &browser, "/vault").await.assert_ok();
        }
        stage.kyc.clock().advance(30 * MINUTE);
        get_from(&stage, &browser, "/vault")
            .await
            .assert_status(303);
        me(&stage, &browser).await.assert_status(401);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_polls_keeps_nothing_alive() {
    // case 96
    everywhere(async |stage| {
        stage.kyc.clock().freeze();
        let browser = signed_in(&stage).await;
        stage.store.forget();
        for _ in 0..29 {
            stage.kyc.clock().advance(MINUTE);
            me(&stage, &browser).await.assert_ok();
        }
        assert_eq!(stage.store.writes(), 0);
        stage.kyc.clock().advance(MINUTE);
        me(&stage, &browser).await.assert_status(401);
        get_from(&stage, &browser, "/vault")
            .await
            .assert_status(303);
    })
    .await;
}

#[tokio::test]
async fn no_use_goes_beyond_the_absolute_limit() {
    // case 96
    everywhere(async |stage| {
        stage.kyc.clock().freeze();
        let browser = signed_in(&stage).await;
        for _ in 0..(12 * 3 - 1) {
            stage.kyc.clock().advance(20 * MINUTE);
            get_from(&stage, &browser, "/vault").await.assert_ok();
        }
        let session = me(&stage, &browser).await.json()["session"].clone();
        assert_eq!(session["idle_ends_at"], session["ends_at"]);
        stage.kyc.clock().advance(Duration::from_secs(20 * 60 - 1));
        get_from(&stage, &browser, "/vault").await.assert_ok();
        stage.kyc.clock().advance(Duration::from_secs(1));
        get_from(&stage, &browser, "/vault")
            .await
            .assert_status(303);
        me(&stage, &browser).await.assert_status(401);
    })
    .await;
}

#[tokio::test]
async fn the_limits_are_the_servers_whatever_the_store_keeps() {
    // case 96
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        stage.kyc.clock().advance(13 * HOUR);
        // A store that forgets nothing, and a session that was used a moment ago.
        let now = kycport::Clock::now(stage.kyc.clock()).as_unix();
        stage
            .store
            .rewrite(ACTIVITY, |r| r["body"]["last_used"] = now.into())
            .await;
        me(&stage, &browser).await.assert_status(401);
    })
    .await;
}

#[tokio::test]
async fn what_tabs_do_at_once_is_not_lost() {
    // case 97
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        stage.kyc.clock().advance(2 * MINUTE);
        stage.store.let_meet(SESSION, 20);
        let copies: Vec<Browser> = (0..20).map(|_| browser.clone()).collect();
        let url = stage.app.url("/token");
        let pages = join_all(copies.iter().map(|copy| copy.open(&url))).await;
        for page in pages {
            page.unwrap().assert_ok();
        }
        me(&stage, &browser).await.assert_ok();
        get_from(&stage, &browser, "/token").await.assert_ok();
        stage.kyc.requests(Endpoint::Token).assert_count(1);
        assert_eq!(stage.store.records(SESSION).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_request_under_way_does_not_bring_a_session_back() {
    // case 98, P7
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        let (slow, stolen) = (browser.clone(), browser.clone());
        stage.kyc.clock().advance(2 * MINUTE);
        let gate = stage.store.hold(Op::Create, ACTIVITY);
        let url = stage.app.url("/vault");
        let under_way = tokio::spawn(async move { slow.open(url).await.unwrap() });
        gate.reached().await;

        browser
            .post_form(stage.app.url("/auth/logout"), &[])
            .await
            .unwrap()
            .assert_ok();
        gate.open();
        under_way.await.unwrap().assert_ok();

        me(&stage, &stolen).await.assert_status(401);
        get_from(&stage, &stolen, "/vault").await.assert_status(303);
        assert_eq!(stage.store.records(SESSION).await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_was_written_stays_when_the_handler_fails() {
    // P8
    everywhere(async |stage| {
        stage.kyc.clock().freeze();
        let browser = signed_in(&stage).await;
        stage.kyc.clock().advance(20 * MINUTE);
        get_from(&stage, &browser, "/broken")
            .await
            .assert_status(500);
        assert_private(&get_from(&stage, &browser, "/broken").await);
        stage.kyc.clock().advance(20 * MINUTE);
        me(&stage, &browser).await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn no_cache_keeps_what_names_a_person() {
    // case 99, P9
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        for path in ["/vault", "/", "/cached", "/token", "/nested/vault"] {
            assert_private(get_from(&stage, &browser, path).await.assert_ok());
        }
        assert_private(me(&stage, &browser).await.assert_ok());
        // Whoever is told to sign in, too.
        let nobody = stage.kyc.browser();
        assert_private(get_from(&stage, &nobody, "/vault").await.assert_status(303));
        assert_private(me(&stage, &nobody).await.assert_status(401));
        let stale = with_cookie(&stage, "/", &format!("{COOKIE}={}", "A".repeat(43))).await;
        assert_private(stale.assert_ok());
    })
    .await;
}

#[tokio::test]
async fn visitors_leave_no_record() {
    // case 100
    everywhere(async |stage| {
        let browser = stage.kyc.browser();
        for path in ["/", "/vault", "/auth/me", "/nested/vault", "/nowhere"] {
            for cookie in [None, Some(format!("{COOKIE}={}", "A".repeat(43)))] {
                let mut visit = browser.request(Method::GET, stage.app.url(path)).stay();
                if let Some(cookie) = &cookie {
                    visit = visit.header("cookie", cookie);
                }
                let page = visit.send().await.unwrap();
                assert_eq!(page.header("set-cookie"), None, "{path}");
            }
        }
        assert_eq!(stage.store.writes(), 0);
        assert_eq!(stage.store.len().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_record_that_is_not_understood_is_no_session() {
    // cases 94, 95
    type Change = fn(&mut Value);
    let changes: [Change; 6] = [
        |record| record["v"] = 0.into(),
        |record| record["v"] = 2.into(),
        |record| record["kind"] = "login".into(),
        |record| *record = "foreign".into(),
        |record| record["body"] = Value::Null,
        |record| record["body"]["subject"] = Value::Null,
    ];
    everywhere(async |stage| {
        for change in changes {
            let browser = signed_in(&stage).await;
            stage.store.rewrite(SESSION, change).await;
            me(&stage, &browser).await.assert_status(401);
            let page = get_from(&stage, &browser, "/").await;
            assert_eq!(page.body(), "signed out");
            // And signing in again works, and signing out.
            let again = browser.sign_in(stage.app.url("/auth/login"), &stage.ada);
            again.await.unwrap().assert_ok();
            let out = browser.post_form(stage.app.url("/auth/logout"), &[]);
            out.await.unwrap().assert_ok();
        }
    })
    .await;
}

#[tokio::test]
async fn the_store_learns_no_cookie_by_its_ids() {
    // case 137
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        let key = session_key(&stage, &browser);
        for kind in [SESSION, ACTIVITY, TOKENS] {
            for record in stage.store.records(kind).await {
                assert!(!record.to_string().contains(&key));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn people_are_told_apart_by_issuer_and_subject_alone() {
    // case 83
    let kyc = MockIssuer::start().await;
    let stage = stage_on(kyc, 1000, |c| c.scopes(["openid", "email", "kyc"])).await;
    let mallory = stage.kyc.person("mallory").create();
    mallory.set_email(&stage.ada.email());
    let (ada, other) = (signed_in(&stage).await, stage.kyc.browser());
    other
        .sign_in(stage.app.url("/auth/login"), &mallory)
        .await
        .unwrap();
    let (ada, other) = (me(&stage, &ada).await, me(&stage, &other).await);
    assert_eq!(
        ada.json()["claims"]["email"],
        other.json()["claims"]["email"]
    );
    assert_eq!(other.json()["subject"], mallory.id());
    assert_ne!(ada.json()["subject"], other.json()["subject"]);

    // What looks like an @ is kept as it came.
    let odd = "ada\u{ff20}example.test";
    mallory.set_email(odd);
    let browser = stage.kyc.browser();
    browser
        .sign_in(stage.app.url("/auth/login"), &mallory)
        .await
        .unwrap();
    assert_eq!(me(&stage, &browser).await.json()["claims"]["email"], odd);
}

#[tokio::test]
async fn nobody_is_null_if_the_app_wants_it_so() {
    let kyc = MockIssuer::start().await;
    let stage = stage_on(kyc, 1000, |c| c.signed_out_me(SignedOutMe::Null)).await;
    let page = me(&stage, &stage.kyc.browser()).await;
    assert_eq!((page.status(), page.body()), (200, "null"));
    assert_private(&page);
    stage.store.fail();
    let cookie = format!("{COOKIE}={}", "A".repeat(43));
    with_cookie(&stage, "/auth/me", &cookie)
        .await
        .assert_status(503);
}

#[tokio::test]
async fn a_handler_that_panics_harms_nobody_else() {
    // case 140
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        stage.kyc.clock().advance(2 * MINUTE);
        for _ in 0..3 {
            let panicked = browser.open(stage.app.url("/panic")).await;
            assert!(panicked.is_err());
            get_from(&stage, &browser, "/vault").await.assert_ok();
        }
        let other = signed_in(&stage).await;
        get_from(&stage, &other, "/token").await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_harms_nobody_else() {
    // case 140
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        for (op, kind) in [
            (Op::Load, SESSION),
            (Op::Save, ACTIVITY),
            (Op::Load, TOKENS),
        ] {
            stage.kyc.clock().advance(2 * MINUTE);
            let gate = stage.store.hold(op, kind);
            let (leaving, url) = (browser.clone(), stage.app.url("/token"));
            let asking = tokio::spawn(async move { leaving.open(url).await });
            gate.reached().await;
            asking.abort();
            assert!(asking.await.is_err());
            stage.store.heal();
            get_from(&stage, &browser, "/vault").await.assert_ok();
            get_from(&stage, &browser, "/token").await.assert_ok();
        }
        // In the middle of a callback: the code is not sent twice, and the next login works.
        let callback = browser
            .start_sign_in(stage.app.url("/auth/login"), &stage.ada)
            .await
            .unwrap();
        let gate = stage.store.hold(Op::Create, "login-taken");
        let (leaving, url) = (browser.clone(), callback.clone());
        let asking = tokio::spawn(async move { leaving.open(url).await });
        gate.reached().await;
        asking.abort();
        assert!(asking.await.is_err());
        stage.store.heal();
        assert_eq!(stage.store.records(LOGIN).await.len(), 1);
        signed_in(&stage).await;
        get_from(&stage, &browser, "/vault").await.assert_ok();
    })
    .await;
}
