//! Access tokens that have run out, and their renewal.

use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use kycport::mock::{Browser, Endpoint, MockIssuer, MockIssuerBuilder, Page, Tamper};

use crate::{
    faulty_store::{Op, SESSION, Stage, TOKENS, stage, stage_on},
    stages::everywhere_with,
    support::tenant_app,
};

const MINUTE: Duration = Duration::from_secs(60);

type Bend = fn(&Stage) -> kycport::mock::Rule;

async fn renewing_stage() -> Stage {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true).start();
    stage_on(kyc.await.unwrap(), 1000, |config| config).await
}

async fn signed_in(stage: &Stage) -> Browser {
    let browser = stage.kyc.browser();
    let login = stage.app.url("/auth/login");
    browser
        .sign_in(login, &stage.ada)
        .await
        .unwrap()
        .assert_ok();
    browser
}

/// Signed in so long ago that the access token has run out, and nothing asked since.
async fn signed_in_a_while(stage: &Stage) -> Browser {
    let browser = signed_in(stage).await;
    stage.kyc.clock().advance(16 * MINUTE);
    stage.kyc.forget_requests();
    browser
}

async fn token(stage: &Stage, browser: &Browser) -> Page {
    browser.open(stage.app.url("/token")).await.unwrap()
}

async fn me(stage: &Stage, browser: &Browser) -> u16 {
    let page = browser.fetch(stage.app.url("/auth/me")).await.unwrap();
    page.status()
}

async fn refresh_token(stage: &Stage) -> String {
    let tokens = stage.store.records(TOKENS).await;
    tokens[0]["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_that_has_run_out_is_renewed_and_a_good_one_is_not() {
    // case 53
    let stage = renewing_stage().await;
    let browser = signed_in(&stage).await;
    stage.kyc.forget_requests();
    token(&stage, &browser).await.assert_ok();
    stage.kyc.requests(Endpoint::Token).assert_count(0);

    for round in 1..=3 {
        let before = refresh_token(&stage).await;
        stage.kyc.clock().advance(16 * MINUTE);
        token(&stage, &browser).await.assert_ok();
        token(&stage, &browser).await.assert_ok();
        let requests = stage.kyc.requests(Endpoint::Token);
        requests.assert_count(round);
        let last = requests.last().unwrap();
        assert_eq!(last.form("grant_type"), Some("refresh_token"));
        assert_eq!(last.form("refresh_token"), Some(before.as_str()));
        // Rotated, and kept.
        assert_ne!(refresh_token(&stage).await, before);
    }
}

#[tokio::test]
async fn without_a_refresh_token_the_session_goes_on() {
    // case 54
    let stage = stage().await;
    let browser = signed_in_a_while(&stage).await;
    let page = token(&stage, &browser).await;
    page.assert_status(502);
    assert!(page.body().contains("cannot be refreshed"));
    stage.kyc.requests(Endpoint::Token).assert_count(0);
    assert_eq!(me(&stage, &browser).await, 200);
}

#[tokio::test]
async fn of_fifty_who_need_a_token_at_once_one_renews_it() {
    // case 53
    let stage = renewing_stage().await;
    let browser = signed_in_a_while(&stage).await;
    let gate = stage.kyc.on(Endpoint::Token).hold();
    // All have seen that it has run out before any of them renews it.
    stage.store.let_meet(TOKENS, 50);
    let url = stage.app.url("/token");
    let copies: Vec<Browser> = (0..50).map(|_| browser.clone()).collect();
    let asking = join_all(copies.iter().map(|copy| copy.open(&url)));
    let letting = async {
        gate.wait_for(1).await;
        gate.release();
    };

    let (pages, ()) = tokio::join!(asking, letting);

    for page in pages {
        page.unwrap().assert_ok();
    }
    stage.kyc.requests(Endpoint::Token).assert_count(1);
    // The rotated one was kept: it works.
    stage.kyc.clock().advance(16 * MINUTE);
    token(&stage, &browser).await.assert_ok();
}

#[tokio::test]
async fn a_refused_renewal_ends_the_session() {
    // case 54
    let stage = renewing_stage().await;
    let browser = signed_in_a_while(&stage).await;
    stage
        .store
        .rewrite(TOKENS, |r| r["body"]["refresh_token"] = "revoked".into())
        .await;

    let page = token(&stage, &browser).await;

    page.assert_status(502);
    assert!(page.body().contains("session is ended"));
    assert_eq!(me(&stage, &browser).await, 401);
    assert_eq!(stage.store.records(SESSION).await.len(), 0);
}

#[tokio::test]
async fn an_issuer_in_trouble_ends_no_session() {
    // case 54
    let stage = renewing_stage().await;
    let browser = signed_in_a_while(&stage).await;
    let fault = stage.kyc.on(Endpoint::Token).fail(503).once();
    token(&stage, &browser).await.assert_status(502);
    fault.assert_hit();
    assert_eq!(me(&stage, &browser).await, 200);
    token(&stage, &browser).await.assert_ok();
}

#[tokio::test]
async fn renewed_tokens_must_be_of_the_same_person_and_issuer() {
    // case 52
    let stage = renewing_stage().await;
    let bends: [(&str, Bend); 6] = [
        ("ID token, sub", |stage| {
            stage.kyc.tokens().edit_id_token(|draft| {
                draft.claims.insert("sub".to_owned(), "person_other".into());
            })
        }),
        ("ID token, iss", |stage| {
            stage.kyc.tokens().id_token(Tamper::WrongIssuer)
        }),
        ("ID token, aud", |stage| {
            stage.kyc.tokens().id_token(Tamper::WrongAudience)
        }),
        ("ID token, signature", |stage| {
            stage.kyc.tokens().id_token(Tamper::ForeignKey)
        }),
        ("access token, sub", |stage| {
            stage.kyc.tokens().edit_access_token(|draft| {
                draft.claims.insert("sub".to_owned(), "person_other".into());
            })
        }),
        ("access token, iss", |stage| {
            stage.kyc.tokens().access_token(Tamper::WrongIssuer)
        }),
    ];
    for (what, bend) in bends {
        let browser = signed_in_a_while(&stage).await;
        let before = stage.store.records(TOKENS).await;
        let fault = bend(&stage).once();
        let page = token(&stage, &browser).await;
        assert_eq!(page.status(), 502, "{what}");
        fault.assert_hit();
        assert_eq!(stage.store.records(TOKENS).await, before, "{what}");
        stage
            .kyc
            .browser()
            .get(stage.app.url("/"))
            .await
            .unwrap()
            .assert_ok();
        browser
            .post_form(stage.app.url("/auth/logout"), &[])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_tokens_of_another_person_are_nobodys_here() {
    // case 55
    let stage = renewing_stage().await;
    let bob = stage.kyc.person("bob").create();
    let other = stage.kyc.browser();
    other
        .sign_in(stage.app.url("/auth/login"), &bob)
        .await
        .unwrap();
    let bobs = refresh_token(&stage).await;
    other
        .post_form(stage.app.url("/auth/logout"), &[])
        .await
        .unwrap();
    let browser = signed_in_a_while(&stage).await;
    stage
        .store
        .rewrite(TOKENS, |r| r["body"]["refresh_token"] = bobs.clone().into())
        .await;
    let page = token(&stage, &browser).await;
    page.assert_status(502);
    assert!(
        page.body().contains("different subjects"),
        "{}",
        page.body()
    );
}

#[tokio::test]
async fn each_of_two_who_renew_at_once_gets_their_own() {
    // case 55
    let stage = renewing_stage().await;
    let bob = stage.kyc.person("bob").create();
    let ada = signed_in(&stage).await;
    let other = stage.kyc.browser();
    other
        .sign_in(stage.app.url("/auth/login"), &bob)
        .await
        .unwrap();
    stage.kyc.clock().advance(16 * MINUTE);
    stage.kyc.forget_requests();
    let gate = stage.kyc.on(Endpoint::Token).hold();
    let letting = async {
        // Two people do not wait for each other.
        gate.wait_for(2).await;
        gate.release();
    };
    let (first, second, ()) = tokio::join!(token(&stage, &ada), token(&stage, &other), letting);
    first.assert_ok();
    second.assert_ok();
    stage.kyc.requests(Endpoint::Token).assert_count(2);
    for (browser, person) in [(&ada, &stage.ada), (&other, &bob)] {
        let page = browser.fetch(stage.app.url("/auth/me")).await.unwrap();
        assert_eq!(page.json()["subject"], person.id());
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_loses_no_rotated_token() {
    // cases 53, 140
    let stage = renewing_stage().await;
    let browser = signed_in_a_while(&stage).await;
    let before = refresh_token(&stage).await;
    let gate = stage.kyc.on(Endpoint::Token).hold();
    let saved = stage.store.hold(Op::Save, TOKENS);
    let (leaving, url) = (browser.clone(), stage.app.url("/token"));
    let asking = tokio::spawn(async move { leaving.open(url).await });
    gate.wait_for(1).await;
    asking.abort();
    assert!(asking.await.is_err());
    for _ in 0..5 {
        // So that the app has noticed.
        browser.get(stage.app.url("/")).await.unwrap().assert_ok();
    }

    gate.release();
    saved.reached().await;
    saved.open();

    token(&stage, &browser).await.assert_ok();
    stage.kyc.requests(Endpoint::Token).assert_count(1);
    assert_ne!(refresh_token(&stage).await, before);
    stage.kyc.clock().advance(16 * MINUTE);
    token(&stage, &browser).await.assert_ok();
}

#[tokio::test]
async fn a_renewal_under_way_does_not_bring_a_session_back() {
    // cases 98, P7
    let renewing = |mock: MockIssuerBuilder| mock.issue_refresh_tokens(true);
    everywhere_with(
        renewing,
        |app| app,
        async |stage| {
            let browser = signed_in_a_while(&stage).await;
            let stolen = browser.clone();
            let gate = stage.kyc.on(Endpoint::Token).hold();
            let (slow, url) = (browser.clone(), stage.app.url("/token"));
            let under_way = tokio::spawn(async move { slow.open(url).await.unwrap() });
            gate.wait_for(1).await;
            browser
                .post_form(stage.app.url("/auth/logout"), &[])
                .await
                .unwrap()
                .assert_ok();
            gate.release();
            under_way.await.unwrap();

            assert_eq!(me(&stage, &stolen).await, 401);
            token(&stage, &stolen).await.assert_status(303);
            // Redis writes over nothing that is gone.
            if stage.engine.starts_with("redis") {
                assert_eq!(stage.store.records(TOKENS).await.len(), 0);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn of_two_instances_that_renew_at_once_neither_ends_the_session() {
    // cases 55, 97
    let stage = renewing_stage().await;
    let store = stage.store.clone();
    let other = stage.kyc.serve(|config| tenant_app(config, store));
    let other = other.await.unwrap();
    let browser = signed_in_a_while(&stage).await;
    let key = browser
        .cookie(stage.app.url("/"), "__Host-kycport")
        .unwrap();
    let cookie = format!("__Host-kycport={key}");
    // One has KYCPort's answer, and has not written it down.
    let gate = stage.store.hold(Op::Save, TOKENS);
    let (here, url) = (browser.clone(), stage.app.url("/token"));
    let first = tokio::spawn(async move { here.open(url).await.unwrap() });
    gate.reached().await;
    // The other is refused: the refresh token is spent.
    let at_kycport = stage.kyc.on(Endpoint::Token).hold();
    let elsewhere = stage.kyc.browser();
    let url = other.url("/token");
    let second = tokio::spawn(async move {
        let asked = elsewhere.request(Method::GET, url);
        asked.header("cookie", &cookie).send().await.unwrap()
    });
    at_kycport.wait_for(1).await;
    gate.open();
    at_kycport.release();

    first.await.unwrap().assert_ok();
    second.await.unwrap().assert_ok();
    assert_eq!(me(&stage, &browser).await, 200);
}
