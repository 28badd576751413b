//! Tests with two instances behind a load balancer. Consecutive requests go to different instances.

use std::time::Duration;

use kycport::{
    KycTier, RunningApp,
    mock::{Browser, Endpoint, MockIssuer, Page, Verification},
};
use serde_json::Value;

use crate::engines::{Engine, balanced};

const COOKIE: &str = "__Host-kycport";
const MINUTE: Duration = Duration::from_secs(60);

/// Returns the responses of both instances.
async fn both(browser: &Browser, url: &str) -> [Page; 2] {
    let one = browser.fetch(url).await.unwrap();
    [one, browser.fetch(url).await.unwrap()]
}

async fn statuses(browser: &Browser, url: &str) -> [u16; 2] {
    both(browser, url).await.map(|page| page.status())
}

/// Returns the verification status that each instance knows without a request to KYCPort.
async fn known_status(browser: &Browser, app: &RunningApp) -> [Value; 2] {
    let pages = both(browser, &app.url("/auth/me")).await;
    pages.map(|page| page.assert_ok().json()["assurance"]["kyc_status"].clone())
}

/// Tests the sessions of a person: login, step-up, rejection, use, and sign-out.
async fn run_through(kyc: MockIssuer, engine: &Engine) {
    let app = balanced(&kyc, |config| engine.instance(config)).await;
    kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
    let ada = kyc.person("ada").tier(KycTier::T1).create();
    let browser = kyc.browser();
    let me = app.url("/auth/me");

    // Login.
    let login = app.url("/auth/login?return_to=/vault");
    let page = browser.sign_in(login, &ada).await.unwrap();
    assert_eq!(
        page.assert_ok().body(),
        format!("the vault of {}", ada.id())
    );
    assert_eq!(statuses(&browser, &me).await, [200, 200]);
    assert_eq!(statuses(&browser, &app.url("/token")).await, [200, 200]);

    // Step-up. The old session key becomes invalid after 30 s.
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
    assert_eq!(statuses(&old, &me).await, [200, 200]);
    kyc.clock().advance(Duration::from_secs(31));
    assert_eq!(statuses(&old, &me).await, [401, 401]);
    assert_eq!(statuses(&browser, &me).await, [200, 200]);

    // One instance receives the event, and the rejection applies at both instances.
    kyc.clock().advance(Duration::from_secs(1));
    kyc.forget_requests();
    ada.reject();
    kyc.webhooks().settled().await;
    kyc.requests(Endpoint::Status).assert_count(1);
    assert_eq!(known_status(&browser, &app).await, ["rejected", "rejected"]);
    kyc.requests(Endpoint::Status).assert_count(1);
    for status in statuses(&browser, &guarded).await {
        assert_ne!(status, 200);
    }

    // If a person uses the session at one instance, the session lasts longer at both instances.
    for _ in 0..4 {
        kyc.clock().advance(20 * MINUTE);
        browser.open(app.url("/vault")).await.unwrap().assert_ok();
    }

    // The person starts logins in two tabs.
    let mut callbacks = Vec::new();
    for _ in 0..2 {
        let begun = browser.start_sign_in(app.url("/auth/login"), &ada).await;
        callbacks.push(begun.unwrap());
    }
    for callback in callbacks {
        browser.open(callback).await.unwrap().assert_status(303);
    }

    // Sign-out.
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
async fn two_instances_share_an_in_memory_store() {
    let kyc = MockIssuer::start().await;
    let engine = Engine::memory(&kyc);
    run_through(kyc, &engine).await;
    let kyc = MockIssuer::start().await;
    let engine = Engine::memory(&kyc).sealed();
    run_through(kyc, &engine).await;
}

async fn unencrypted_and_encrypted(engine: Option<Engine>) {
    if let Some(engine) = engine {
        run_through(MockIssuer::start().await, &engine).await;
        run_through(MockIssuer::start().await, &engine.sealed()).await;
    }
}

#[tokio::test]
async fn two_instances_share_a_redis() {
    unencrypted_and_encrypted(Engine::redis().await).await;
}

#[tokio::test]
async fn two_instances_share_a_postgres() {
    unencrypted_and_encrypted(Engine::postgres().await).await;
}
