//! Being verified further, and coming back.

use std::time::Duration;

use axum::http::Method;
use kycport::{
    ConfigBuilder, KycStatus, KycTier, RunningApp,
    mock::{Browser, Endpoint, MockIssuer, Page, Person, Verification},
};
use serde_json::json;

use crate::{
    support::{serve, stage_with},
    visitor::{LOGIN_COOKIES, set_and_deleted},
};

const COOKIE: &str = "__Host-kycport";

struct Stage {
    kyc: MockIssuer,
    app: RunningApp,
    ada: Person,
    browser: Browser,
}

/// Ada is verified at t1 and signed in.
async fn stage() -> Stage {
    let (kyc, app, ada) = stage_with(|config| config).await;
    ada.set_tier(KycTier::T1);
    let browser = kyc.browser();
    let login = app.url("/auth/login");
    browser.sign_in(login, &ada).await.unwrap().assert_ok();
    kyc.forget_requests();
    Stage {
        kyc,
        app,
        ada,
        browser,
    }
}

impl Stage {
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

    /// A callback that is ready to be walked into.
    async fn half_way(&self, who: &Person, end: Verification) -> String {
        let url = self.app.url("/guarded");
        let browser = &self.browser;
        let callback = browser.start_sign_in_verifying(url, who, end).await;
        callback.unwrap().to_string()
    }
}

/// The response deletes the cookie of its login, and leaves the session cookie as it is.
fn assert_deletes_the_login_only(page: &Page) {
    let (set, deleted) = set_and_deleted(page);
    assert_eq!(set.len(), 0, "{set:?}");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].starts_with(LOGIN_COOKIES), "{deleted:?}");
}

fn paths(page: &Page) -> Vec<&str> {
    page.history().iter().map(|(_, url)| url.path()).collect()
}

/// The way through KYCPort and back, which nobody walks twice by themselves.
const ROUND: [&str; 5] = [
    "/guarded",
    "/auth/step-up",
    "/authorize",
    "/authorize",
    "/auth/callback",
];

#[tokio::test]
async fn who_is_not_verified_far_enough_is_and_lands_where_they_wanted() {
    // K15, K42
    let stage = stage().await;
    let old = stage.browser.clone();
    let before = stage.key();

    let page = stage.verify("/guarded?a=1", Verification::Pass).await;

    assert_eq!(page.assert_ok().json()["kyc_tier"], "t2");
    assert_eq!(page.url().as_str(), stage.app.url("/guarded?a=1"));
    assert_eq!(paths(&page), ROUND);
    let asked = stage.kyc.requests(Endpoint::Authorize);
    assert_eq!(asked.last().unwrap().query("acr_values"), Some("t2"));
    // A new session id, and the old one is nobody's.
    assert_ne!(stage.key(), before);
    assert_eq!(stage.whoami(&old).await, None);
    assert_eq!(
        stage.whoami(&stage.browser).await.as_deref(),
        Some(stage.ada.id())
    );
}

#[tokio::test]
async fn who_still_falls_short_is_told_so_once_and_not_sent_round() {
    for (end, status, code) in [
        (Verification::Fail, KycStatus::Rejected, "rejected"),
        (Verification::Skip, KycStatus::Verified, "tier_too_low"),
        (Verification::Skip, KycStatus::Expired, "expired"),
        (Verification::Skip, KycStatus::Unverified, "unverified"),
    ] {
        let stage = stage().await;
        if end == Verification::Skip {
            stage.ada.set_status(status);
        }
        let page = stage.verify("/guarded?a=1", end).await;
        page.assert_status(401);
        assert_eq!(page.url().path(), "/auth/callback", "{code}");
        assert_eq!(paths(&page), &ROUND[..4], "{code}");
        let way_on = "href=\"/auth/step-up?tier=t2&amp;return_to=%2Fguarded%3Fa%3D1\"";
        assert!(page.body().contains(way_on), "{}", page.body());
        assert!(page.body().contains(">Continue with KYCPort</a>"));
        // Still who they are, and still not let in.
        let home = stage.browser.get(stage.app.url("/")).await.unwrap();
        assert_eq!(home.body(), format!("signed in as {}", stage.ada.id()));
        let fetch = stage
            .browser
            .fetch(stage.app.url("/guarded"))
            .await
            .unwrap();
        assert_eq!(fetch.assert_status(401).json()["code"], code);

        // The button is a further attempt.
        let page = stage
            .verify(
                "/auth/step-up?tier=t2&return_to=/guarded",
                Verification::Pass,
            )
            .await;
        assert_eq!(page.assert_ok().url().path(), "/guarded", "{code}");
    }
}

#[tokio::test]
async fn who_is_pending_waits_on_the_page_they_wanted_and_goes_on_from_there() {
    let stage = stage().await;
    let page = stage.verify("/guarded", Verification::Pending).await;
    page.assert_status(403);
    assert_eq!(page.url().as_str(), stage.app.url("/guarded"));
    assert_eq!(paths(&page), ROUND);
    assert!(page.body().contains("href=\"/guarded\">Check again</a>"));

    let reload = async || stage.browser.open(stage.app.url("/guarded")).await.unwrap();
    reload().await.assert_status(403);
    stage.ada.verify(KycTier::T2);
    stage.kyc.clock().advance(Duration::from_secs(10));
    reload().await.assert_ok();

    // Or it turns the other way.
    stage.ada.set_status(KycStatus::Pending);
    stage.kyc.clock().advance(Duration::from_secs(601));
    reload().await.assert_status(403);
    stage.ada.reject();
    stage.kyc.clock().advance(Duration::from_secs(10));
    let page = reload().await;
    assert_eq!(page.location().unwrap().path(), "/auth/step-up");
}

#[tokio::test]
async fn what_was_asked_for_is_never_taken_for_what_came_back() {
    // K15, K36; case 75
    let stage = stage().await;
    let tokens = stage.kyc.tokens_for(&stage.ada);
    let _fault = tokens
        .edit_id_token(|draft| {
            draft.claims.insert("acr".to_owned(), json!("t2"));
        })
        .always();
    let page = stage.verify("/guarded", Verification::Skip).await;
    page.assert_status(401);
    assert!(page.body().contains("Continue with KYCPort"));
    let fetch = stage
        .browser
        .fetch(stage.app.url("/guarded"))
        .await
        .unwrap();
    assert_eq!(fetch.assert_status(401).json()["code"], "tier_too_low");
}

#[tokio::test]
async fn a_token_that_says_nothing_leaves_it_to_the_status_endpoint() {
    let stage = stage().await;
    let silence = |stage: &Stage| {
        let tokens = stage.kyc.tokens_for(&stage.ada);
        tokens
            .edit_id_token(|draft| {
                draft.claims.remove("kyc_status");
                draft.claims.remove("kyc_tier");
            })
            .always()
    };
    let _fault = silence(&stage);
    let page = stage.verify("/guarded", Verification::Skip).await;
    page.assert_status(401);
    // And if that is silent too, it is not known: no way on, and no way in.
    {
        let _fault = stage.kyc.on(Endpoint::Status).fail(403).always();
        let page = stage
            .verify(
                "/auth/step-up?tier=t2&return_to=/guarded",
                Verification::Pass,
            )
            .await;
        page.assert_status(503);
        assert!(!page.body().contains("Continue with KYCPort"));
    }
    stage.kyc.clock().advance(Duration::from_secs(10));
    let page = stage.browser.get(stage.app.url("/guarded")).await.unwrap();
    assert_eq!(page.assert_ok().json()["source"], "status");
}

#[tokio::test]
async fn somebody_else_who_signs_in_half_way_changes_nothing() {
    // case 83
    let stage = stage().await;
    // The same address, and as far verified as could be wished.
    let eve = stage.kyc.person("eve").tier(KycTier::T3);
    let eve = eve.email(&stage.ada.email()).create();
    let before = stage.key();
    for path in ["/guarded", "/auth/step-up?tier=t2&return_to=/guarded"] {
        let url = stage.app.url(path);
        let page = stage.browser.sign_in(url, &eve).await.unwrap();
        page.assert_status(403);
        assert!(page.body().contains("somebody else"), "{}", page.body());
        assert_deletes_the_login_only(&page);
        assert_eq!(stage.key(), before);
        assert_eq!(
            stage.whoami(&stage.browser).await.as_deref(),
            Some(stage.ada.id())
        );
    }
    let callback = stage.half_way(&eve, Verification::Skip).await;
    let visit = stage.browser.request(Method::GET, &callback);
    let visit = visit.header("sec-fetch-mode", "cors").stay();
    let fetch = visit.send().await.unwrap();
    assert_eq!(fetch.json()["code"], "subject_mismatch");
    // What was learnt of Eve is not Ada's.
    let fetch = stage
        .browser
        .fetch(stage.app.url("/guarded"))
        .await
        .unwrap();
    fetch.assert_status(401);
}

#[tokio::test]
async fn a_session_that_changed_hands_meanwhile_is_not_taken_over() {
    let stage = stage().await;
    let eve = stage.kyc.person("eve").create();
    let callback = stage.half_way(&stage.ada, Verification::Pass).await;
    // In another tab.
    let login = stage.app.url("/auth/login");
    stage.browser.sign_in(login, &eve).await.unwrap();
    let before = stage.key();

    let page = stage.browser.open(&callback).await.unwrap();

    page.assert_status(403);
    assert_eq!(stage.key(), before);
    assert_eq!(
        stage.whoami(&stage.browser).await.as_deref(),
        Some(eve.id())
    );
}

#[tokio::test]
async fn a_callback_is_walked_into_once_and_in_its_own_browser() {
    let stage = stage().await;
    let callback = stage.half_way(&stage.ada, Verification::Pass).await;
    let thief = stage.kyc.browser();
    let page = thief.open(&callback).await.unwrap();
    page.assert_status(400);
    assert_eq!(stage.whoami(&thief).await, None);

    stage.browser.get(&callback).await.unwrap().assert_ok();
    let key = stage.key();
    // The back button: nothing is done twice, and the person is not held up.
    let again = stage.browser.get(&callback).await.unwrap();
    assert_eq!(again.assert_ok().url().path(), "/");
    assert_eq!(stage.key(), key);
    stage.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn who_is_not_signed_in_signs_in_first() {
    let stage = stage().await;
    let browser = stage.kyc.browser();
    let url = stage.app.url("/auth/step-up?tier=t2&return_to=/guarded");
    let page = browser.open(url).await.unwrap();
    page.assert_status(303);
    let to = page.location().unwrap();
    assert_eq!(to.path(), "/auth/login");
    assert_eq!(to.query(), Some("return_to=%2Fguarded"));
    // Whose session has ended is not signed in either.
    stage.kyc.clock().advance(Duration::from_secs(31 * 60));
    let url = stage.app.url("/auth/step-up?tier=t2");
    let page = stage.browser.open(url).await.unwrap();
    assert_eq!(page.location().unwrap().path(), "/auth/login");
}

#[tokio::test]
async fn the_tier_is_given_once_and_known() {
    let stage = stage().await;
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
        for browser in [&stage.browser, &stage.kyc.browser()] {
            let url = stage.app.url(&format!("/auth/step-up{query}"));
            browser.open(&url).await.unwrap().assert_status(400);
            let fetch = browser.fetch(&url).await.unwrap();
            assert_eq!(fetch.assert_status(400).json()["code"], "unknown_tier");
        }
    }
    stage.kyc.requests(Endpoint::Authorize).assert_count(0);
}

#[tokio::test]
async fn a_step_up_leads_back_into_this_app_and_nowhere_else() {
    // cases 105, 107
    let stage = stage().await;
    for return_to in [
        "https%3A%2F%2Fevil.example%2F",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "%2Fauth%2Fstep-up%3Ftier%3Dt3",
        "%2Fauth%2Flogout",
        "%2Fguarded&return_to=%2Fvault",
        "javascript%3Aalert(1)",
    ] {
        let path = format!("/auth/step-up?tier=t2&return_to={return_to}");
        let page = stage.verify(&path, Verification::Pass).await;
        assert_eq!(page.url().as_str(), stage.app.url("/"), "{return_to}");
        // Nor does the page that says what is missing.
        stage.ada.set_tier(KycTier::T1);
        let page = stage.verify(&path, Verification::Skip).await;
        page.assert_status(401);
        let way_on = "href=\"/auth/step-up?tier=t2&amp;return_to=%2F\"";
        assert!(page.body().contains(way_on), "{return_to}");
    }
}

#[tokio::test]
async fn a_step_up_is_not_fetched_ahead_nor_by_another_method() {
    let stage = stage().await;
    let url = stage.app.url("/auth/step-up?tier=t2&return_to=/guarded");
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
    ] {
        let visit = stage.browser.request(Method::GET, &url);
        let page = visit.header(name, value).stay().send().await.unwrap();
        page.assert_status(403);
        assert_eq!(page.location(), None);
    }
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        let visit = stage.browser.request(method, &url);
        visit.stay().send().await.unwrap().assert_status(405);
    }
    stage.kyc.requests(Endpoint::Authorize).assert_count(0);
}

#[tokio::test]
async fn a_form_that_was_refused_is_not_sent_again() {
    let stage = stage().await;
    let url = stage.app.url("/sensitive");
    stage.browser.get(stage.app.url("/")).await.unwrap();
    let post = || stage.browser.request(Method::POST, &url);
    let refused = post().form(&[("amount", "7")]).stay().send().await.unwrap();
    refused.assert_status(303);
    let way_on = refused.location().unwrap();
    assert_eq!(way_on.query(), Some("tier=t2&return_to=%2F"));
    // The same for a script.
    let fetch = post().fetch().json(&json!({})).send().await.unwrap();
    let body = fetch.assert_status(401).json();
    assert_eq!(body["step_up_url"], "/auth/step-up?tier=t2&return_to=%2F");

    let page = stage
        .browser
        .sign_in_verifying(way_on, &stage.ada, Verification::Pass)
        .await
        .unwrap();

    assert_eq!(page.assert_ok().url().as_str(), stage.app.url("/"));
    // And now the page may send it itself.
    let done = post().form(&[("amount", "7")]).send().await.unwrap();
    done.assert_ok();
}

#[tokio::test]
async fn who_declines_on_the_way_stays_who_they_were() {
    let stage = stage().await;
    let before = stage.key();
    let url = stage.app.url("/guarded");
    let page = stage.browser.deny(url, &stage.ada).await.unwrap();
    page.assert_status(403);
    assert_eq!(stage.key(), before);
    assert_eq!(
        stage.whoami(&stage.browser).await.as_deref(),
        Some(stage.ada.id())
    );
}

#[tokio::test]
async fn a_step_up_ends_when_its_person_signs_out() {
    let stage = stage().await;
    let callback = stage.half_way(&stage.ada, Verification::Pass).await;
    stage.browser.get(stage.app.url("/")).await.unwrap();
    let out = stage.app.url("/auth/logout");
    stage.browser.post_form(out, &[]).await.unwrap();

    let page = stage.browser.get(&callback).await.unwrap();

    page.assert_status(400);
    assert_eq!(stage.whoami(&stage.browser).await, None);
    stage.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn a_step_up_outlives_the_session_it_began_with() {
    let stage = stage().await;
    let callback = stage.half_way(&stage.ada, Verification::Pass).await;
    // As after a sign-out in another browser.
    stage.browser.remove_cookie(COOKIE);
    // It was Ada who left, and Ada who agreed at KYCPort.
    let page = stage.browser.get(&callback).await.unwrap();
    assert_eq!(page.assert_ok().url().path(), "/guarded");
    let now = stage.whoami(&stage.browser).await;
    assert_eq!(now.as_deref(), Some(stage.ada.id()));
}

#[tokio::test]
async fn kycport_down_is_503_and_not_a_way_in() {
    let stage = stage().await;
    let fresh = serve(&stage.kyc, |config: ConfigBuilder| config).await;
    let browser = stage.kyc.browser();
    let login = fresh.url("/auth/login");
    browser.sign_in(login, &stage.ada).await.unwrap();
    let callback = stage.half_way(&stage.ada, Verification::Pass).await;
    stage.kyc.stop().unwrap();
    let page = stage.browser.open(&callback).await.unwrap();
    page.assert_status(503);
    assert_eq!(set_and_deleted(&page).0.len(), 0);
    assert_eq!(
        stage.whoami(&stage.browser).await.as_deref(),
        Some(stage.ada.id())
    );
}

#[tokio::test]
async fn the_parameter_may_have_another_name() {
    // K15
    let (kyc, app, ada) = stage_with(|config| config.tier_parameter("kyc_tier_requested")).await;
    kyc.switch(|switches| "kyc_tier_requested".clone_into(&mut switches.tier_parameter));
    ada.set_tier(KycTier::T1);
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    let page = browser
        .sign_in_verifying(app.url("/guarded"), &ada, Verification::Pass)
        .await
        .unwrap();
    assert_eq!(page.assert_ok().url().path(), "/guarded");
    let asked = kyc.requests(Endpoint::Authorize);
    let asked = asked.last().unwrap();
    assert_eq!(asked.query("kyc_tier_requested"), Some("t2"));
    assert_eq!(asked.query("acr_values"), None);

    // Where the two sides differ nobody is verified, and nobody is let in.
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
async fn aml_that_is_not_clear_ends_the_way_and_does_not_loop() {
    let stage = stage().await;
    stage.ada.set_aml_clear(Some(false));
    let page = stage.verify("/sensitive", Verification::Pass).await;
    page.assert_status(403);
    assert_eq!(page.url().path(), "/sensitive");
    assert_eq!(page.history().len(), 5);
    assert!(!page.body().contains("/auth/"), "{}", page.body());
}
