//! Two instances behind a load balancer: no two requests in a row meet the same one, and nobody
//! notices.

use std::time::Duration;

use axum::http::Method;
use kycport::{
    KycTier, RunningApp,
    mock::{Browser, Endpoint, MockIssuer, Page, Verification},
};
use serde_json::Value;

use crate::{
    engines::{Engine, balanced, migrate},
    servers::Server,
};

const COOKIE: &str = "__Host-kycport";
const MINUTE: Duration = Duration::from_secs(60);

/// What each of the instances answers.
async fn both(browser: &Browser, url: &str) -> [Page; 2] {
    let one = browser.fetch(url).await.unwrap();
    [one, browser.fetch(url).await.unwrap()]
}

async fn statuses(browser: &Browser, url: &str) -> [u16; 2] {
    both(browser, url).await.map(|page| page.status())
}

/// Where the person stands, as far as each instance knows without asking.
async fn felt(browser: &Browser, app: &RunningApp) -> [Value; 2] {
    let pages = both(browser, &app.url("/auth/me")).await;
    pages.map(|page| page.assert_ok().json()["assurance"]["kyc_status"].clone())
}

/// A person's whole life with an app.
async fn story(kyc: MockIssuer, engine: &Engine) {
    let app = balanced(&kyc, |config| engine.instance(config)).await;
    kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
    let ada = kyc.person("ada").tier(KycTier::T1).create();
    let browser = kyc.browser();
    let me = app.url("/auth/me");

    // Signing in.
    let login = app.url("/auth/login?return_to=/vault");
    let page = browser.sign_in(login, &ada).await.unwrap();
    assert_eq!(
        page.assert_ok().body(),
        format!("the vault of {}", ada.id())
    );
    assert_eq!(statuses(&browser, &me).await, [200, 200]);
    assert_eq!(statuses(&browser, &app.url("/token")).await, [200, 200]);

    // A step-up, after which the old key is nobody's.
    let old = browser.clone();
    let guarded = app.url("/guarded");
    for page in both(&browser, &guarded).await {
        assert_eq!(page.json()["code"], "tier_too_low");
    }
    let stepped_up = browser.sign_in_verifying(&guarded, &ada, Verification::Pass);
    stepped_up.await.unwrap().assert_ok();
    browser.get(app.url("/")).await.unwrap();
    old.get(app.url("/")).await.unwrap();
    assert_eq!(statuses(&browser, &guarded).await, [200, 200]);
    assert_eq!(statuses(&old, &me).await, [401, 401]);

    // An event, which one of them receives and both feel.
    kyc.clock().advance(Duration::from_secs(1));
    kyc.forget_requests();
    ada.reject();
    kyc.webhooks().settled().await;
    kyc.requests(Endpoint::Status).assert_count(1);
    assert_eq!(felt(&browser, &app).await, ["rejected", "rejected"]);
    kyc.requests(Endpoint::Status).assert_count(1);
    for status in statuses(&browser, &guarded).await {
        assert_ne!(status, 200);
    }

    // A use that one has seen keeps the session alive for the other.
    for _ in 0..4 {
        kyc.clock().advance(20 * MINUTE);
        browser.open(app.url("/vault")).await.unwrap().assert_ok();
    }

    // Two tabs.
    let mut callbacks = Vec::new();
    for _ in 0..2 {
        let begun = browser.start_sign_in(app.url("/auth/login"), &ada).await;
        callbacks.push(begun.unwrap());
    }
    for callback in callbacks {
        browser.open(callback).await.unwrap().assert_status(303);
    }

    // Signing out, for good.
    browser.get(app.url("/")).await.unwrap();
    let stolen = browser.clone();
    assert_eq!(statuses(&stolen, &me).await, [200, 200]);
    let page = browser.post_form(app.url("/auth/logout"), &[]).await;
    assert_eq!(page.unwrap().assert_ok().body(), "signed out");
    assert_eq!(browser.cookie(&me, COOKIE), None);
    assert_eq!(statuses(&stolen, &me).await, [401, 401]);
    let vault = stolen.open(app.url("/vault")).await.unwrap();
    vault.assert_status(303);
}

#[tokio::test]
async fn two_instances_on_one_memory() {
    let kyc = MockIssuer::start().await;
    let engine = Engine::memory(&kyc);
    story(kyc, &engine).await;
}

#[tokio::test]
async fn two_instances_on_one_redis() {
    if let Some(engine) = Engine::redis().await {
        story(MockIssuer::start().await, &engine).await;
    }
}

#[tokio::test]
async fn two_instances_on_one_postgres() {
    if let Some(engine) = Engine::postgres().await {
        story(MockIssuer::start().await, &engine).await;
    }
}

/// The server goes, and comes back with what it knew.
async fn outage(mut server: Server, engine: Engine) {
    let kyc = MockIssuer::start().await;
    let app = balanced(&kyc, |config| engine.instance(config)).await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let (browser, half_way) = (kyc.browser(), kyc.browser());
    let login = app.url("/auth/login");
    browser.sign_in(&login, &ada).await.unwrap().assert_ok();
    let callback = half_way.start_sign_in(&login, &ada).await.unwrap();
    let key = browser.cookie(&login, COOKIE);
    kyc.forget_requests();

    server.stop();
    let is_on_hold = |page: &Page| {
        page.assert_status(503);
        assert_eq!(page.header("set-cookie"), None);
        assert_eq!(page.header("retry-after"), Some("1"));
    };
    let logout = browser.request(Method::POST, app.url("/auth/logout"));
    // All at once: each waits as long as it may.
    let tabs: Vec<Browser> = (0..4).map(|_| browser.clone()).collect();
    let pages = tokio::join!(
        tabs[0].open(app.url("/vault")),
        tabs[1].fetch(app.url("/auth/me")),
        tabs[2].fetch(app.url("/guarded")),
        tabs[3].open(&login),
        half_way.open(&callback),
        logout.fetch().send(),
    );
    for page in [pages.0, pages.1, pages.2, pages.3, pages.4, pages.5] {
        is_on_hold(&page.unwrap());
    }
    // Whoever has no cookie needs no server.
    let page = kyc.browser().get(app.url("/")).await.unwrap();
    assert_eq!(page.assert_ok().body(), "signed out");
    kyc.requests(Endpoint::Token).assert_count(0);

    server.start_again();
    let mut page = browser.fetch(app.url("/auth/me")).await.unwrap();
    for _ in 0..200 {
        if page.status() == 200 {
            break;
        }
        is_on_hold(&page);
        pass(Duration::from_millis(50)).await;
        page = browser.fetch(app.url("/auth/me")).await.unwrap();
    }
    page.assert_ok();
    assert_eq!(browser.cookie(&login, COOKIE), key);
    assert_eq!(statuses(&browser, &app.url("/guarded")).await, [200, 200]);
    // Nor was the code lost.
    half_way.open(&callback).await.unwrap().assert_status(303);
    kyc.requests(Endpoint::Token).assert_count(1);
}

/// Whether a client is connected again it does not say.
#[expect(clippy::disallowed_methods, reason = "no test moves a server's clock")]
async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}

#[tokio::test]
async fn a_redis_that_is_away_for_a_while_signs_nobody_out() {
    // cases 45, 95
    if let Some(server) = Server::lasting_redis() {
        let engine = Engine::Redis(server.redis_pool().await);
        outage(server, engine).await;
    }
}

#[tokio::test]
async fn a_postgres_that_is_away_for_a_while_signs_nobody_out() {
    // cases 45, 95
    if let Some(server) = Server::lasting_postgres() {
        let pool = server.postgres_pool().await;
        migrate(&pool).await;
        outage(server, Engine::Postgres(pool)).await;
    }
}
