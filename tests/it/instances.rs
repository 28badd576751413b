//! Two instances behind a load balancer: no two requests in a row meet the same one, and nobody
//! notices.

use std::time::Duration;

use kycport::{
    KycTier, RunningApp,
    mock::{Browser, Endpoint, MockIssuer, Page, Verification},
};
use serde_json::Value;

use crate::engines::{Engine, balanced};

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
    let kyc = MockIssuer::start().await;
    let engine = Engine::memory(&kyc).sealed();
    story(kyc, &engine).await;
}

async fn open_and_sealed(engine: Option<Engine>) {
    if let Some(engine) = engine {
        story(MockIssuer::start().await, &engine).await;
        story(MockIssuer::start().await, &engine.sealed()).await;
    }
}

#[tokio::test]
async fn two_instances_on_one_redis() {
    open_and_sealed(Engine::redis().await).await;
}

#[tokio::test]
async fn two_instances_on_one_postgres() {
    open_and_sealed(Engine::postgres().await).await;
}
