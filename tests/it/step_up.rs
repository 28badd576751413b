//! Tests that a step-up verifies a person at a higher tier and returns the person to the app.

use std::time::Duration;

use axum::http::Method;
use kycport::{
    ConfigBuilder, KycStatus, KycTier, RunningApp,
    mock::{Browser, Endpoint, MockIssuer, Page, Person, Verification},
};
use serde_json::json;

use crate::{
    support::{serve, setup_with},
    visitor::{LOGIN_COOKIES, set_and_deleted},
};

const COOKIE: &str = "__Host-kycport";

struct StepUpTest {
    kyc: MockIssuer,
    app: RunningApp,
    ada: Person,
    browser: Browser,
}

/// Creates a test in which Ada is verified at t1 and signed in.
async fn setup() -> StepUpTest {
    let (kyc, app, ada) = setup_with(|config| config).await;
    ada.set_tier(KycTier::T1);
    let browser = kyc.browser();
    let login = app.url("/auth/login");
    browser.sign_in(login, &ada).await.unwrap().assert_ok();
    kyc.forget_requests();
    StepUpTest {
        kyc,
        app,
        ada,
        browser,
    }
}

impl StepUpTest {
    fn key(&self) -> Option<String> {
        self.browser.cookie(self.app.url("/"), COOKIE)
    }

    async fn whoami(&self, browser: &Browser) -> Option<String> {
        let me = browser.fetch(self.app.url("/auth/me")).await.unwrap();
        me.json()["subject"].as_str().map(str::to_owned)
    }

    async fn verify(&self, path: &str, end: Verification) -> Page {
        let url = self.app.url(path);
        let went = self.browser.sign_in_verifying(url, &self.ada, end).await;
        went.unwrap()
    }

    /// Starts a step-up to t3, stops before the callback, and returns the URL of the callback.
    async fn pending_callback_of_another_tier(&self) -> String {
        let login = self.app.url("/auth/login");
        let page = self.browser.sign_in(login, &self.ada).await;
        page.unwrap().assert_ok();
        self.kyc.forget_requests();
        let url = self.app.url("/auth/step-up?tier=t3&return_to=/vault");
        let started = self
            .browser
            .start_sign_in_verifying(url, &self.ada, Verification::Pass);
        started.await.unwrap().to_string()
    }

    /// Starts a step-up, stops before the callback, and returns the URL of the callback.
    async fn pending_callback(&self, who: &Person, end: Verification) -> String {
        let url = self.app.url("/guarded");
        let browser = &self.browser;
        let callback = browser.start_sign_in_verifying(url, who, end).await;
        callback.unwrap().to_string()
    }
}

/// Asserts that the response deletes the login cookie and leaves the session cookie unchanged.
fn assert_deletes_the_login_only(page: &Page) {
    let (set, deleted) = set_and_deleted(page);
    assert_eq!(set.len(), 0, "{set:?}");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].starts_with(LOGIN_COOKIES), "{deleted:?}");
}

fn paths(page: &Page) -> Vec<&str> {
    page.history().iter().map(|(_, url)| url.path()).collect()
}

/// Redirects of one complete step-up. The app never repeats these redirects without an action of
/// the person.
const STEP_UP_PATHS: [&str; 5] = [
    "/guarded",
    "/auth/step-up",
    "/authorize",
    "/authorize",
    "/auth/callback",
];

#[tokio::test]
async fn a_step_up_raises_the_tier_and_returns_to_the_requested_page() {
    // K15, K42
    let setup = setup().await;
    let old = setup.browser.clone();
    let before = setup.key();

    let page = setup.verify("/guarded?a=1", Verification::Pass).await;

    assert_eq!(page.assert_ok().json()["kyc_tier"], "t2");
    assert_eq!(page.url().as_str(), setup.app.url("/guarded?a=1"));
    assert_eq!(paths(&page), STEP_UP_PATHS);
    let authorize_requests = setup.kyc.requests(Endpoint::Authorize);
    assert_eq!(
        authorize_requests.last().unwrap().query("acr_values"),
        Some("t2")
    );
    // The step-up creates a new session key. The old session key becomes invalid after 30 s.
    assert_ne!(setup.key(), before);
    assert_eq!(setup.whoami(&old).await.as_deref(), Some(setup.ada.id()));
    setup.kyc.clock().advance(Duration::from_secs(31));
    assert_eq!(setup.whoami(&old).await, None);
    assert_eq!(
        setup.whoami(&setup.browser).await.as_deref(),
        Some(setup.ada.id())
    );
}

#[tokio::test]
async fn an_insufficient_step_up_shows_a_page_and_does_not_loop() {
    for (end, status, code) in [
        (Verification::Fail, KycStatus::Rejected, "rejected"),
        (Verification::Skip, KycStatus::Verified, "tier_too_low"),
        (Verification::Skip, KycStatus::Expired, "expired"),
        (Verification::Skip, KycStatus::Unverified, "unverified"),
    ] {
        let setup = setup().await;
        if end == Verification::Skip {
            setup.ada.set_status(status);
        }
        let page = setup.verify("/guarded?a=1", end).await;
        page.assert_status(401);
        assert_eq!(page.url().path(), "/auth/callback", "{code}");
        assert_eq!(paths(&page), &STEP_UP_PATHS[..4], "{code}");
        let way_on = "href=\"/auth/step-up?tier=t2&amp;return_to=%2Fguarded%3Fa%3D1&amp;again=1\"";
        assert!(page.body().contains(way_on), "{}", page.body());
        assert!(page.body().contains(">Continue with KYCPort</a>"));
        // The person is still signed in, and the guard still rejects the request.
        let home = setup.browser.get(setup.app.url("/")).await.unwrap();
        assert_eq!(home.body(), format!("signed in as {}", setup.ada.id()));
        let fetch = setup
            .browser
            .fetch(setup.app.url("/guarded"))
            .await
            .unwrap();
        assert_eq!(fetch.assert_status(401).json()["code"], code);

        // The button starts another step-up.
        let page = setup
            .verify(
                "/auth/step-up?tier=t2&return_to=/guarded",
                Verification::Pass,
            )
            .await;
        assert_eq!(page.assert_ok().url().path(), "/guarded", "{code}");
    }
}

#[tokio::test]
async fn a_pending_person_waits_on_the_requested_page() {
    let setup = setup().await;
    let page = setup.verify("/guarded", Verification::Pending).await;
    page.assert_status(403);
    assert_eq!(page.url().as_str(), setup.app.url("/guarded"));
    assert_eq!(paths(&page), STEP_UP_PATHS);
    assert!(page.body().contains("href=\"/guarded\">Check again</a>"));

    let reload = async || setup.browser.open(setup.app.url("/guarded")).await.unwrap();
    reload().await.assert_status(403);
    setup.ada.verify(KycTier::T2);
    setup.kyc.clock().advance(Duration::from_secs(10));
    reload().await.assert_ok();

    // KYCPort rejects the verification.
    setup.ada.set_status(KycStatus::Pending);
    setup.kyc.clock().advance(Duration::from_secs(601));
    reload().await.assert_status(403);
    setup.ada.reject();
    setup.kyc.clock().advance(Duration::from_secs(10));
    let page = reload().await;
    assert_eq!(page.location().unwrap().path(), "/auth/step-up");
}

#[tokio::test]
async fn the_requested_tier_is_never_taken_as_the_result() {
    // Covers threat case 75 and contract rows K15 and K36.
    let setup = setup().await;
    let tokens = setup.kyc.tokens_for(&setup.ada);
    let _fault = tokens
        .edit_id_token(|draft| {
            draft.claims.insert("acr".to_owned(), json!("t2"));
        })
        .always();
    let page = setup.verify("/guarded", Verification::Skip).await;
    page.assert_status(401);
    assert!(page.body().contains("Continue with KYCPort"));
    let fetch = setup
        .browser
        .fetch(setup.app.url("/guarded"))
        .await
        .unwrap();
    assert_eq!(fetch.assert_status(401).json()["code"], "tier_too_low");
}

#[tokio::test]
async fn an_id_token_without_a_tier_causes_a_status_request() {
    let setup = setup().await;
    let no_values = |setup: &StepUpTest| {
        let tokens = setup.kyc.tokens_for(&setup.ada);
        tokens
            .edit_id_token(|draft| {
                draft.claims.remove("kyc_status");
                draft.claims.remove("kyc_tier");
            })
            .always()
    };
    let _fault = no_values(&setup);
    let page = setup.verify("/guarded", Verification::Skip).await;
    page.assert_status(401);
    // The tier is unknown if the status endpoint also returns no tier. The guard then rejects the
    // request, and the page offers no next step.
    {
        let _fault = setup.kyc.on(Endpoint::Status).fail(403).always();
        let page = setup
            .verify(
                "/auth/step-up?tier=t2&return_to=/guarded",
                Verification::Pass,
            )
            .await;
        page.assert_status(503);
        assert!(!page.body().contains("Continue with KYCPort"));
    }
    setup.kyc.clock().advance(Duration::from_secs(10));
    let page = setup.browser.get(setup.app.url("/guarded")).await.unwrap();
    assert_eq!(page.assert_ok().json()["source"], "status");
}

#[tokio::test]
async fn a_step_up_completed_by_another_person_has_no_effect() {
    // Covers threat case 83.
    let setup = setup().await;
    // Eve has the same email address and a higher tier.
    let eve = setup.kyc.person("eve").tier(KycTier::T3);
    let eve = eve.email(&setup.ada.email()).create();
    let before = setup.key();
    for path in ["/guarded", "/auth/step-up?tier=t2&return_to=/guarded"] {
        let url = setup.app.url(path);
        let page = setup.browser.sign_in(url, &eve).await.unwrap();
        page.assert_status(403);
        assert!(page.body().contains("another person"), "{}", page.body());
        assert_deletes_the_login_only(&page);
        assert_eq!(setup.key(), before);
        assert_eq!(
            setup.whoami(&setup.browser).await.as_deref(),
            Some(setup.ada.id())
        );
    }
    let callback = setup.pending_callback(&eve, Verification::Skip).await;
    let visit = setup.browser.request(Method::GET, &callback);
    let visit = visit.header("sec-fetch-mode", "cors").stay();
    let fetch = visit.send().await.unwrap();
    assert_eq!(fetch.json()["code"], "subject_mismatch");
    // The app does not store Eve's verification result for Ada.
    let fetch = setup
        .browser
        .fetch(setup.app.url("/guarded"))
        .await
        .unwrap();
    fetch.assert_status(401);
}

#[tokio::test]
async fn a_step_up_does_not_replace_the_session_of_another_person() {
    let setup = setup().await;
    let eve = setup.kyc.person("eve").create();
    let callback = setup.pending_callback(&setup.ada, Verification::Pass).await;
    // The person signs in as Eve in another tab.
    let login = setup.app.url("/auth/login");
    setup.browser.sign_in(login, &eve).await.unwrap();
    let before = setup.key();

    let page = setup.browser.open(&callback).await.unwrap();

    page.assert_status(403);
    assert_eq!(setup.key(), before);
    assert_eq!(
        setup.whoami(&setup.browser).await.as_deref(),
        Some(eve.id())
    );
}

#[tokio::test]
async fn a_step_up_callback_works_once_and_only_in_its_browser() {
    let setup = setup().await;
    let callback = setup.pending_callback(&setup.ada, Verification::Pass).await;
    let thief = setup.kyc.browser();
    let page = thief.open(&callback).await.unwrap();
    page.assert_status(400);
    assert_eq!(setup.whoami(&thief).await, None);

    setup.browser.get(&callback).await.unwrap().assert_ok();
    let key = setup.key();
    // The person uses the back button. The app repeats no step, and the person can continue.
    let again = setup.browser.get(&callback).await.unwrap();
    assert_eq!(again.assert_ok().url().path(), "/");
    assert_eq!(setup.key(), key);
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn a_step_up_without_a_session_starts_a_login() {
    let setup = setup().await;
    let browser = setup.kyc.browser();
    let url = setup.app.url("/auth/step-up?tier=t2&return_to=/guarded");
    let page = browser.open(url).await.unwrap();
    page.assert_status(303);
    let to = page.location().unwrap();
    assert_eq!(to.path(), "/auth/login");
    assert_eq!(to.query(), Some("return_to=%2Fguarded"));
    // A person whose session has ended must also sign in before the step-up.
    setup.kyc.clock().advance(Duration::from_secs(31 * 60));
    let url = setup.app.url("/auth/step-up?tier=t2");
    let page = setup.browser.open(url).await.unwrap();
    assert_eq!(page.location().unwrap().path(), "/auth/login");
}

#[tokio::test]
async fn a_step_up_needs_exactly_one_known_tier() {
    let setup = setup().await;
    for query in [
        "",
        "?tier=",
        "?tier=t4",
        "?tier=2",
        "?tier=gold",
        "?tier=t2%20t3",
        "?tier=t2%00",
        "?tier=t2&tier=t2",
        "?tier=t1&tier=t2",
        "?Tier=t2",
        "?tier=%ff",
    ] {
        for browser in [&setup.browser, &setup.kyc.browser()] {
            let url = setup.app.url(&format!("/auth/step-up{query}"));
            browser.open(&url).await.unwrap().assert_status(400);
            let fetch = browser.fetch(&url).await.unwrap();
            assert_eq!(fetch.assert_status(400).json()["code"], "unknown_tier");
        }
    }
    setup.kyc.requests(Endpoint::Authorize).assert_count(0);
}

#[tokio::test]
async fn a_step_up_returns_only_to_this_app() {
    // Covers threat cases 105, 107.
    let setup = setup().await;
    for return_to in [
        "https%3A%2F%2Fevil.example%2F",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "%2Fauth%2Fstep-up%3Ftier%3Dt3",
        "%2Fauth%2Flogout",
        "%2Fguarded&return_to=%2Fvault",
        "javascript%3Aalert(1)",
    ] {
        let path = format!("/auth/step-up?again=1&tier=t2&return_to={return_to}");
        let page = setup.verify(&path, Verification::Pass).await;
        assert_eq!(page.url().as_str(), setup.app.url("/"), "{return_to}");
        // The page about the missing tier also causes no open redirect.
        setup.ada.set_tier(KycTier::T1);
        let page = setup.verify(&path, Verification::Skip).await;
        page.assert_status(401);
        let way_on = "href=\"/auth/step-up?tier=t2&amp;return_to=%2F&amp;again=1\"";
        assert!(page.body().contains(way_on), "{return_to}");
    }
}

#[tokio::test]
async fn a_step_up_rejects_prefetches_and_other_methods() {
    let setup = setup().await;
    let url = setup.app.url("/auth/step-up?tier=t2&return_to=/guarded");
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
    ] {
        let visit = setup.browser.request(Method::GET, &url);
        let page = visit.header(name, value).stay().send().await.unwrap();
        page.assert_status(403);
        assert_eq!(page.location(), None);
    }
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        let visit = setup.browser.request(method, &url);
        visit.stay().send().await.unwrap().assert_status(405);
    }
    setup.kyc.requests(Endpoint::Authorize).assert_count(0);
}

#[tokio::test]
async fn a_rejected_form_is_not_resubmitted() {
    let setup = setup().await;
    let url = setup.app.url("/sensitive");
    setup.browser.get(setup.app.url("/")).await.unwrap();
    let post = || setup.browser.request(Method::POST, &url);
    let refused = post().form(&[("amount", "7")]).stay().send().await.unwrap();
    refused.assert_status(303);
    let way_on = refused.location().unwrap();
    assert_eq!(way_on.query(), Some("tier=t2&return_to=%2F"));
    // If a script sends the request, the app responds with 401. The body contains the same step-up
    // URL.
    let fetch = post().fetch().json(&json!({})).send().await.unwrap();
    let body = fetch.assert_status(401).json();
    assert_eq!(body["step_up_url"], "/auth/step-up?tier=t2&return_to=%2F");

    let page = setup
        .browser
        .sign_in_verifying(way_on, &setup.ada, Verification::Pass)
        .await
        .unwrap();

    assert_eq!(page.assert_ok().url().as_str(), setup.app.url("/"));
    // After the step-up, the person can send the form again.
    let done = post().form(&[("amount", "7")]).send().await.unwrap();
    done.assert_ok();
}

#[tokio::test]
async fn a_declined_step_up_keeps_the_session() {
    let setup = setup().await;
    let before = setup.key();
    let url = setup.app.url("/guarded");
    let page = setup.browser.deny(url, &setup.ada).await.unwrap();
    page.assert_status(403);
    assert_eq!(setup.key(), before);
    assert_eq!(
        setup.whoami(&setup.browser).await.as_deref(),
        Some(setup.ada.id())
    );
}

#[tokio::test]
async fn a_step_up_ends_at_logout() {
    let setup = setup().await;
    let callback = setup.pending_callback(&setup.ada, Verification::Pass).await;
    setup.browser.get(setup.app.url("/")).await.unwrap();
    let out = setup.app.url("/auth/logout");
    setup.browser.post_form(out, &[]).await.unwrap();

    let page = setup.browser.get(&callback).await.unwrap();

    page.assert_status(400);
    assert_eq!(setup.whoami(&setup.browser).await, None);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn a_step_up_outlives_its_initial_session() {
    let setup = setup().await;
    let callback = setup.pending_callback(&setup.ada, Verification::Pass).await;
    // The test removes the session cookie, like a logout in another tab.
    setup.browser.remove_cookie(COOKIE);
    // Ada signed out, and Ada consented at KYCPort.
    let page = setup.browser.get(&callback).await.unwrap();
    assert_eq!(page.assert_ok().url().path(), "/guarded");
    let now = setup.whoami(&setup.browser).await;
    assert_eq!(now.as_deref(), Some(setup.ada.id()));
}

#[tokio::test]
async fn a_kycport_outage_during_a_step_up_gets_503() {
    let setup = setup().await;
    let fresh = serve(&setup.kyc, |config: ConfigBuilder| config).await;
    let browser = setup.kyc.browser();
    let login = fresh.url("/auth/login");
    browser.sign_in(login, &setup.ada).await.unwrap();
    let callback = setup.pending_callback(&setup.ada, Verification::Pass).await;
    setup.kyc.stop().unwrap();
    let page = setup.browser.open(&callback).await.unwrap();
    page.assert_status(503);
    assert_eq!(set_and_deleted(&page).0.len(), 0);
    assert_eq!(
        setup.whoami(&setup.browser).await.as_deref(),
        Some(setup.ada.id())
    );
}

#[tokio::test]
async fn the_tier_parameter_can_be_renamed() {
    // K15
    let (kyc, app, ada) = setup_with(|config| config.tier_parameter("kyc_tier_requested")).await;
    kyc.switch(|switches| "kyc_tier_requested".clone_into(&mut switches.tier_parameter));
    ada.set_tier(KycTier::T1);
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    let page = browser
        .sign_in_verifying(app.url("/guarded"), &ada, Verification::Pass)
        .await
        .unwrap();
    assert_eq!(page.assert_ok().url().path(), "/guarded");
    let authorize_requests = kyc.requests(Endpoint::Authorize);
    let authorize_requests = authorize_requests.last().unwrap();
    assert_eq!(authorize_requests.query("kyc_tier_requested"), Some("t2"));
    assert_eq!(authorize_requests.query("acr_values"), None);

    // The guard rejects each request if the app and KYCPort use different names for the parameter,
    // because KYCPort then verifies no person.
    kyc.switch(|switches| "acr_values".clone_into(&mut switches.tier_parameter));
    ada.set_tier(KycTier::T1);
    let page = browser
        .sign_in_verifying(
            app.url("/auth/step-up?tier=t2&return_to=/guarded"),
            &ada,
            Verification::Pass,
        )
        .await
        .unwrap();
    page.assert_status(401);
}

#[tokio::test]
async fn aml_not_clear_does_not_cause_a_step_up_loop() {
    let setup = setup().await;
    setup.ada.set_aml_clear(Some(false));
    let page = setup.verify("/sensitive", Verification::Pass).await;
    page.assert_status(403);
    assert_eq!(page.url().path(), "/sensitive");
    assert_eq!(page.history().len(), 5);
    assert!(!page.body().contains("/auth/"), "{}", page.body());
}

const MINUTE: Duration = Duration::from_secs(60);

/// Creates a test whose codes are valid for two hours, so that only the step-up can expire.
async fn setup_with_long_codes() -> StepUpTest {
    let setup = setup().await;
    setup
        .kyc
        .switch(|switches| switches.code_lifetime = 120 * MINUTE);
    setup.kyc.clock().freeze();
    setup
}

#[tokio::test]
async fn a_step_up_returns_after_fifty_nine_minutes() {
    let setup = setup_with_long_codes().await;
    let callback = setup.pending_callback(&setup.ada, Verification::Pass).await;
    setup.kyc.clock().advance(59 * MINUTE);

    let page = setup.browser.get(&callback).await.unwrap();

    assert_eq!(page.assert_ok().url().path(), "/guarded");
    let now = setup.whoami(&setup.browser).await;
    assert_eq!(now.as_deref(), Some(setup.ada.id()));
    // The lifetime of a login is a separate setting.
    let login = setup.app.url("/auth/login");
    let callback = setup.browser.start_sign_in(login, &setup.ada).await;
    setup.kyc.clock().advance(10 * MINUTE);
    let page = setup.browser.open(callback.unwrap()).await.unwrap();
    assert!(page.assert_status(400).body().contains("took too long"));
}

#[tokio::test]
async fn the_lifetime_of_a_step_up_is_a_setting() {
    let (kyc, app, ada) = setup_with(|config| config.step_up_lifetime(2 * MINUTE)).await;
    ada.set_tier(KycTier::T1);
    kyc.clock().freeze();
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    let started = browser.start_sign_in_verifying(app.url("/guarded"), &ada, Verification::Pass);
    let callback = started.await.unwrap();
    kyc.clock().advance(2 * MINUTE);
    let page = browser.open(callback).await.unwrap();
    assert_eq!(page.location().unwrap().path(), "/authorize");
}

#[tokio::test]
async fn an_expired_step_up_restarts_once() {
    // Covers threat case 37.
    let setup = setup_with_long_codes().await;
    let callback = setup.pending_callback(&setup.ada, Verification::Pass).await;
    setup.kyc.clock().advance(61 * MINUTE);

    let page = setup.browser.open(&callback).await.unwrap();

    page.assert_status(303);
    let authorize = page.location().unwrap();
    assert_eq!(authorize.path(), "/authorize");
    assert!(authorize.query().unwrap().contains("acr_values=t2"));
    // The cookie of the new step-up replaces the cookie of the expired step-up.
    let (set, deleted) = set_and_deleted(&page);
    assert_eq!((set.len(), deleted.len()), (1, 1), "{set:?} {deleted:?}");
    let browser = &setup.browser;
    let second = browser.start_sign_in(authorize, &setup.ada).await.unwrap();
    // Within its lifetime, the new step-up completes and returns to the page.
    let other = browser.clone();
    let page = other.get(&second).await.unwrap();
    assert_eq!(page.assert_ok().url().path(), "/guarded");
    setup.kyc.requests(Endpoint::Token).assert_count(1);

    let callback = setup.pending_callback_of_another_tier().await;
    setup.kyc.clock().advance(61 * MINUTE);
    let page = setup.browser.open(&callback).await.unwrap();
    let authorize = page.assert_status(303).location().unwrap();
    let second = browser.start_sign_in(authorize, &setup.ada).await.unwrap();
    setup.kyc.clock().advance(61 * MINUTE);
    let page = setup.browser.open(&second).await.unwrap();
    page.assert_status(400);
    assert!(page.body().contains("took too long"), "{}", page.body());
    let way_on = "href=\"/auth/step-up?tier=t3&amp;return_to=%2Fvault&amp;again=1\"";
    assert!(page.body().contains(way_on), "{}", page.body());
    assert_deletes_the_login_only(&page);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn a_late_step_up_restarts_only_for_a_code_and_a_navigation() {
    let setup = setup_with_long_codes().await;
    let callback = setup.pending_callback(&setup.ada, Verification::Pass).await;
    setup.kyc.clock().advance(61 * MINUTE);
    let before = setup.browser.clone();
    // A person who declined is not sent to KYCPort again.
    let (_, query) = callback.split_once('?').unwrap();
    let declined: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.starts_with("code="))
        .chain(["error=access_denied"])
        .collect();
    let declined = format!("/auth/callback?{}", declined.join("&"));
    let page = setup.browser.open(setup.app.url(&declined)).await.unwrap();
    page.assert_status(400);
    assert_eq!(page.location(), None);
    // An image of another site does not start a step-up.
    let image = before.request(Method::GET, &callback);
    let image = image.header("sec-fetch-dest", "image").stay();
    let page = image.send().await.unwrap();
    page.assert_status(400);
    assert_eq!(set_and_deleted(&page).0.len(), 0);
    setup.kyc.requests(Endpoint::Token).assert_count(0);
}

/// Makes Ada pending, and makes the recorded result too old for the guard.
fn make_pending(setup: &StepUpTest) {
    setup.ada.set_status(KycStatus::Pending);
    setup.kyc.clock().advance(11 * MINUTE);
}

#[tokio::test]
async fn a_pending_page_has_two_links_and_no_redirect() {
    let setup = setup().await;
    make_pending(&setup);
    let page = setup.browser.open(setup.app.url("/guarded?a=1")).await;
    let page = page.unwrap();
    page.assert_status(403);
    assert_eq!(page.location(), None);
    assert_eq!(page.header("retry-after"), Some("30"));
    let links = "<nav><a class=\"first\" href=\"/guarded?a=1\">Check again</a>\
                 <a href=\"/auth/step-up?tier=t2&amp;return_to=%2Fguarded%3Fa%3D1\">\
                 Continue with KYCPort</a><a href=\"/\">Home</a></nav>";
    assert!(page.body().contains(links), "{}", page.body());
    // The second link leads to KYCPort, where the person finishes the verification.
    setup.ada.set_status(KycStatus::Unverified);
    let path = "/auth/step-up?tier=t2&return_to=%2Fguarded%3Fa%3D1";
    let page = setup.verify(path, Verification::Pass).await;
    assert_eq!(
        page.assert_ok().url().as_str(),
        setup.app.url("/guarded?a=1")
    );
}

#[tokio::test]
async fn a_pending_fetch_names_a_step_up_url() {
    let setup = setup().await;
    make_pending(&setup);
    let fetch = setup.browser.fetch(setup.app.url("/guarded")).await;
    let fetch = fetch.unwrap();
    let body = fetch.assert_status(403).json();
    assert_eq!(body["code"], "pending");
    assert_eq!(body["step_up_url"], "/auth/step-up?tier=t2&return_to=%2F");
    assert_eq!(fetch.header("www-authenticate"), None);
}

/// Creates a test with a frozen clock, so that all step-ups are recent.
async fn setup_loop() -> StepUpTest {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    setup
}

#[tokio::test]
async fn the_third_attempt_within_five_minutes_shows_the_reason() {
    let setup = setup_loop().await;
    let step_up = "/auth/step-up?tier=t2&return_to=/guarded";
    for _ in 0..2 {
        let page = setup.verify(step_up, Verification::Skip).await;
        assert_eq!(page.assert_status(401).url().path(), "/auth/callback");
        setup.kyc.clock().advance(MINUTE);
    }
    setup.kyc.forget_requests();
    // The guard sends the person to the step-up, which now shows the reason.
    let page = setup.browser.get(setup.app.url("/guarded")).await.unwrap();
    page.assert_status(401);
    assert_eq!(paths(&page), ["/guarded"]);
    assert_eq!(page.url().path(), "/auth/step-up");
    assert!(page.body().contains("needs a higher level"));
    let way_on = "href=\"/auth/step-up?tier=t2&amp;return_to=%2Fguarded&amp;again=1\"";
    assert!(page.body().contains(way_on), "{}", page.body());
    setup.kyc.requests(Endpoint::Authorize).assert_count(0);
    // The URL in problem JSON never skips the reason page.
    let fetch = setup.browser.fetch(setup.app.url("/guarded")).await;
    let url = fetch.unwrap().json()["step_up_url"].clone();
    assert_eq!(url, "/auth/step-up?tier=t2&return_to=%2F");
    // Another tier is not affected.
    let other = setup.app.url("/auth/step-up?tier=t3");
    let page = setup.browser.open(other).await.unwrap();
    assert_eq!(page.location().unwrap().path(), "/authorize");

    // A click starts a further step-up. After five minutes, no click is needed.
    let again = format!("{step_up}&again=1");
    let page = setup.verify(&again, Verification::Skip).await;
    assert_eq!(page.assert_status(401).url().path(), "/auth/callback");
    let page = setup.browser.open(setup.app.url(step_up)).await.unwrap();
    page.assert_status(401);
    assert_eq!(page.location(), None);
    setup.kyc.clock().advance(Duration::from_secs(299));
    setup.ada.verify(KycTier::T2);
    let page = setup.browser.open(setup.app.url(step_up)).await.unwrap();
    assert_eq!(page.location().unwrap().path(), "/authorize");
}

#[tokio::test]
async fn a_loop_without_a_reason_has_its_own_page() {
    // A guard with a short maximum age can send a verified person to KYCPort again and again.
    let setup = setup_loop().await;
    let step_up = "/auth/step-up?tier=t2&return_to=/";
    for _ in 0..2 {
        setup.verify(step_up, Verification::Pass).await.assert_ok();
    }
    let page = setup.browser.open(setup.app.url(step_up)).await.unwrap();
    page.assert_status(403);
    assert_eq!(page.location(), None);
    assert!(page.body().contains("sent you back twice"));
    let way_on = "href=\"/auth/step-up?tier=t2&amp;return_to=%2F&amp;again=1\"";
    assert!(page.body().contains(way_on), "{}", page.body());
    // The attempts belong to the session. Another browser has no attempts.
    let other = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    other.sign_in(login, &setup.ada).await.unwrap();
    let page = other.open(setup.app.url(step_up)).await.unwrap();
    assert_eq!(page.location().unwrap().path(), "/authorize");
}

#[tokio::test]
async fn a_pending_loop_shows_the_pending_page() {
    let setup = setup_loop().await;
    let step_up = "/auth/step-up?tier=t2&return_to=/guarded";
    for _ in 0..2 {
        let page = setup.verify(step_up, Verification::Pending).await;
        assert_eq!(page.assert_status(403).url().path(), "/guarded");
    }
    let page = setup.browser.open(setup.app.url(step_up)).await.unwrap();
    page.assert_status(403);
    assert_eq!(page.location(), None);
    assert!(page.body().contains("href=\"/guarded\">Check again</a>"));
    let way_on = "href=\"/auth/step-up?tier=t2&amp;return_to=%2Fguarded&amp;again=1\"";
    assert!(page.body().contains(way_on), "{}", page.body());
}

#[tokio::test]
async fn a_step_up_without_a_session_is_the_first_attempt() {
    let setup = setup_loop().await;
    let callback = setup.pending_callback(&setup.ada, Verification::Skip).await;
    setup.browser.remove_cookie(COOKIE);
    setup
        .browser
        .get(&callback)
        .await
        .unwrap()
        .assert_status(401);
    let step_up = "/auth/step-up?tier=t2&return_to=/guarded";
    setup
        .verify(step_up, Verification::Skip)
        .await
        .assert_status(401);
    let page = setup.browser.open(setup.app.url(step_up)).await.unwrap();
    assert_eq!(page.assert_status(401).location(), None);
}
