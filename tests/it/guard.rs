//! Tests that a guard on a route accepts and rejects the correct people.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Json, Router, http::Method, routing::get};
use kycport::{
    Assurance, Clock as _, Config, ConfigBuilder, KycStatus, KycTier, MemoryStore, RelyingParty,
    RunningApp,
    mock::{Browser, Endpoint, Fault, MockIssuer, On, Page, Person},
    web::AcceptedAssurance,
};
use serde_json::{Value, json};

use crate::{
    recording_store::{ASSURANCE, Op, RecordingStore},
    support::setup,
};

/// Mock, and an app that counts the calls of a guarded handler.
struct GuardTest {
    kyc: MockIssuer,
    app: RunningApp,
    ran: Arc<AtomicUsize>,
    /// Service of the app, for many concurrent requests without sockets.
    router: Router,
    store: RecordingStore,
}

/// Function that changes the configuration that the mock provides.
type Configure = fn(ConfigBuilder) -> ConfigBuilder;

impl GuardTest {
    async fn new(more: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let kyc = MockIssuer::start().await;
        Self::on(kyc, more).await
    }

    async fn on(kyc: MockIssuer, more: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let clock = Arc::new(kyc.clock().clone());
        let store = RecordingStore::over(MemoryStore::new(100_000, clock));
        Self::over(store, kyc, more).await
    }

    /// Serves the app over a store that the test supplies.
    async fn over(
        store: RecordingStore,
        kyc: MockIssuer,
        more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Self {
        let ran = Arc::new(AtomicUsize::new(0));
        let mut router = Router::new();
        let app = kyc
            .serve(|config| {
                let config = more(config).store(store.clone());
                let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
                let t2 = || kycport.require(KycTier::T2);
                router = Router::new()
                    .route("/guarded", get(handler).route_layer(t2()))
                    .route("/aml", get(handler).route_layer(t2().aml_clear()))
                    .route("/fresh", get(handler).route_layer(t2().fresh()))
                    .route(
                        "/minute",
                        get(handler).route_layer(t2().max_age(Duration::from_secs(60))),
                    )
                    .route(
                        "/instant",
                        get(handler).route_layer(t2().max_age(Duration::ZERO)),
                    )
                    .route("/", get(async || "home"))
                    .layer(Extension(Arc::clone(&ran)))
                    .merge(kycport.router())
                    .layer(kycport.session_layer());
                router.clone()
            })
            .await
            .unwrap();
        Self {
            kyc,
            app,
            ran,
            router,
            store,
        }
    }

    async fn signed_in(&self, person: &Person) -> Browser {
        let browser = self.kyc.browser();
        let login = self.app.url("/auth/login");
        browser.sign_in(login, person).await.unwrap().assert_ok();
        self.kyc.forget_requests();
        browser
    }

    async fn page(&self, browser: &Browser, path: &str) -> Page {
        browser.open(self.app.url(path)).await.unwrap()
    }

    async fn fetch(&self, browser: &Browser, path: &str) -> Page {
        browser.fetch(self.app.url(path)).await.unwrap()
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }

    fn asked(&self) -> usize {
        self.kyc.requests(Endpoint::Status).count()
    }
}

async fn handler(
    Extension(ran): Extension<Arc<AtomicUsize>>,
    AcceptedAssurance(assurance): AcceptedAssurance,
) -> Json<Assurance> {
    ran.fetch_add(1, Ordering::SeqCst);
    Json(assurance)
}

/// Omits the scope `kyc`. The ID token then contains no status, and the store contains no
/// verification result.
fn cold(config: ConfigBuilder) -> ConfigBuilder {
    config.scopes(["openid"])
}

fn once(config: ConfigBuilder) -> ConfigBuilder {
    config
        .max_attempts(1)
        .retry_pause(Duration::from_millis(1))
        .retry_deadline(Duration::from_secs(5))
}

/// Omits the tenant key. Userinfo is then the only source of the status.
fn keyless(kyc: &MockIssuer) -> impl FnOnce(ConfigBuilder) -> ConfigBuilder + use<> {
    let client = kyc.client();
    let (id, secret) = (client.id().to_owned(), client.secret().unwrap().to_owned());
    let (issuer, discovery) = (kyc.issuer().to_owned(), kyc.discovery_url());
    let clock = kyc.clock().clone();
    move |config| {
        let redirect = config.build().unwrap().redirect_uri().to_string();
        Config::builder(id, redirect)
            .client_secret(secret)
            .issuer(issuer)
            .discovery_url(discovery)
            .clock(clock)
    }
}

fn assert_step_up(page: &Page, path: &str) {
    page.assert_status(303);
    let to = page.location().unwrap();
    assert_eq!(to.path(), "/auth/step-up");
    let query: Vec<_> = to.query_pairs().into_owned().collect();
    let expected = [("tier", "t2"), ("return_to", path)];
    assert_eq!(query, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
}

/// Asserts that a page and a script get 503 without a redirect and without a challenge.
fn assert_unavailable(page: &Page, what: &str) {
    assert_eq!(page.status(), 503, "{what}: {}", page.body());
    assert_eq!(page.location(), None, "{what}");
    assert_eq!(page.header("www-authenticate"), None, "{what}");
    assert!(page.header("retry-after").is_some(), "{what}");
    assert!(page.header("cache-control").unwrap().contains("no-store"));
}

/// Asserts that the page has a link to check again and no timer (WCAG 2.2.1).
fn assert_waits(page: &Page, path: &str) {
    assert!(!page.body().contains("http-equiv"), "no timer");
    let again = format!("<a class=\"first\" href=\"{path}\">Check again</a>");
    assert!(page.body().contains(&again), "{}", page.body());
}

const CHALLENGE: &str = "Bearer error=\"insufficient_user_authentication\", acr_values=\"t2\"";

#[tokio::test]
async fn a_verified_person_is_admitted_without_a_status_request() {
    let (kyc, app, ada) = setup().await;
    let browser = kyc.browser();

    let page = browser.sign_in(app.url("/guarded"), &ada).await.unwrap();

    assert_eq!(page.assert_ok().json()["kyc_tier"], "t2");
    assert_eq!(page.json()["source"], "id_token");
    kyc.requests(Endpoint::Status).assert_count(0);
}

#[tokio::test]
async fn a_fresh_guard_requests_the_status_on_every_request() {
    let (kyc, app, ada) = setup().await;
    let browser = kyc.browser();
    browser
        .sign_in(app.url("/sensitive"), &ada)
        .await
        .unwrap()
        .assert_ok();
    kyc.requests(Endpoint::Status).assert_count(1);

    ada.reject();

    let answer = browser.fetch(app.url("/sensitive")).await.unwrap();
    answer.assert_status(401);
    assert_eq!(answer.json()["code"], "rejected");
    kyc.requests(Endpoint::Status).assert_count(2);
    // The app also uses the result of one route on the other route.
    browser
        .fetch(app.url("/guarded"))
        .await
        .unwrap()
        .assert_status(401);
}

/// Row: a change to a person who was verified at t2, the requested route, and the expected code.
type Demotion = (fn(&Person), &'static str, &'static str);

const DEMOTIONS: [Demotion; 10] = [
    (|p| p.set_tier(KycTier::T1), "/guarded", "tier_too_low"),
    (|p| p.set_tier(KycTier::T0), "/guarded", "tier_too_low"),
    (|p| p.set_status(KycStatus::Pending), "/guarded", "pending"),
    (Person::reject, "/guarded", "rejected"),
    (|p| p.set_status(KycStatus::Expired), "/guarded", "expired"),
    (
        |p| p.set_status(KycStatus::Unverified),
        "/guarded",
        "unverified",
    ),
    (|p| p.set_aml_clear(Some(false)), "/aml", "aml_not_clear"),
    (|p| p.set_aml_clear(None), "/aml", "aml_not_clear"),
    (
        |p| p.set_status(KycStatus::Unknown("approved".into())),
        "/guarded",
        "unknown",
    ),
    (
        |p| p.set_tier(KycTier::Unknown("t9".into())),
        "/guarded",
        "unknown",
    ),
];

async fn assert_demotion(
    setup: &GuardTest,
    browser: &Browser,
    (path, code): (&str, &str),
    what: &str,
) {
    let page = setup.page(browser, path).await;
    let fetch = setup.fetch(browser, path).await;
    assert_eq!(fetch.json()["code"], code, "{what}: {}", fetch.body());
    let step_up_url = fetch.json()["step_up_url"].as_str().map(str::to_owned);
    match code {
        "unknown" => {
            assert_unavailable(&page, what);
            assert_unavailable(&fetch, what);
            assert_eq!(step_up_url, None, "{what}");
        }
        "pending" => {
            page.assert_status(403);
            fetch.assert_status(403);
            assert_waits(&page, path);
            assert_eq!(fetch.header("retry-after"), Some("30"));
            assert_eq!(fetch.header("www-authenticate"), None, "{what}");
            let home = "/auth/step-up?tier=t2&return_to=%2F".to_owned();
            assert_eq!(step_up_url, Some(home), "{what}");
        }
        "aml_not_clear" => {
            page.assert_status(403);
            fetch.assert_status(403);
            assert!(!page.body().contains("/auth/"), "{what}: redirect loop");
            assert_eq!(fetch.header("www-authenticate"), None);
            assert_eq!(step_up_url, None, "{what}");
        }
        _ => {
            assert_step_up(&page, path);
            fetch.assert_status(401);
            assert_eq!(fetch.header("www-authenticate"), Some(CHALLENGE), "{what}");
            // The step-up does not return to the URL of the script's request, because this URL is
            // not a page.
            let home = "/auth/step-up?tier=t2&return_to=%2F".to_owned();
            assert_eq!(step_up_url, Some(home), "{what}");
        }
    }
    assert_eq!(setup.ran(), 0, "{what}: the handler was called");
}

#[tokio::test]
async fn every_unmet_requirement_gets_its_own_response() {
    // Covers threat case 117.
    let kyc = MockIssuer::start().await;
    let warm = GuardTest::on(kyc, |config| config).await;
    let cold = GuardTest::on(warm.kyc.clone(), cold).await;
    for (number, (demote, path, code)) in DEMOTIONS.into_iter().enumerate() {
        let person = warm.kyc.person(&format!("p{number}")).create();
        let (unknown, good) = (cold.signed_in(&person).await, warm.signed_in(&person).await);
        demote(&person);
        let bad = warm.kyc.browser();

        // The guard uses a recent positive result without a request to KYCPort.
        for page in [warm.page(&good, path).await, warm.fetch(&good, path).await] {
            page.assert_ok();
        }
        assert_eq!((warm.ran(), warm.asked()), (2, 0), "{code}");
        warm.ran.store(0, Ordering::SeqCst);

        assert_demotion(&cold, &unknown, (path, code), &format!("{code} cold")).await;
        warm.kyc.clock().advance(Duration::from_secs(601));
        warm.kyc.forget_requests();
        assert_demotion(&warm, &good, (path, code), &format!("{code} stale")).await;
        assert!(warm.asked() > 0, "{code}: the guard sent no status request");
        let login = warm.app.url("/auth/login");
        bad.sign_in(login, &person).await.unwrap().assert_ok();
        assert_demotion(&warm, &bad, (path, code), &format!("{code} known")).await;
    }
}

#[tokio::test]
async fn a_positive_result_is_used_for_ten_minutes() {
    let setup = GuardTest::new(|config| config).await;
    setup.kyc.clock().freeze();
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    setup.kyc.clock().advance(Duration::from_secs(600));
    setup.page(&browser, "/guarded").await.assert_ok();
    assert_eq!(setup.asked(), 0);
    setup.kyc.clock().advance(Duration::from_millis(1));
    let page = setup.page(&browser, "/guarded").await;
    assert_eq!(page.assert_ok().json()["source"], "status");
    assert_eq!(setup.asked(), 1);
    // The app uses the new result for another ten minutes.
    setup.kyc.clock().advance(Duration::from_secs(600));
    setup.page(&browser, "/guarded").await.assert_ok();
    assert_eq!(setup.asked(), 1);
}

#[tokio::test]
async fn max_age_limits_the_age_of_the_result() {
    let setup = GuardTest::new(|config| config).await;
    setup.kyc.clock().freeze();
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    for (after, path, asked) in [
        (60_000, "/minute", 0),
        (1, "/minute", 1),
        (60_000, "/minute", 1),
        (0, "/fresh", 2),
        (0, "/fresh", 3),
        (60_000, "/minute", 3),
        (1, "/guarded", 3),
    ] {
        setup.kyc.clock().advance(Duration::from_millis(after));
        setup.page(&browser, path).await.assert_ok();
        assert_eq!(setup.asked(), asked, "{path}");
    }
}

#[tokio::test]
async fn a_slow_status_response_is_fresh_for_its_request() {
    // Without this rule, a slow KYCPort would cause an endless redirect loop.
    let setup = GuardTest::new(|config| config).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    setup.kyc.clock().advance(Duration::from_secs(120));
    for path in ["/minute", "/instant"] {
        let gate = setup.kyc.on(Endpoint::Status).hold();
        let (page, ()) = tokio::join!(setup.page(&browser, path), async {
            gate.wait_for(1).await;
            setup.kyc.clock().advance(Duration::from_secs(61));
            gate.release();
        });
        page.assert_ok();
    }
}

type Break = fn(On) -> Fault;

/// Returns a row for every failure of the status endpoint.
#[expect(clippy::too_many_lines, reason = "a table")]
fn breaks() -> Vec<(&'static str, Break, Option<&'static str>)> {
    fn edit_response(on: On, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Fault {
        on.edit(edit).always()
    }
    fn respond(on: On, body: &str) -> Fault {
        on.answer(200, "application/json", body).always()
    }
    vec![
        (
            "429",
            |on| on.fail(429).retry_after(60).always(),
            Some("60"),
        ),
        (
            "429 without Retry-After",
            |on| on.fail(429).always(),
            Some("1"),
        ),
        ("500", |on| on.fail(500).always(), None),
        ("502", |on| on.fail(502).always(), None),
        ("503", |on| on.fail(503).always(), None),
        ("408", |on| on.fail(408).always(), None),
        ("401", |on| on.fail(401).always(), None),
        ("403", |on| on.fail(403).always(), None),
        ("404", |on| on.fail(404).always(), None),
        ("418", |on| on.fail(418).always(), None),
        ("204", |on| on.answer(204, "text/plain", "").always(), None),
        ("dropped", |on| on.drop_connection().always(), None),
        ("truncated", |on| on.truncate().always(), None),
        ("huge", |on| on.huge(1 << 20).always(), None),
        ("endless", |on| on.endless_body().always(), None),
        ("gzip", |on| on.gzip_bomb(1 << 20).always(), None),
        (
            "html",
            |on| on.answer(200, "text/html", "<h1>verified</h1>").always(),
            None,
        ),
        (
            "redirect",
            |on| on.redirect(302, "https://www.kycport.com/").always(),
            None,
        ),
        ("empty", |on| respond(on, "{}"), None),
        ("null", |on| respond(on, "null"), None),
        ("array", |on| respond(on, r#"["verified","t3",true]"#), None),
        (
            "twice",
            |on| {
                respond(
                    on,
                    r#"{"kyc_status":"rejected","kyc_status":"verified","kyc_tier":"t2","aml_clear":true}"#,
                )
            },
            None,
        ),
        (
            "no status",
            |on| {
                edit_response(on, |it| {
                    drop(it.as_object_mut().unwrap().remove("kyc_status"));
                })
            },
            None,
        ),
        (
            "no tier",
            |on| {
                edit_response(on, |it| {
                    drop(it.as_object_mut().unwrap().remove("kyc_tier"));
                })
            },
            None,
        ),
        (
            "null status",
            |on| edit_response(on, |it| it["kyc_status"] = Value::Null),
            None,
        ),
        (
            "null tier",
            |on| edit_response(on, |it| it["kyc_tier"] = Value::Null),
            None,
        ),
        (
            "the status has another type",
            |on| edit_response(on, |it| it["kyc_status"] = json!(true)),
            None,
        ),
        (
            "unknown status",
            |on| edit_response(on, |it| it["kyc_status"] = json!("ok")),
            None,
        ),
        (
            "unknown tier",
            |on| edit_response(on, |it| it["kyc_tier"] = json!("t10")),
            None,
        ),
        (
            "tier beyond",
            |on| edit_response(on, |it| it["kyc_tier"] = json!(4)),
            None,
        ),
        (
            "another person",
            |on| edit_response(on, |it| it["person_id"] = json!("person_other")),
            None,
        ),
    ]
}

#[tokio::test]
async fn an_unknown_status_gets_503_and_admits_no_request() {
    // Covers threat cases 95, 114 to 118.
    let warm = GuardTest::new(once).await;
    let cold = GuardTest::on(warm.kyc.clone(), |config| once(cold(config))).await;
    let ada = warm.kyc.person("ada").create();
    let unknown = cold.signed_in(&ada).await;
    let stale = warm.signed_in(&ada).await;
    let clock = warm.kyc.clock();
    clock.advance(Duration::from_secs(601));
    for (what, break_it, retry_after) in breaks() {
        let fault = break_it(warm.kyc.on(Endpoint::Status));
        for (setup, browser, cache) in [(&cold, &unknown, "cold"), (&warm, &stale, "stale")] {
            let what = format!("{what}, {cache}");
            let before = fault.hits();
            let page = setup.page(browser, "/guarded").await;
            assert!(
                fault.hits() > before,
                "{what}: the guard sent no status request"
            );
            assert_unavailable(&page, &what);
            let fetch = setup.fetch(browser, "/guarded").await;
            assert_unavailable(&fetch, &what);
            assert_eq!(fetch.json()["code"], "unknown", "{what}");
            assert_eq!(fetch.json().get("step_up_url"), None, "{what}");
            if let Some(seconds) = retry_after {
                assert_eq!(page.header("retry-after"), Some(seconds), "{what}");
            }
            assert_eq!(setup.ran(), 0, "{what}: the handler was called");
        }
        clock.advance(Duration::from_secs(retry_after.map_or(10, |_| 60)));
    }
    // The app accepts requests again after the failure.
    cold.page(&unknown, "/guarded").await.assert_ok();
    warm.page(&stale, "/guarded").await.assert_ok();
}

#[tokio::test]
async fn a_cached_result_is_used_while_kycport_is_down() {
    let setup = GuardTest::new(once).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    setup.kyc.stop().unwrap();
    setup.page(&browser, "/guarded").await.assert_ok();
    setup.fetch(&browser, "/aml").await.assert_ok();
    assert_eq!(setup.asked(), 0);
    // Routes that need a newer result do not use the cached result.
    for path in ["/fresh", "/instant"] {
        assert_unavailable(&setup.page(&browser, path).await, path);
        assert_unavailable(&setup.fetch(&browser, path).await, path);
    }
    setup.kyc.clock().advance(Duration::from_secs(601));
    assert_unavailable(&setup.page(&browser, "/guarded").await, "down");
    assert_eq!(setup.ran(), 2);
    setup.kyc.restart().unwrap();
    setup.page(&browser, "/fresh").await.assert_ok();
}

#[tokio::test]
async fn a_hanging_status_request_times_out_with_503() {
    let relying_party_with_short_timeouts: Configure = |config| {
        cold(config)
            .max_attempts(2)
            .retry_pause(Duration::from_millis(1))
            .retry_deadline(Duration::from_millis(300))
    };
    let setup = GuardTest::new(relying_party_with_short_timeouts).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    for break_it in [On::hang as fn(On) -> _, On::hang_body] {
        let _fault = break_it(setup.kyc.on(Endpoint::Status)).always();
        assert_unavailable(&setup.page(&browser, "/guarded").await, "page");
        assert_unavailable(&setup.fetch(&browser, "/fresh").await, "fetch");
    }
    assert_eq!(setup.ran(), 0);
}

#[tokio::test]
async fn unknown_status_and_tier_values_admit_no_request() {
    // Threat case 117: every source can return unknown values.
    let warm = GuardTest::new(|config| config).await;
    for (number, word) in [
        "approved",
        "ok",
        "true",
        "VERIFIED ",
        "verified\u{0}",
        "",
        "null",
    ]
    .into_iter()
    .enumerate()
    {
        let person = warm.kyc.person(&format!("p{number}"));
        let person = person
            .tier(KycTier::T3)
            .status(KycStatus::Unknown(word.into()))
            .create();
        let browser = warm.signed_in(&person).await;
        assert_unavailable(&warm.page(&browser, "/guarded").await, word);
        person.set_status(KycStatus::Verified);
        person.set_tier(KycTier::Unknown(word.into()));
        assert_unavailable(&warm.fetch(&browser, "/fresh").await, word);
    }
    assert_eq!(warm.ran(), 0);
}

#[tokio::test]
async fn a_delayed_older_response_does_not_replace_a_newer_rejection() {
    let setup = GuardTest::new(|config| config).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    let (slow, other) = (browser.clone(), setup.kyc.browser());
    setup.kyc.clock().advance(Duration::from_secs(601));
    let gate = setup.kyc.on(Endpoint::Status).after().hold();
    let (page, ()) = tokio::join!(setup.page(&slow, "/guarded"), async {
        gate.wait_for(1).await; // "verified" has been sent
        ada.reject();
        setup.kyc.clock().advance(Duration::from_secs(1));
        let login = setup.app.url("/auth/login");
        other.sign_in(login, &ada).await.unwrap().assert_ok();
        gate.release();
    });
    assert_step_up(&page, "/guarded");
    setup.fetch(&browser, "/guarded").await.assert_status(401);
    assert_eq!(setup.ran(), 0);
}

#[tokio::test]
async fn an_earlier_id_token_does_not_admit_a_rejected_person() {
    let setup = GuardTest::new(once).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    setup.page(&browser, "/guarded").await.assert_ok();
    ada.reject();
    setup.fetch(&browser, "/fresh").await.assert_status(401);
    setup.kyc.clock().advance(Duration::from_secs(10));
    // KYCPort is down from now on. The session's ID token had the status "verified".
    setup.kyc.stop().unwrap();
    assert_unavailable(&setup.page(&browser, "/guarded").await, "silent");
    assert_eq!(setup.ran(), 1);
}

#[tokio::test]
async fn setting_the_clock_back_does_not_make_an_old_result_fresh() {
    let setup = GuardTest::new(|config| config).await;
    let clock = setup.kyc.clock();
    let ada = setup.kyc.person("ada").create();
    let real = clock.now();
    // The clock is an hour ahead while Ada signs in. The test then corrects the clock.
    clock.jump_to(real.saturating_add(Duration::from_secs(3600)));
    let browser = setup.signed_in(&ada).await;
    ada.reject();
    clock.jump_to(real);
    for path in ["/guarded", "/minute", "/fresh", "/guarded"] {
        let page = setup.fetch(&browser, path).await;
        assert_eq!(page.json()["code"], "rejected", "{path}");
        clock.advance(Duration::from_secs(10));
    }
    assert!(setup.asked() >= 4);
    ada.verify(KycTier::T2);
    setup.page(&browser, "/guarded").await.assert_ok();
    assert_eq!(setup.ran(), 1);
}

#[tokio::test]
async fn without_a_tenant_key_the_guard_uses_userinfo() {
    let kyc = MockIssuer::start().await;
    let keyless = keyless(&kyc);
    let setup = GuardTest::on(kyc, keyless).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;

    // The ID token is recent.
    let page = setup.page(&browser, "/guarded").await;
    assert_eq!(page.assert_ok().json()["source"], "id_token");
    let page = setup.page(&browser, "/fresh").await;
    assert_eq!(page.assert_ok().json()["source"], "userinfo");
    ada.reject();
    let fetch = setup.fetch(&browser, "/fresh").await;
    assert_eq!(fetch.json()["code"], "rejected");
    ada.verify(KycTier::T2);
    setup.kyc.clock().advance(Duration::from_secs(10));
    setup.page(&browser, "/guarded").await.assert_ok();
    let ran = setup.ran();

    // The guard does not treat a source that fails as a missing source.
    {
        let _fault = setup.kyc.on(Endpoint::Userinfo).fail(500).always();
        assert_unavailable(&setup.page(&browser, "/fresh").await, "500");
    }
    // The access token has expired. The ID token is as old as the access token, and the session has
    // no refresh token.
    setup.kyc.clock().advance(Duration::from_secs(15 * 60));
    setup.kyc.forget_requests();
    for path in ["/guarded", "/fresh", "/minute", "/aml"] {
        assert_step_up(&setup.page(&browser, path).await, path);
        let fetch = setup.fetch(&browser, path).await;
        assert_eq!(fetch.assert_status(401).json()["code"], "stale", "{path}");
        assert_eq!(fetch.header("www-authenticate"), Some(CHALLENGE));
    }
    setup.kyc.requests(Endpoint::Userinfo).assert_count(0);
    assert_eq!(setup.ran(), ran);

    // The step-up gets a new token and returns to the page.
    let page = browser
        .sign_in(setup.app.url("/fresh"), &ada)
        .await
        .unwrap();
    assert_eq!(page.assert_ok().json()["source"], "userinfo");
    setup.kyc.requests(Endpoint::Status).assert_count(0);
}

#[tokio::test]
async fn without_a_source_an_id_token_without_status_admits_no_request() {
    let kyc = MockIssuer::start().await;
    let keyless = keyless(&kyc);
    let setup = GuardTest::on(kyc, |config| cold(keyless(config))).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    assert_unavailable(&setup.page(&browser, "/guarded").await, "no scope");
    assert_unavailable(&setup.fetch(&browser, "/fresh").await, "no scope");
    assert_eq!(setup.ran(), 0);
}

#[tokio::test]
async fn a_fresh_token_rejected_by_userinfo_gets_503_instead_of_a_redirect_loop() {
    let kyc = MockIssuer::start().await;
    let keyless = keyless(&kyc);
    let setup = GuardTest::on(kyc, keyless).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    let _fault = setup.kyc.on(Endpoint::Userinfo).fail(401).always();
    // KYCPort issued the token a moment ago, so KYCPort would also reject a new token.
    assert_unavailable(&setup.page(&browser, "/fresh").await, "refused");
    assert_eq!(setup.ran(), 0);
}

#[tokio::test]
async fn a_result_that_cannot_be_stored_is_requested_again() {
    let setup = GuardTest::new(once).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    setup.kyc.clock().advance(Duration::from_secs(601));
    setup.store.fail_on(Op::Write, ASSURANCE);
    for asked in 1..=3 {
        setup.page(&browser, "/guarded").await.assert_ok();
        assert_eq!(setup.asked(), asked);
    }
    ada.reject();
    setup.fetch(&browser, "/guarded").await.assert_status(401);
    setup.kyc.stop().unwrap();
    assert_unavailable(&setup.page(&browser, "/guarded").await, "down");
    assert_eq!(setup.ran(), 3);
}

#[tokio::test]
async fn a_lost_result_is_requested_again() {
    let setup = GuardTest::new(once).await;
    let ada = setup.kyc.person("ada").create();
    let eve = setup.kyc.person("eve").create();
    let (of_ada, of_eve) = (setup.signed_in(&ada).await, setup.signed_in(&eve).await);
    setup.store.remove(ASSURANCE).await;
    setup.page(&of_ada, "/guarded").await.assert_ok();
    setup.page(&of_eve, "/guarded").await.assert_ok();
    assert_eq!(setup.asked(), 2);
    eve.reject();
    setup.store.remove(ASSURANCE).await;
    setup.page(&of_ada, "/guarded").await.assert_ok();
    setup.fetch(&of_eve, "/guarded").await.assert_status(401);
    setup.page(&of_ada, "/guarded").await.assert_ok();
    setup.fetch(&of_eve, "/guarded").await.assert_status(401);
    assert_eq!(setup.ran(), 4);
    setup.store.remove(ASSURANCE).await;
    setup.kyc.stop().unwrap();
    assert_unavailable(&setup.page(&of_ada, "/guarded").await, "lost and down");
    assert_eq!(setup.ran(), 4);
}

#[tokio::test]
async fn instances_share_the_latest_assurance() {
    let one = GuardTest::new(|config| config).await;
    let two = GuardTest::over(one.store.clone(), one.kyc.clone(), cold).await;
    let ada = one.kyc.person("ada").create();
    let (first, second) = (one.signed_in(&ada).await, two.signed_in(&ada).await);
    // The second ID token has no status. The app uses the status of the first ID token, which the
    // other instance received.
    two.page(&second, "/guarded").await.assert_ok();
    assert_eq!(two.asked(), 0);
    ada.reject();
    one.fetch(&first, "/fresh").await.assert_status(401);
    two.fetch(&second, "/guarded").await.assert_status(401);
    assert_eq!(two.ran(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_simultaneous_requests_share_one_status_request() {
    use axum::{body::Body, http::Request};
    use tower_service::Service as _;
    let setup = GuardTest::new(cold).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    let key = browser.cookie(setup.app.url("/"), "__Host-kycport");
    let cookie = format!("__Host-kycport={}", key.unwrap());
    let gate = setup.kyc.on(Endpoint::Status).hold();
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let request = Request::get("/guarded").header("cookie", &cookie);
            let mut app = setup.router.clone();
            tokio::spawn(app.call(request.body(Body::empty()).unwrap()))
        })
        .collect();
    gate.wait_for(1).await;
    gate.release();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!((setup.asked(), setup.ran()), (1, 1000));
}

#[tokio::test]
async fn a_fresh_guard_does_not_use_a_status_request_that_began_earlier() {
    let setup = GuardTest::new(cold).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    let gate = setup.kyc.on(Endpoint::Status).after().hold();
    let (early, late) = (browser.clone(), browser.clone());
    let (early, late, ()) = tokio::join!(
        setup.page(&early, "/guarded"),
        async {
            gate.wait_for(1).await;
            ada.reject();
            setup.fetch(&late, "/fresh").await
        },
        async {
            // The gate opens after the late request has started, so the late request must wait.
            gate.wait_for(1).await;
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            gate.release();
        }
    );
    early.assert_ok();
    assert_eq!(late.assert_status(401).json()["code"], "rejected");
    assert_eq!(setup.asked(), 2);
}

#[tokio::test]
async fn no_status_is_requested_without_a_session() {
    let setup = GuardTest::new(|config| config).await;
    let browser = setup.kyc.browser();
    for path in ["/guarded", "/fresh"] {
        let page = setup.page(&browser, path).await;
        page.assert_status(303);
        assert_eq!(page.location().unwrap().path(), "/auth/login");
        let fetch = setup.fetch(&browser, path).await;
        assert_eq!(fetch.assert_status(401).json()["code"], "signed_out");
        // The challenge contains no tier.
        assert_eq!(fetch.header("www-authenticate"), Some("Cookie"));
    }
    assert_eq!((setup.asked(), setup.ran()), (0, 0));
}

#[tokio::test]
async fn the_pending_page_has_no_timer_and_does_not_extend_the_session() {
    let setup = GuardTest::new(|config| config).await;
    let ada = setup.kyc.person("ada").status(KycStatus::Pending).create();
    let browser = setup.signed_in(&ada).await;
    for _ in 0..5 {
        let page = setup.page(&browser, "/guarded").await;
        page.assert_status(403);
        assert_waits(&page, "/guarded");
        setup.kyc.clock().advance(Duration::from_secs(5 * 60));
    }
    assert_eq!(setup.asked(), 5);
    ada.verify(KycTier::T2);
    setup.page(&browser, "/guarded").await.assert_ok();

    // A successful request counts as a use. A request of the pending page does not count as a use.
    ada.set_status(KycStatus::Pending);
    setup.kyc.clock().advance(Duration::from_secs(29 * 60));
    setup.page(&browser, "/guarded").await.assert_status(403);
    setup.kyc.clock().advance(Duration::from_secs(60));
    let page = setup.page(&browser, "/guarded").await;
    assert_eq!(page.location().unwrap().path(), "/auth/login");
}

#[tokio::test]
async fn a_cancelled_request_does_not_cancel_the_shared_status_request() {
    use axum::{body::Body, http::Request};
    use tower_service::Service as _;
    let setup = GuardTest::new(cold).await;
    let ada = setup.kyc.person("ada").create();
    let browser = setup.signed_in(&ada).await;
    let key = browser.cookie(setup.app.url("/"), "__Host-kycport");
    let cookie = format!("__Host-kycport={}", key.unwrap());
    let gate = setup.kyc.on(Endpoint::Status).hold();
    let ask = || {
        let request = Request::get("/guarded").header("cookie", &cookie);
        let mut app = setup.router.clone();
        tokio::spawn(app.call(request.body(Body::empty()).unwrap()))
    };
    let first = ask();
    gate.wait_for(1).await;
    let second = ask();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.release();
    assert_eq!(second.await.unwrap().unwrap().status(), 200);
    assert_eq!((setup.asked(), setup.ran()), (1, 1));
}

#[tokio::test]
async fn scripts_and_forms_return_to_their_page_after_a_step_up() {
    let (kyc, app, _) = crate::support::setup().await;
    let grace = kyc.person("grace").tier(KycTier::T1).create();
    let browser = kyc.browser();
    browser
        .sign_in(app.url("/auth/login"), &grace)
        .await
        .unwrap();
    for (referer, return_to) in [
        (app.url("/shop?item=1"), "%2Fshop%3Fitem%3D1"),
        (app.url("/auth/callback?code=c"), "%2F"),
        ("https://evil.example/shop".to_owned(), "%2F"),
        ("//evil.example/shop".to_owned(), "%2F"),
        (String::new(), "%2F"),
    ] {
        let step_up_url = format!("/auth/step-up?tier=t2&return_to={return_to}");
        let script = browser
            .request(Method::GET, app.url("/guarded"))
            .fetch()
            .header("referer", &referer)
            .send()
            .await
            .unwrap();
        assert_eq!(script.json()["step_up_url"], step_up_url, "{referer}");
        let form = browser
            .request(Method::POST, app.url("/sensitive"))
            .form(&[])
            .header("referer", &referer)
            .stay()
            .send()
            .await
            .unwrap();
        assert_eq!(
            form.header("location"),
            Some(step_up_url.as_str()),
            "{referer}"
        );
    }
}
