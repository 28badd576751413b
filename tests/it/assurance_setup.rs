//! Test with several instances of an app and a person who is verified at t2. The instances share
//! one store, and each instance has a separate clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Json, Router, routing::get};
use kycport::{
    Clock as _, Config, ConfigBuilder, KycTier, RelyingParty, RunningApp, SignedIn, TestClock,
    Timestamp,
    mock::{Client, Endpoint, MockIssuer, Person},
};
use serde_json::Value;

use crate::{
    engines::Engine,
    recording_store::{ASSURANCE, RecordingStore},
    stages::Named,
    test_handler::{SECRET, answer, deliver, event},
    visitor::{Answer, SESSION_COOKIE, Visitor, session_cookie},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct AssuranceTest {
    pub(crate) kyc: MockIssuer,
    pub(crate) ada: Person,
    pub(crate) store: RecordingStore,
    engine: Engine,
}

/// Credential with which an instance reads the status from KYCPort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Tenant,
    /// The access token of each person. The access token lives for 15 minutes.
    None,
}

pub(crate) struct Instance {
    app: RunningApp,
    visitor: Visitor,
    clock: TestClock,
    /// Number of requests that a guard has accepted.
    admitted: Arc<AtomicUsize>,
}

/// Runs the test on every installed engine, with and without encryption.
pub(crate) async fn everywhere(test: impl AsyncFn(AssuranceTest)) {
    for engine in Engine::all(&MockIssuer::start().await).await {
        let _named = Named(engine.name());
        test(AssuranceTest::on(&engine).await).await;
    }
}

impl AssuranceTest {
    /// Creates the test environment on an unencrypted in-memory store.
    pub(crate) async fn new() -> Self {
        let engine = Engine::memory(&MockIssuer::start().await);
        Self::on(&engine).await
    }

    async fn on(engine: &Engine) -> Self {
        let kyc = MockIssuer::start().await;
        kyc.clock().freeze();
        let engine = engine.aging_with(&kyc);
        Self {
            ada: kyc.person("ada").tier(KycTier::T2).create(),
            store: engine.recording_store(),
            kyc,
            engine,
        }
    }

    /// Starts an instance that uses KYCPort's clock.
    pub(crate) async fn instance(&self, key: Key) -> Instance {
        self.instance_at(key, 0).await
    }

    /// Starts an instance whose clock is `ahead_millis` ahead of KYCPort's clock.
    pub(crate) async fn instance_at(&self, key: Key, ahead_millis: i64) -> Instance {
        let clock = if ahead_millis == 0 {
            self.kyc.clock().clone()
        } else {
            let clock = TestClock::new();
            clock.freeze();
            let now = self.kyc.clock().now().as_unix_millis();
            clock.jump_to(Timestamp::from_unix_millis(now + ahead_millis));
            clock
        };
        let config = |config| match key {
            Key::Tenant => config,
            Key::None => self.without_key(config),
        };
        self.instance_with(clock, config).await
    }

    /// Starts an instance that requests only these scopes.
    pub(crate) async fn instance_with_scopes(&self, scopes: &[&str]) -> Instance {
        let clock = self.kyc.clock().clone();
        let config = |config: ConfigBuilder| config.scopes(scopes.iter().copied());
        self.instance_with(clock, config).await
    }

    /// Starts an instance of another relying party of the same tenant.
    pub(crate) async fn instance_of(&self, client: &Client) -> Instance {
        let clock = self.kyc.clock().clone();
        let config = |config: ConfigBuilder| {
            let redirect_uri = config.build().unwrap().redirect_uri().to_string();
            self.kyc.config_for(client, redirect_uri)
        };
        self.instance_with(clock, config).await
    }

    async fn instance_with(
        &self,
        clock: TestClock,
        config: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Instance {
        let admitted = Arc::new(AtomicUsize::new(0));
        let app = self.kyc.serve(|base| {
            let config = config(base);
            let config = self
                .engine
                .configure_over(config, self.store.clone())
                .webhook_secret(SECRET)
                .max_attempts(1)
                .retry_pause(Duration::from_millis(1))
                .retry_deadline(Duration::from_secs(5))
                .session_idle_timeout(30 * 24 * 60 * MINUTE)
                .session_lifetime(30 * 24 * 60 * MINUTE)
                .clock(clock.clone());
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            let receiver = kycport.webhooks(async |_| Ok::<(), std::io::Error>(()));
            let guard = || kycport.require(KycTier::T2);
            Router::new()
                .route("/guarded", get(count).route_layer(guard()))
                .route("/fresh", get(count).route_layer(guard().fresh()))
                .route("/known", get(known))
                .route_service("/webhooks/kycport", receiver.build().unwrap())
                .layer(Extension(Arc::clone(&admitted)))
                .merge(kycport.router())
                .layer(kycport.session_layer())
        });
        let app = app.await.unwrap();
        Instance {
            visitor: Visitor::new(app.url("")),
            app,
            clock,
            admitted,
        }
    }

    fn without_key(&self, config: ConfigBuilder) -> ConfigBuilder {
        let redirect_uri = config.build().unwrap().redirect_uri().to_string();
        let client = self.kyc.client();
        Config::builder(client.id(), redirect_uri)
            .client_secret(client.secret().unwrap())
            .issuer(self.kyc.issuer())
            .discovery_url(self.kyc.discovery_url())
            .cookie_name("kycport")
    }

    /// Signs Ada in at an instance, and returns the session cookie. Every instance accepts this
    /// cookie.
    pub(crate) async fn signed_in(&self, instance: &Instance) -> String {
        self.signed_in_as(instance, &self.ada).await
    }

    pub(crate) async fn signed_in_as(&self, instance: &Instance, person: &Person) -> String {
        let browser = self.kyc.browser();
        let login = instance.app.url("/auth/login");
        browser.sign_in(login, person).await.unwrap();
        let key = browser.cookie(instance.app.url("/"), SESSION_COOKIE);
        session_cookie(&key.unwrap())
    }

    /// Signs Ada in at an instance and performs a step-up to t2. Returns the HTTP status of the
    /// final page.
    pub(crate) async fn stepped_up(&self, instance: &Instance) -> u16 {
        let browser = self.kyc.browser();
        let login = instance.app.url("/auth/login");
        browser.sign_in(login, &self.ada).await.unwrap();
        let step_up = instance.app.url("/auth/step-up?tier=t2&return_to=/known");
        let page = browser.sign_in(step_up, &self.ada).await.unwrap();
        page.status()
    }

    /// Delivers an event about Ada to an instance. The event has the current time. Returns the
    /// response status.
    pub(crate) async fn deliver(&self, instance: &Instance, id: &str, status: &str) -> u16 {
        let event = event(&self.kyc, id, &self.ada, status);
        self.post(instance, &event).await
    }

    /// Delivers an event about a person to an instance. The event has the current time.
    pub(crate) async fn deliver_about(
        &self,
        instance: &Instance,
        id: &str,
        person: &Person,
        status: &str,
    ) -> u16 {
        let event = event(&self.kyc, id, person, status);
        self.post(instance, &event).await
    }

    /// Delivers an event with the status `verified` and one changed member.
    pub(crate) async fn deliver_data(
        &self,
        instance: &Instance,
        id: &str,
        member: &str,
        value: &Value,
    ) -> u16 {
        let mut event = event(&self.kyc, id, &self.ada, "verified");
        event["data"][member] = value.clone();
        self.post(instance, &event).await
    }

    pub(crate) async fn post(&self, instance: &Instance, event: &Value) -> u16 {
        let url = instance.app.url("/webhooks/kycport");
        answer(deliver(&url, event).await).await.0
    }

    /// Advances the clocks of KYCPort and of these instances.
    pub(crate) fn pass(&self, by: Duration, instances: &[&Instance]) {
        self.kyc.clock().advance(by);
        let kycport = self.kyc.clock().now();
        // Some instances share KYCPort's clock.
        for instance in instances {
            if instance.clock.now() != kycport {
                instance.clock.advance(by);
            }
        }
    }

    /// Makes the stored record unreadable.
    pub(crate) async fn damage(&self) {
        self.store
            .replace(ASSURANCE, |_| b"\x01not a record".to_vec())
            .await;
    }

    pub(crate) async fn bodies(&self) -> Vec<Vec<u8>> {
        self.store.bodies(ASSURANCE).await
    }

    /// Returns the number of requests to the status endpoint.
    pub(crate) fn asked(&self) -> usize {
        self.kyc.requests(Endpoint::Status).count()
    }
}

impl Instance {
    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.visitor.get(path, cookie).await.unwrap()
    }

    /// Returns the status and the problem code of a response.
    pub(crate) async fn ask(&self, path: &str, cookie: &str) -> (u16, String) {
        let answer = self.get(path, cookie).await;
        (answer.status, answer.code())
    }

    /// Returns the verification status in the response of `/auth/me`.
    pub(crate) async fn me(&self, cookie: &str) -> Value {
        let answer = self.get("/auth/me", cookie).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let me: Value = serde_json::from_str(&answer.body).unwrap();
        me["assurance"]["kyc_status"].clone()
    }

    /// Returns the verification status that a handler receives.
    pub(crate) async fn known(&self, cookie: &str) -> Value {
        let answer = self.get("/known", cookie).await;
        let known: Value = serde_json::from_str(&answer.body).unwrap();
        known["kyc_status"].clone()
    }

    /// Asserts that a guard accepts the request of the person.
    pub(crate) async fn assert_admits(&self, cookie: &str) {
        self.assert_admits_at("/guarded", cookie).await;
    }

    /// Asserts that a guard with `fresh()` accepts the request of the person.
    pub(crate) async fn assert_admits_fresh(&self, cookie: &str) {
        self.assert_admits_at("/fresh", cookie).await;
    }

    async fn assert_admits_at(&self, path: &str, cookie: &str) {
        let answer = self.get(path, cookie).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(self.admitted.swap(0, Ordering::SeqCst), 1);
    }

    /// Asserts that every guard rejects the person, and that no response shows
    /// the person as verified.
    pub(crate) async fn assert_rejects(&self, cookie: &str) {
        for path in ["/guarded", "/fresh", "/guarded"] {
            let answer = self.get(path, cookie).await;
            let is_refused = matches!(answer.status, 401 | 403 | 503);
            assert!(is_refused, "{path}: {} {}", answer.status, answer.body);
        }
        assert_ne!(self.me(cookie).await, "verified");
        assert_ne!(self.known(cookie).await, "verified");
        assert_eq!(self.admitted.load(Ordering::SeqCst), 0);
    }
}

/// Status and problem code that a script gets if the person is rejected.
pub(crate) fn rejected() -> (u16, String) {
    (401, "rejected".to_owned())
}

/// Status and problem code that a script gets if the status of the person is unknown.
pub(crate) fn unknown_status() -> (u16, String) {
    (503, "unknown".to_owned())
}

/// Returns the verification status in the only record, which must be
/// unencrypted.
pub(crate) async fn recorded(setup: &AssuranceTest) -> Value {
    let records = setup.store.records(ASSURANCE).await;
    assert_eq!(records.len(), 1);
    records[0]["assurance"]["kyc_status"].clone()
}

async fn count(Extension(admitted): Extension<Arc<AtomicUsize>>) {
    admitted.fetch_add(1, Ordering::SeqCst);
}

async fn known(person: SignedIn) -> Json<kycport::Assurance> {
    Json(person.assurance().clone())
}
