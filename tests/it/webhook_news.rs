//! Tests that a webhook event changes the verification status in active sessions. An event can
//! lower the stored status of a person, but never improves the stored status.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, routing::get};
use kycport::{
    Clock as _, KycTier, MemoryStore, RelyingParty, RunningApp, SignedIn,
    cases::{CaptureFile, Outcome, Upload, WaitOutcome},
    mock::{Browser, Endpoint, MockIssuer, Person, samples},
};
use serde_json::{Value, json};

use crate::{
    recording_store::{ASSURANCE, RecordingStore},
    test_handler::{SECRET, TestHandler, answer, deliver, event, event_at},
};

struct AssuranceUpdateTest {
    kyc: MockIssuer,
    app: RunningApp,
    ada: Person,
    browser: Browser,
    store: RecordingStore,
    key: WithKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WithKey {
    Tenant,
    None,
}

impl AssuranceUpdateTest {
    /// Creates a test in which Ada is verified at t2 and signed in.
    async fn new(key: WithKey) -> Self {
        let kyc = MockIssuer::start().await;
        kyc.clock().freeze();
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        let clock = Arc::new(kyc.clock().clone());
        let store = RecordingStore::over(MemoryStore::new(1000, clock));
        let app = instance(&kyc, &store, key).await;
        let browser = kyc.browser();
        browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
        let setup = Self {
            kyc,
            app,
            ada,
            browser,
            store,
            key,
        };
        assert_eq!(setup.guarded().await, 200);
        setup.later(1);
        setup
    }

    fn later(&self, seconds: u64) {
        self.kyc.clock().advance(Duration::from_secs(seconds));
    }

    /// Returns the status code of a page that requires t2.
    async fn guarded(&self) -> u16 {
        let page = self.browser.fetch(self.app.url("/guarded")).await.unwrap();
        page.status()
    }

    /// Returns the stored status without a request to KYCPort.
    async fn recorded_status(&self) -> Value {
        let page = self
            .browser
            .fetch(self.app.url("/assurance"))
            .await
            .unwrap();
        page.json()["kyc_status"].clone()
    }

    async fn deliver(&self, body: &Value) -> (u16, String) {
        answer(deliver(&self.app.url("/webhooks/kycport"), body).await).await
    }

    fn event(&self, id: &str, status: &str) -> Value {
        event(&self.kyc, id, &self.ada, status)
    }
}

async fn instance(kyc: &MockIssuer, store: &RecordingStore, key: WithKey) -> RunningApp {
    let (own, store) = (kyc.clone(), store.clone());
    let app = move |config: kycport::ConfigBuilder| {
        let config = config
            .webhook_secret(SECRET)
            .max_attempts(1)
            .retry_pause(Duration::from_millis(1))
            .retry_deadline(Duration::from_secs(5));
        let config = match key {
            WithKey::Tenant => config,
            WithKey::None => without_key(&own, config.build().unwrap().redirect_uri().as_str()),
        };
        let kycport = RelyingParty::new(config.store(store).build().unwrap()).unwrap();
        let handler = TestHandler::default();
        let webhooks = kycport.webhooks(move |delivery| handler.clone().handle(delivery));
        let guard = kycport.require(KycTier::T2);
        Router::new()
            .route("/", get(async || "home"))
            .route("/guarded", get(async || "in").route_layer(guard))
            .route(
                "/assurance",
                get(async |person: SignedIn| Json(person.assurance().clone())),
            )
            .merge(kycport.router())
            .route_service("/webhooks/kycport", webhooks.build().unwrap())
            .layer(kycport.session_layer())
    };
    kyc.serve(app).await.unwrap()
}

fn without_key(kyc: &MockIssuer, redirect_uri: &str) -> kycport::ConfigBuilder {
    let client = kyc.client();
    kycport::Config::builder(client.id(), redirect_uri)
        .client_secret(client.secret().unwrap())
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url())
        .webhook_secret(SECRET)
        .clock(kyc.clock().clone())
}

#[tokio::test]
async fn a_rejection_event_locks_an_active_session() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    setup.ada.reject();
    // Without the event, the app would use the stored result for ten minutes.
    assert_eq!(
        (setup.recorded_status().await, setup.guarded().await),
        (json!("verified"), 200)
    );
    let event = setup.event("evt_1", "rejected");
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert_eq!(setup.recorded_status().await, "rejected");
    assert_ne!(setup.guarded().await, 200);
    setup.later(1);
    setup.ada.verify(KycTier::T2);
    assert_eq!(
        setup.deliver(&setup.event("evt_2", "verified")).await.0,
        200
    );
    assert_eq!(
        (setup.recorded_status().await, setup.guarded().await),
        (json!("verified"), 200)
    );
}

#[tokio::test]
async fn an_unknown_event_about_a_person_triggers_a_status_request() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    setup.ada.reject();
    let mut event = setup.event("evt_1", "verified");
    event["type"] = json!("kyc.something_new");
    let fault = setup.kyc.on(Endpoint::Status).fail(500).always();
    assert_eq!(
        setup.deliver(&event).await,
        (503, "status_unavailable".to_owned())
    );
    drop(fault);
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert_eq!(setup.recorded_status().await, "rejected");
    // The receiver cannot request a status, because the event contains no person.
    setup.kyc.forget_requests();
    event["data"] = json!({});
    assert_eq!(setup.deliver(&event).await.0, 200);
    setup.kyc.requests(Endpoint::Status).assert_count(0);
}

#[tokio::test]
async fn a_negative_status_is_cached_for_ten_seconds_or_until_the_next_event() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    setup.ada.reject();
    setup.deliver(&setup.event("evt_1", "rejected")).await;
    setup.kyc.forget_requests();
    for _ in 0..50 {
        assert_ne!(setup.guarded().await, 200);
    }
    setup.kyc.requests(Endpoint::Status).assert_count(0);
    setup.ada.verify(KycTier::T2);
    setup.later(9);
    assert_ne!(setup.guarded().await, 200);
    setup.later(1);
    assert_eq!(setup.guarded().await, 200);
    setup.kyc.requests(Endpoint::Status).assert_count(1);
    // An event ends the period of ten seconds immediately.
    setup.later(601);
    setup.ada.reject();
    assert_ne!(setup.guarded().await, 200);
    setup.ada.verify(KycTier::T2);
    setup.deliver(&setup.event("evt_2", "verified")).await;
    assert_eq!(setup.guarded().await, 200);
}

#[tokio::test]
async fn an_event_takes_effect_on_every_instance() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    let other = instance(&setup.kyc, &setup.store, setup.key).await;
    setup.ada.reject();
    let url = other.url("/webhooks/kycport");
    let event = setup.event("evt_1", "rejected");
    assert_eq!(answer(deliver(&url, &event).await).await.0, 200);
    assert_eq!(setup.recorded_status().await, "rejected");
    assert_ne!(setup.guarded().await, 200);
}

#[tokio::test]
async fn an_event_older_than_the_last_status_check_is_not_used() {
    // Covers threat case 132.
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    let at = setup.kyc.clock().now().as_unix();
    setup.later(1000);
    setup.ada.reject();
    assert_eq!(
        setup.deliver(&setup.event("evt_2", "rejected")).await.0,
        200
    );
    setup.later(1);
    // KYCPort delivers an old `verified` event late. The receiver requests the current status from
    // KYCPort.
    let old = event_at(at, "evt_1", &setup.ada, "verified");
    assert_eq!(setup.deliver(&old).await.0, 200);
    assert_eq!(setup.recorded_status().await, "rejected");
    assert_ne!(setup.guarded().await, 200);
    // KYCPort delivers an old `rejected` event after a new `verified` event. The status endpoint is
    // unavailable.
    setup.later(1000);
    setup.ada.verify(KycTier::T2);
    assert_eq!(setup.guarded().await, 200);
    let fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
    let old = event_at(at, "evt_0", &setup.ada, "rejected");
    assert_eq!(
        setup.deliver(&old).await,
        (503, "status_unavailable".to_owned())
    );
    assert_eq!(
        (setup.recorded_status().await, setup.guarded().await),
        (json!("verified"), 200)
    );
    drop(fault);
    assert_eq!(setup.deliver(&old).await.0, 200);
    assert_eq!(setup.recorded_status().await, "verified");
}

#[tokio::test]
async fn a_worse_status_applies_before_the_status_request_and_a_better_status_does_not() {
    for status in ["rejected", "pending", "expired", "unverified", "frozen", ""] {
        let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
        let _fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
        let event = setup.event("evt_1", status);
        // KYCPort redelivers the event until the status request succeeds.
        assert_eq!(
            setup.deliver(&event).await,
            (503, "status_unavailable".to_owned())
        );
        assert_eq!(setup.recorded_status().await, status);
        assert_eq!(setup.guarded().await, 503, "{status}");
        setup.later(1);
        let good = setup.event("evt_2", "verified");
        assert_eq!(setup.deliver(&good).await.0, 503);
        assert_eq!(setup.recorded_status().await, status);
        assert_eq!(setup.guarded().await, 503, "{status}");
    }
}

#[tokio::test]
async fn a_lower_missing_or_unknown_tier_is_worse() {
    for (field, value) in [
        ("kyc_tier", json!("t1")),
        ("kyc_tier", Value::Null),
        ("kyc_tier", json!("t9")),
    ] {
        let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
        let _fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
        let mut event = setup.event("evt_1", "verified");
        event["data"][field] = value.clone();
        assert_eq!(setup.deliver(&event).await.0, 503);
        assert_eq!(setup.guarded().await, 503, "{field}: {value}");
    }
    // The app does not use a higher tier of an event and keeps the stored tier.
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    let _fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
    let mut event = setup.event("evt_1", "verified");
    event["data"]["kyc_tier"] = json!("t3");
    assert_eq!(setup.deliver(&event).await.0, 503);
    assert_eq!(setup.guarded().await, 200);
    // The app also does not treat the event as a status check.
    setup.later(600);
    assert_eq!(setup.guarded().await, 503);
}

#[tokio::test]
async fn a_rejection_is_not_lost_if_the_clocks_differ() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    // KYCPort's clock is behind, so the last status check appears later than the event.
    let at = setup.kyc.clock().now().as_unix() - 50;
    let _fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
    let event = event_at(at, "evt_1", &setup.ada, "rejected");
    assert_eq!(setup.deliver(&event).await.0, 503);
    assert_eq!(setup.guarded().await, 503);
    // KYCPort's clock is ahead. The app uses the event only until the next status check.
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    let at = setup.kyc.clock().now().as_unix() + 50;
    let event = event_at(at, "evt_1", &setup.ada, "rejected");
    assert_eq!(setup.deliver(&event).await.0, 200);
    setup.later(1);
    assert_eq!(setup.guarded().await, 200);
}

#[tokio::test]
async fn a_rejection_with_a_future_time_applies_immediately() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    let _fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
    let at = setup.kyc.clock().now().as_unix() + 50;
    let event = event_at(at, "evt_1", &setup.ada, "rejected");
    assert_eq!(setup.deliver(&event).await.0, 503);
    assert_eq!(setup.recorded_status().await, "rejected");
    assert_eq!(setup.guarded().await, 503);
}

#[tokio::test]
async fn a_verified_event_without_a_recorded_assurance_admits_no_request() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    setup.store.remove(ASSURANCE).await;
    let _fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
    let event = setup.event("evt_1", "verified");
    assert_eq!(setup.deliver(&event).await.0, 503);
    assert!(setup.store.records(ASSURANCE).await.is_empty());
    assert_eq!(setup.guarded().await, 503);
}

#[tokio::test]
async fn an_event_with_the_same_status_does_not_count_as_a_status_check() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    let _fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
    setup.later(590);
    assert_eq!(setup.guarded().await, 200);
    let event = setup.event("evt_1", "verified");
    assert_eq!(setup.deliver(&event).await.0, 503);
    setup.later(20);
    assert_eq!(setup.guarded().await, 503);
}

#[tokio::test]
async fn a_rejected_status_request_does_not_block_the_event() {
    // The status endpoint would return this rejection for each request.
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    setup.kyc.tenant().revoke_status_right();
    let event = setup.event("evt_1", "rejected");
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert_eq!(setup.recorded_status().await, "rejected");
    assert_eq!(setup.guarded().await, 503);
}

#[tokio::test]
async fn retry_after_of_kycport_is_forwarded() {
    // Covers threat case 115.
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    let _fault = setup
        .kyc
        .on(Endpoint::Status)
        .fail(429)
        .retry_after(77)
        .optional()
        .always();
    let event = setup.event("evt_1", "rejected");
    let response = deliver(&setup.app.url("/webhooks/kycport"), &event).await;
    assert_eq!(response.headers()["retry-after"], "77");
    assert_eq!(answer(response).await.1, "status_unavailable");
}

#[tokio::test]
async fn without_a_tenant_key_worse_statuses_apply_in_event_order() {
    // Covers threat case 132.
    let setup = AssuranceUpdateTest::new(WithKey::None).await;
    let at = setup.kyc.clock().now().as_unix();
    setup.later(200);
    let newer = setup.event("evt_2", "pending");
    assert_eq!(setup.deliver(&newer).await.0, 200);
    assert_eq!(setup.recorded_status().await, "pending");
    let older = event_at(at, "evt_1", &setup.ada, "rejected");
    assert_eq!(setup.deliver(&older).await.0, 200);
    assert_eq!(setup.recorded_status().await, "pending");
    // The app does not use a better status of an event. The guard requests userinfo.
    setup.later(1);
    let good = setup.event("evt_3", "verified");
    assert_eq!(setup.deliver(&good).await.0, 200);
    assert_eq!(setup.recorded_status().await, "pending");
    assert_eq!(setup.guarded().await, 200);
    assert_eq!(setup.recorded_status().await, "verified");
}

#[tokio::test]
async fn a_decided_case_event_ends_the_wait_and_updates_the_assurance() {
    let setup = AssuranceUpdateTest::new(WithKey::Tenant).await;
    let config = setup.kyc.config("https://app.example.com/auth/callback");
    let config = config
        .webhook_secret(SECRET)
        .case_poll_interval(Duration::from_secs(3000))
        .max_case_poll_interval(Duration::from_secs(3000));
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let receiver = kycport.webhooks(async |_| Ok::<(), std::io::Error>(()));
    let receiver = receiver.build().unwrap();
    let app = Router::new().route_service("/webhooks/kycport", receiver);
    let app = setup.kyc.serve(|_| app).await.unwrap();

    let cases = kycport.cases();
    let case = cases.open(setup.ada.id(), &KycTier::T3).await.unwrap();
    let upload = Upload::new(
        CaptureFile::bytes(samples::document("ada")),
        CaptureFile::bytes(samples::selfie("ada")),
    );
    cases.upload(&case.id, upload).await.unwrap();
    setup.kyc.cases().next_outcome(Outcome::Review);
    cases.decide(&case.id).await.unwrap();
    let waiting = cases.wait_until_decided(&case.id, Duration::from_secs(10));
    let deciding = async {
        // `wait_until_decided` has polled once and would poll again after fifty minutes.
        while setup.kyc.requests(Endpoint::ReadCase).count() < 2 {
            tokio::task::yield_now().await;
        }
        setup
            .kyc
            .cases()
            .review(&case.id, &Outcome::Approved)
            .unwrap();
        let event = json!({
            "id": "evt_1", "type": "verification.case.decided",
            "created_at": setup.kyc.clock().now().as_unix(),
            "data": { "person_id": setup.ada.id(), "case_id": case.id },
        });
        let url = app.url("/webhooks/kycport");
        assert_eq!(answer(deliver(&url, &event).await).await.0, 200);
    };
    let (waited, ()) = tokio::join!(waiting, deciding);
    assert!(matches!(waited.unwrap(), WaitOutcome::Decided(..)));
}
