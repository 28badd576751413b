//! An event changes what the person's live sessions see, and never raises it.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, routing::get};
use kycport::{
    Clock as _, KycTier, MemoryStore, RelyingParty, RunningApp, SignedIn,
    cases::{CaptureFile, Upload, WaitOutcome},
    mock::{Browser, Endpoint, MockIssuer, Person, samples},
    wire::cases::Outcome,
};
use serde_json::{Value, json};

use crate::{
    desk::{Desk, SECRET, answer, deliver, event, event_at},
    faulty_store::{ASSURANCE, FaultyStore},
};

struct Stage {
    kyc: MockIssuer,
    app: RunningApp,
    ada: Person,
    browser: Browser,
    store: FaultyStore,
    key: WithKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WithKey {
    Tenant,
    None,
}

impl Stage {
    /// Ada is verified at t2 and signed in.
    async fn new(key: WithKey) -> Self {
        let kyc = MockIssuer::start().await;
        kyc.clock().freeze();
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        let clock = Arc::new(kyc.clock().clone());
        let store = FaultyStore::over(MemoryStore::new(1000, clock));
        let app = instance(&kyc, &store, key).await;
        let browser = kyc.browser();
        browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
        let stage = Self {
            kyc,
            app,
            ada,
            browser,
            store,
            key,
        };
        assert_eq!(stage.guarded().await, 200);
        stage.later(1);
        stage
    }

    fn later(&self, seconds: u64) {
        self.kyc.clock().advance(Duration::from_secs(seconds));
    }

    /// What a page that needs t2 answers.
    async fn guarded(&self) -> u16 {
        let page = self.browser.fetch(self.app.url("/guarded")).await.unwrap();
        page.status()
    }

    /// What is known without asking.
    async fn felt(&self) -> Value {
        let page = self.browser.fetch(self.app.url("/felt")).await.unwrap();
        page.json()["kyc_status"].clone()
    }

    async fn deliver(&self, body: &Value) -> (u16, String) {
        answer(deliver(&self.app.url("/webhooks/kycport"), body).await).await
    }

    fn event(&self, id: &str, status: &str) -> Value {
        event(&self.kyc, id, &self.ada, status)
    }
}

async fn instance(kyc: &MockIssuer, store: &FaultyStore, key: WithKey) -> RunningApp {
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
        let desk = Desk::default();
        let webhooks = kycport.webhooks(move |delivery| desk.clone().handle(delivery));
        let guard = kycport.require(KycTier::T2);
        Router::new()
            .route("/", get(async || "home"))
            .route("/guarded", get(async || "in").route_layer(guard))
            .route(
                "/felt",
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
async fn a_rejection_locks_the_open_session() {
    let stage = Stage::new(WithKey::Tenant).await;
    stage.ada.reject();
    // Without the event the recorded result would be used for ten minutes.
    assert_eq!(
        (stage.felt().await, stage.guarded().await),
        (json!("verified"), 200)
    );
    let event = stage.event("evt_1", "rejected");
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert_eq!(stage.felt().await, "rejected");
    assert_ne!(stage.guarded().await, 200);
    stage.later(1);
    stage.ada.verify(KycTier::T2);
    assert_eq!(
        stage.deliver(&stage.event("evt_2", "verified")).await.0,
        200
    );
    assert_eq!(
        (stage.felt().await, stage.guarded().await),
        (json!("verified"), 200)
    );
}

#[tokio::test]
async fn an_event_of_an_unknown_type_that_names_a_person_is_a_reason_to_read_the_status() {
    let stage = Stage::new(WithKey::Tenant).await;
    stage.ada.reject();
    let mut event = stage.event("evt_1", "verified");
    event["type"] = json!("kyc.something_new");
    let fault = stage.kyc.on(Endpoint::Status).fail(500).always();
    assert_eq!(
        stage.deliver(&event).await,
        (503, "status_unavailable".to_owned())
    );
    drop(fault);
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert_eq!(stage.felt().await, "rejected");
    // Without a person there is nothing to read.
    stage.kyc.forget_requests();
    event["data"] = json!({});
    assert_eq!(stage.deliver(&event).await.0, 200);
    stage.kyc.requests(Endpoint::Status).assert_count(0);
}

#[tokio::test]
async fn a_negative_answer_is_used_for_ten_seconds_unless_something_new_is_heard() {
    let stage = Stage::new(WithKey::Tenant).await;
    stage.ada.reject();
    stage.deliver(&stage.event("evt_1", "rejected")).await;
    stage.kyc.forget_requests();
    for _ in 0..50 {
        assert_ne!(stage.guarded().await, 200);
    }
    stage.kyc.requests(Endpoint::Status).assert_count(0);
    stage.ada.verify(KycTier::T2);
    stage.later(9);
    assert_ne!(stage.guarded().await, 200);
    stage.later(1);
    assert_eq!(stage.guarded().await, 200);
    stage.kyc.requests(Endpoint::Status).assert_count(1);
    // An event ends it immediately.
    stage.later(601);
    stage.ada.reject();
    assert_ne!(stage.guarded().await, 200);
    stage.ada.verify(KycTier::T2);
    stage.deliver(&stage.event("evt_2", "verified")).await;
    assert_eq!(stage.guarded().await, 200);
}

#[tokio::test]
async fn an_event_reaches_every_instance_on_the_store() {
    let stage = Stage::new(WithKey::Tenant).await;
    let other = instance(&stage.kyc, &stage.store, stage.key).await;
    stage.ada.reject();
    let url = other.url("/webhooks/kycport");
    let event = stage.event("evt_1", "rejected");
    assert_eq!(answer(deliver(&url, &event).await).await.0, 200);
    assert_eq!(stage.felt().await, "rejected");
    assert_ne!(stage.guarded().await, 200);
}

#[tokio::test]
async fn an_event_of_before_is_not_believed_over_what_was_asked_since() {
    // case 132
    let stage = Stage::new(WithKey::Tenant).await;
    let at = stage.kyc.clock().now().as_unix();
    stage.later(1000);
    stage.ada.reject();
    assert_eq!(
        stage.deliver(&stage.event("evt_2", "rejected")).await.0,
        200
    );
    stage.later(1);
    // An old `verified`, delivered late. KYCPort is asked, and says what is true.
    let old = event_at(at, "evt_1", &stage.ada, "verified");
    assert_eq!(stage.deliver(&old).await.0, 200);
    assert_eq!(stage.felt().await, "rejected");
    assert_ne!(stage.guarded().await, 200);
    // And an old `rejected` after a new `verified`, while KYCPort cannot be asked.
    stage.later(1000);
    stage.ada.verify(KycTier::T2);
    assert_eq!(stage.guarded().await, 200);
    let fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
    let old = event_at(at, "evt_0", &stage.ada, "rejected");
    assert_eq!(
        stage.deliver(&old).await,
        (503, "status_unavailable".to_owned())
    );
    assert_eq!(
        (stage.felt().await, stage.guarded().await),
        (json!("verified"), 200)
    );
    drop(fault);
    assert_eq!(stage.deliver(&old).await.0, 200);
    assert_eq!(stage.felt().await, "verified");
}

#[tokio::test]
async fn bad_news_is_felt_before_kycport_has_been_asked_and_good_news_is_not() {
    for status in ["rejected", "pending", "expired", "unverified", "frozen", ""] {
        let stage = Stage::new(WithKey::Tenant).await;
        let _fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
        let event = stage.event("evt_1", status);
        // It comes again until KYCPort has said what is true.
        assert_eq!(
            stage.deliver(&event).await,
            (503, "status_unavailable".to_owned())
        );
        assert_eq!(stage.felt().await, status);
        assert_eq!(stage.guarded().await, 503, "{status}");
        stage.later(1);
        let good = stage.event("evt_2", "verified");
        assert_eq!(stage.deliver(&good).await.0, 503);
        assert_eq!(stage.felt().await, status);
        assert_eq!(stage.guarded().await, 503, "{status}");
    }
}

#[tokio::test]
async fn a_lower_tier_and_what_is_not_clear_are_bad_news_too() {
    for (field, value) in [
        ("kyc_tier", json!("t1")),
        ("kyc_tier", Value::Null),
        ("kyc_tier", json!("t9")),
    ] {
        let stage = Stage::new(WithKey::Tenant).await;
        let _fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
        let mut event = stage.event("evt_1", "verified");
        event["data"][field] = value.clone();
        assert_eq!(stage.deliver(&event).await.0, 503);
        assert_eq!(stage.guarded().await, 503, "{field}: {value}");
    }
    // A tier that is higher is not believed, and what is known not worse for it.
    let stage = Stage::new(WithKey::Tenant).await;
    let _fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
    let mut event = stage.event("evt_1", "verified");
    event["data"]["kyc_tier"] = json!("t3");
    assert_eq!(stage.deliver(&event).await.0, 503);
    assert_eq!(stage.guarded().await, 200);
    // Nor does it count as having asked.
    stage.later(600);
    assert_eq!(stage.guarded().await, 503);
}

#[tokio::test]
async fn of_two_clocks_that_differ_a_little_bad_news_is_not_lost() {
    let stage = Stage::new(WithKey::Tenant).await;
    // KYCPort's clock is behind: by ours, it was asked after this.
    let at = stage.kyc.clock().now().as_unix() - 50;
    let _fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
    let event = event_at(at, "evt_1", &stage.ada, "rejected");
    assert_eq!(stage.deliver(&event).await.0, 503);
    assert_eq!(stage.guarded().await, 503);
    // And ahead: it is not believed for longer than until it is asked.
    let stage = Stage::new(WithKey::Tenant).await;
    let at = stage.kyc.clock().now().as_unix() + 50;
    let event = event_at(at, "evt_1", &stage.ada, "rejected");
    assert_eq!(stage.deliver(&event).await.0, 200);
    stage.later(1);
    assert_eq!(stage.guarded().await, 200);
}

#[tokio::test]
async fn bad_news_that_is_ahead_of_our_clock_is_felt_now() {
    let stage = Stage::new(WithKey::Tenant).await;
    let _fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
    let at = stage.kyc.clock().now().as_unix() + 50;
    let event = event_at(at, "evt_1", &stage.ada, "rejected");
    assert_eq!(stage.deliver(&event).await.0, 503);
    assert_eq!(stage.felt().await, "rejected");
    assert_eq!(stage.guarded().await, 503);
}

#[tokio::test]
async fn good_news_of_somebody_of_whom_nothing_is_known_lets_nobody_in() {
    let stage = Stage::new(WithKey::Tenant).await;
    stage.store.remove(ASSURANCE).await;
    let _fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
    let event = stage.event("evt_1", "verified");
    assert_eq!(stage.deliver(&event).await.0, 503);
    assert!(stage.store.records(ASSURANCE).await.is_empty());
    assert_eq!(stage.guarded().await, 503);
}

#[tokio::test]
async fn to_say_the_same_again_is_not_to_have_been_asked() {
    let stage = Stage::new(WithKey::Tenant).await;
    let _fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
    stage.later(590);
    assert_eq!(stage.guarded().await, 200);
    let event = stage.event("evt_1", "verified");
    assert_eq!(stage.deliver(&event).await.0, 503);
    stage.later(20);
    assert_eq!(stage.guarded().await, 503);
}

#[tokio::test]
async fn a_no_of_the_status_endpoint_does_not_hold_up_the_event() {
    // It would be the same no each time.
    let stage = Stage::new(WithKey::Tenant).await;
    stage.kyc.tenant().revoke_status_right();
    let event = stage.event("evt_1", "rejected");
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert_eq!(stage.felt().await, "rejected");
    assert_eq!(stage.guarded().await, 503);
}

#[tokio::test]
async fn kycports_wish_to_be_left_alone_is_handed_on() {
    // case 115
    let stage = Stage::new(WithKey::Tenant).await;
    let _fault = stage
        .kyc
        .on(Endpoint::Status)
        .fail(429)
        .retry_after(77)
        .optional()
        .always();
    let event = stage.event("evt_1", "rejected");
    let response = deliver(&stage.app.url("/webhooks/kycport"), &event).await;
    assert_eq!(response.headers()["retry-after"], "77");
    assert_eq!(answer(response).await.1, "status_unavailable");
}

#[tokio::test]
async fn without_a_tenant_key_bad_news_is_believed_in_the_order_of_what_happened() {
    // case 132
    let stage = Stage::new(WithKey::None).await;
    let at = stage.kyc.clock().now().as_unix();
    stage.later(200);
    let newer = stage.event("evt_2", "pending");
    assert_eq!(stage.deliver(&newer).await.0, 200);
    assert_eq!(stage.felt().await, "pending");
    let older = event_at(at, "evt_1", &stage.ada, "rejected");
    assert_eq!(stage.deliver(&older).await.0, 200);
    assert_eq!(stage.felt().await, "pending");
    // Good news is not taken from an event: userinfo is asked.
    stage.later(1);
    let good = stage.event("evt_3", "verified");
    assert_eq!(stage.deliver(&good).await.0, 200);
    assert_eq!(stage.felt().await, "pending");
    assert_eq!(stage.guarded().await, 200);
    assert_eq!(stage.felt().await, "verified");
}

#[tokio::test]
async fn a_decided_case_wakes_who_waits_for_it_and_is_felt() {
    let stage = Stage::new(WithKey::Tenant).await;
    let config = stage.kyc.config("https://app.example.com/auth/callback");
    let config = config
        .webhook_secret(SECRET)
        .case_poll_interval(Duration::from_secs(3000))
        .max_case_poll_interval(Duration::from_secs(3000));
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let receiver = kycport.webhooks(async |_| Ok::<(), std::io::Error>(()));
    let receiver = receiver.build().unwrap();
    let app = Router::new().route_service("/webhooks/kycport", receiver);
    let app = stage.kyc.serve(|_| app).await.unwrap();

    let cases = kycport.cases();
    let case = cases.open(stage.ada.id(), &KycTier::T3).await.unwrap();
    let upload = Upload::new(
        CaptureFile::bytes(samples::document("ada")),
        CaptureFile::bytes(samples::selfie("ada")),
    );
    cases.upload(&case.id, upload).await.unwrap();
    stage.kyc.cases().next_outcome(Outcome::Review);
    cases.decide(&case.id).await.unwrap();
    let waiting = cases.wait_until_decided(&case.id, Duration::from_secs(10));
    let deciding = async {
        // The wait has looked once, and would look again in fifty minutes.
        while stage.kyc.requests(Endpoint::ReadCase).count() < 2 {
            tokio::task::yield_now().await;
        }
        stage
            .kyc
            .cases()
            .review(&case.id, &Outcome::Approved)
            .unwrap();
        let event = json!({
            "id": "evt_1", "type": "verification.case.decided",
            "created_at": stage.kyc.clock().now().as_unix(),
            "data": { "person_id": stage.ada.id(), "case_id": case.id },
        });
        let url = app.url("/webhooks/kycport");
        assert_eq!(answer(deliver(&url, &event).await).await.0, 200);
    };
    let (waited, ()) = tokio::join!(waiting, deciding);
    assert!(matches!(waited.unwrap(), WaitOutcome::Decided(..)));
}
