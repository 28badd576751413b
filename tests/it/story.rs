//! Scenario that causes each documented log event, span and metric at least once. The tests of the
//! operations page compare the output of this scenario with the manual.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Extension, Json, Router,
    extract::Path,
    http::{HeaderMap, Method, Request, StatusCode},
    routing::{get, post},
};
use bytes::Bytes;
use kycport::{
    Clock as _, Config, ConfigBuilder, KycStatus, KycTier, MemoryStore, RelyingParty, RunningApp,
    Secret, SignedIn,
    cases::{CaptureFile, Upload},
    mock::{
        Browser, DeliveryTamper, Endpoint, MockIssuer, OldSecret, Page, Person, Tamper, samples,
    },
    secrets::Secrets,
    store::{
        LeaseFamily, LeaseKey, LeaseToken, PostgresStore, Store as _, StoreError,
        TowerSessionsStore,
    },
    web::{AcceptedAssurance, CaptureError, CaptureUpload, WebhookReceiver},
    webhook::{SignatureScheme, WebhookVerifier, sign_test_delivery},
};
use serde_json::json;
use tower_service::Service as _;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store,
};

use crate::{
    recording_store::{ACTIVITY, ASSURANCE, Op, RecordingStore, SESSION, TOKENS},
    secrets,
    support::tenant_app_of,
    test_handler::{Action, TestHandler, event_at},
    visitor::{LOGIN_COOKIES, SESSION_COOKIE},
};

const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const LOG_KEY: &str = "the common log key of two instances";

pub(crate) struct Story {
    pub(crate) kyc: MockIssuer,
    pub(crate) app: RunningApp,
    pub(crate) party: RelyingParty,
    pub(crate) ada: Person,
    pub(crate) bob: Person,
    pub(crate) store: RecordingStore,
    handler: TestHandler,
    /// Values that must not appear in the log. The scenario collects these values.
    pub(crate) canaries: Vec<String>,
}

/// Runs the whole scenario.
pub(crate) async fn run() -> Story {
    let mut story = begin().await;
    story.without_keys().await;
    story.logins().await;
    story.run_sessions_with_store_faults().await;
    story.guards().await;
    story.cases().await;
    story.webhooks().await;
    story.outages().await;
    story.run_app_without_tenant_key().await;
    story.wrong_setups().await;
    story.rotate_secrets().await;
    story
}

async fn begin() -> Story {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true).start();
    let kyc = kyc.await.unwrap();
    let store = RecordingStore::over(MemoryStore::new(10_000, Arc::new(kyc.clock().clone())));
    let handler = TestHandler::default();
    let mut made = None;
    let app = kyc.serve(|config| {
        let config = config
            .scopes(["openid", "email", "profile", "kyc"])
            .log_key(LOG_KEY)
            .store(store.clone());
        let party = RelyingParty::new(config.build().unwrap()).unwrap();
        let own = handler.clone();
        let webhooks = party.webhooks(move |delivery| own.clone().handle(delivery));
        let captures = Router::new()
            .route("/upload/{case}", post(upload))
            .layer(Extension(party.clone()))
            .layer(party.session_layer());
        made = Some(party.clone());
        tenant_app_of(&party)
            .merge(captures)
            .route("/outside", get(async |_: SignedIn| StatusCode::OK))
            .route(
                "/unguarded",
                get(async |_: AcceptedAssurance| StatusCode::OK),
            )
            .route(
                "/unlayered",
                get(async |_: kycport::BearerToken| StatusCode::OK),
            )
            .route_service("/webhooks/kycport", webhooks.build().unwrap())
    });
    let app = app.await.unwrap();
    let party = made.unwrap();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let bob = kyc.person("bob").tier(KycTier::T1).create();
    let mut canaries = vec![
        kyc.client().secret().unwrap().to_owned(),
        kyc.webhooks().secret(),
        LOG_KEY.to_owned(),
    ];
    for person in [&ada, &bob] {
        canaries.extend([person.id().to_owned(), person.email()]);
    }
    Story {
        kyc,
        app,
        party,
        ada,
        bob,
        store,
        handler,
        canaries,
    }
}

async fn upload(
    Extension(kycport): Extension<RelyingParty>,
    Path(case): Path<String>,
    person: SignedIn,
    upload: CaptureUpload,
) -> Result<Json<usize>, CaptureError> {
    let relayed = upload.forward(kycport.cases(), &person, &case).await?;
    Ok(Json(relayed.dropped.len()))
}

impl Story {
    fn login(&self) -> String {
        self.app.url("/auth/login?return_to=/canary-page")
    }

    async fn signed_in(&mut self, person: &Person) -> Browser {
        let browser = self.kyc.browser();
        browser.sign_in(self.login(), person).await.unwrap();
        self.canaries
            .extend(browser.cookie(self.app.url("/"), SESSION_COOKIE));
        for tokens in self.store.records(TOKENS).await {
            for name in ["access_token", "refresh_token"] {
                self.canaries
                    .push(tokens[name].as_str().unwrap().to_owned());
            }
        }
        browser
    }

    async fn callback(&mut self, browser: &Browser) -> url::Url {
        let callback = browser
            .start_sign_in(self.login(), &self.ada)
            .await
            .unwrap();
        let secret = |(name, value): (_, std::borrow::Cow<'_, str>)| {
            (name != "iss").then(|| value.into_owned())
        };
        let found: Vec<_> = callback.query_pairs().filter_map(secret).collect();
        self.canaries.extend(found);
        let cookies = browser.cookies(self.app.url("/")).into_iter();
        let logins = cookies.filter(|(name, _)| name.starts_with(LOGIN_COOKIES));
        self.canaries.extend(logins.map(|(_, value)| value));
        callback
    }

    async fn open(&self, browser: &Browser, path: &str) -> Page {
        browser.open(self.app.url(path)).await.unwrap()
    }

    async fn fetch(&self, browser: &Browser, path: &str) -> Page {
        browser.fetch(self.app.url(path)).await.unwrap()
    }

    async fn log_out(&self, browser: &Browser, fields: &[(&str, &str)]) {
        let url = self.app.url("/auth/logout");
        browser.post_form(url, fields).await.unwrap();
    }

    async fn bearer(&self, token: &str) {
        let browser = self.kyc.browser();
        let visit = browser
            .request(Method::GET, self.app.url("/api/me"))
            .header("authorization", &format!("Bearer {token}"));
        visit.send().await.unwrap();
    }

    async fn without_keys(&mut self) {
        let good = self.kyc.mint().access_token(&self.ada, self.kyc.client());
        let good = good.sign();
        self.kyc.stop().unwrap();
        self.bearer(&good).await;
        self.open(&self.kyc.browser(), "/auth/login").await;
        self.kyc.restart().unwrap();
        self.kyc.clock().advance(MINUTE);
        let other_key = |set: &mut serde_json::Value| {
            set["keys"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "kty": "RSA", "kid": "r" }));
        };
        let fault = self.kyc.on(Endpoint::Jwks).edit(other_key).once();
        self.bearer(&good).await;
        drop(fault);
        self.bearer("canary-bearer").await;
        self.canaries.extend([good, "canary-bearer".to_owned()]);
    }

    async fn logins(&mut self) {
        let ada = self.ada.clone();
        // A login succeeds, and the browser reloads its callback.
        let browser = self.kyc.browser();
        let callback = self.callback(&browser).await;
        browser.open(&callback).await.unwrap();
        browser.open(&callback).await.unwrap();
        self.signed_in(&ada).await;
        // Callbacks arrive from another browser, for a login that was never started, and with
        // malformed parameters.
        let callback = self.callback(&browser).await;
        self.kyc.browser().open(&callback).await.unwrap();
        self.open(
            &browser,
            "/auth/callback?code=canary-code&state=canary-state",
        )
        .await;
        self.open(&browser, "/auth/callback?code=canary-code").await;
        browser.deny(self.login(), &ada).await.unwrap();
        let prefetch = browser
            .request(Method::GET, self.login())
            .header("sec-purpose", "prefetch");
        prefetch.send().await.unwrap();
        // KYCPort sends modified responses.
        for tamper in [Tamper::ForeignKey, Tamper::Expired, Tamper::WrongNonce] {
            let fault = self.kyc.tokens().id_token(tamper).once();
            browser.sign_in(self.login(), &ada).await.unwrap();
            drop(fault);
        }
        let fault = self.kyc.tokens().access_token(Tamper::WrongIssuer).once();
        browser.sign_in(self.login(), &ada).await.unwrap();
        drop(fault);
        let wild = r#"{"error":"invalid_client\u001b[31m\r\nlevel=ERROR","error_description":"canary-text"}"#;
        let faults = [
            self.kyc.on(Endpoint::Token).fail(500),
            self.kyc
                .on(Endpoint::Token)
                .answer(400, "application/json", wild),
        ];
        for fault in faults {
            let fault = fault.once();
            browser.sign_in(self.login(), &ada).await.unwrap();
            drop(fault);
        }
        let late = self.kyc.browser();
        let callback = self.callback(&late).await;
        self.kyc.clock().advance(11 * MINUTE);
        late.open(&callback).await.unwrap();
        // A step-up returns too late, and starts again.
        let late = self.signed_in(&ada).await;
        let step_up = self.app.url("/auth/step-up?tier=t2");
        let callback = late.start_sign_in(step_up, &ada).await.unwrap();
        self.kyc.clock().advance(61 * MINUTE);
        late.open(&callback).await.unwrap();
        self.canaries.extend(
            ["canary-code", "canary-state", "canary-text", "canary-page"].map(str::to_owned),
        );
    }

    async fn run_sessions_with_store_faults(&mut self) {
        let ada = self.ada.clone();
        let browser = self.signed_in(&ada).await;
        let forged = browser.request(Method::POST, self.app.url("/withdraw"));
        let forged = forged.header("origin", "https://canary.example");
        forged.send().await.unwrap();
        self.log_out(&browser, &[]).await;
        let browser = self.signed_in(&ada).await;
        self.log_out(&browser, &[("everywhere", "1")]).await;
        let browser = self.signed_in(&ada).await;
        let sessions = self.party.sessions();
        let listed = sessions.list(ada.id()).await.unwrap();
        sessions.revoke(ada.id(), &listed[0].id).await.unwrap();
        sessions.revoke_all(ada.id()).await.unwrap();
        self.open(&browser, "/vault").await;

        // The store fails at each kind of operation.
        let browser = self.signed_in(&ada).await;
        self.kyc.clock().advance(2 * MINUTE);
        self.open(&browser, "/vault").await;
        self.kyc.clock().advance(2 * MINUTE);
        self.store.fail_on(Op::Write, ACTIVITY);
        self.open(&browser, "/vault").await;
        self.store.heal();
        self.store.fail_on(Op::Write, ASSURANCE);
        self.open(&browser, "/sensitive").await;
        self.store.heal();
        self.store.fail();
        let ended = self.party.sessions().revoke_all(ada.id()).await;
        assert_eq!(ended, Err(StoreError::Unreachable));
        self.party.sessions().list(ada.id()).await.unwrap_err();
        self.open(&browser, "/vault").await;
        self.fetch(&browser, "/auth/me").await;
        self.open(&browser, "/guarded").await;
        self.open(&browser, "/auth/login").await;
        self.log_out(&browser, &[]).await;
        self.store.heal();
        let renewed = self.signed_in(&ada).await;
        self.kyc.clock().advance(16 * MINUTE);
        self.open(&renewed, "/token").await;
        self.end_session_during_refresh().await;
        let renewed = self.signed_in(&ada).await;
        let spent = |record: &mut serde_json::Value| {
            record["refresh_token"] = "canary-refresh".into();
        };
        self.store.rewrite(TOKENS, spent).await;
        self.canaries.push("canary-refresh".to_owned());
        self.kyc.clock().advance(16 * MINUTE);
        self.open(&renewed, "/token").await;
        let browser = self.signed_in(&ada).await;
        // The store contains sessions that a newer release has written.
        self.store
            .replace(SESSION, |_| b"\x09canary-form".to_vec())
            .await;
        self.open(&browser, "/vault").await;
        self.open(&browser, "/vault").await;
    }

    async fn end_session_during_refresh(&mut self) {
        let ada = self.ada.clone();
        let browser = self.signed_in(&ada).await;
        self.kyc.clock().advance(16 * MINUTE);
        let gate = self.kyc.on(Endpoint::Token).after().hold();
        let end = async {
            gate.wait_for(1).await;
            self.party.sessions().revoke_all(ada.id()).await.unwrap();
            gate.release();
        };
        tokio::join!(self.open(&browser, "/token"), end);
    }

    async fn guards(&mut self) {
        let (ada, bob) = (self.ada.clone(), self.bob.clone());
        let browser = self.signed_in(&ada).await;
        self.open(&self.kyc.browser(), "/guarded").await;
        self.fetch(&self.kyc.browser(), "/guarded").await;
        self.open(&browser, "/guarded").await;
        self.open(&browser, "/sensitive").await;
        let other = self.signed_in(&bob).await;
        self.fetch(&other, "/guarded").await;
        self.open(&other, "/auth/step-up?tier=canary-tier").await;
        self.open(&other, "/auth/step-up?tier=t2").await;
        other.sign_in(self.app.url("/guarded"), &bob).await.unwrap();
        // KYCPort sends the person back twice without the required tier.
        for _ in 0..2 {
            let step_up = self.app.url("/auth/step-up?tier=t2&again=1");
            other.sign_in(step_up, &bob).await.unwrap();
        }
        self.open(&other, "/auth/step-up?tier=t2").await;
        self.fetch(&other, "/auth/step-up/state?tier=t2").await;
        self.canaries.push("canary-tier".to_owned());
        // KYCPort fails once, then for longer, and then rate-limits the app.
        let fault = self.kyc.on(Endpoint::Status).fail(500).once();
        self.open(&browser, "/sensitive").await;
        drop(fault);
        let fault = self.kyc.on(Endpoint::Status).fail(404).once();
        self.open(&browser, "/sensitive").await;
        drop(fault);
        let fault = self.kyc.on(Endpoint::Status).fail(429).retry_after(60);
        let fault = fault.once();
        self.open(&browser, "/sensitive").await;
        drop(fault);
        self.kyc.clock().advance(2 * MINUTE);
    }

    async fn cases(&mut self) {
        let ada = self.ada.clone();
        let cases = self.party.cases().clone();
        let case = cases.open(ada.id(), &KycTier::T2).await.unwrap();
        let file = |bytes: &[u8]| CaptureFile::bytes(bytes.to_vec());
        let upload = Upload::new(
            file(&samples::document("ada")),
            file(&samples::selfie("ada")),
        );
        cases.upload(&case.id, upload).await.unwrap();
        let fault = self.kyc.on(Endpoint::Status).fail(500).always();
        cases.decide(&case.id).await.unwrap();
        drop(fault);
        cases.get("canary-case").await.unwrap_err();
        self.canaries.extend([case.id, "canary-case".to_owned()]);
        // A browser sends an upload that also contains a verdict, and then an upload without files.
        let case = cases.open(ada.id(), &KycTier::T2).await.unwrap();
        let browser = self.signed_in(&ada).await;
        let part = |bytes: Vec<u8>, name: &'static str| {
            reqwest::multipart::Part::bytes(bytes).file_name(name)
        };
        let whole = reqwest::multipart::Form::new()
            .text("canary-part", "approved")
            .part("document", part(samples::document("ada"), "canary.png"))
            .part("selfie", part(samples::selfie("ada"), "canary.png"));
        let empty = reqwest::multipart::Form::new().text("canary-part", "x");
        let key = browser.cookie(self.app.url("/"), "__Host-kycport").unwrap();
        for form in [whole, empty] {
            let request = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = request
                .post(self.app.url(&format!("/upload/{}", case.id)))
                .header("cookie", format!("__Host-kycport={key}"))
                .header("sec-fetch-site", "same-origin")
                .multipart(form);
            request.send().await.unwrap();
        }
        self.canaries
            .extend(["canary-part", "canary.png"].map(str::to_owned));
    }

    async fn webhooks(&mut self) {
        let ada = self.ada.clone();
        let webhooks = self.kyc.webhooks();
        webhooks.subscribe(self.app.url("/webhooks/kycport"));
        let change = async |status| {
            ada.set_status(status);
            webhooks.settled().await;
        };
        change(KycStatus::Rejected).await;
        webhooks.repeat(&webhooks.deliveries().iter().last().unwrap().clone());
        webhooks.settled().await;
        let fault = webhooks.tamper(DeliveryTamper::AlteredByte).once();
        change(KycStatus::Pending).await;
        drop(fault);
        let unreadable = |draft: &mut kycport::mock::DeliveryDraft| {
            draft.body = b"{\"id\":\"canary-body\"".to_vec();
        };
        let fault = webhooks.edit(unreadable).once();
        change(KycStatus::Expired).await;
        drop(fault);
        self.handler.next(Action::Fail);
        change(KycStatus::Verified).await;
        webhooks.emit(
            "kyc.\u{1b}[31mnew\r\nlevel=ERROR",
            json!({ "x": "canary-data" }),
        );
        webhooks.settled().await;
        self.open(&self.kyc.browser(), "/webhooks/kycport").await;
        for delivery in webhooks.deliveries().iter() {
            self.canaries.push(delivery.event_id().to_owned());
        }
        self.canaries
            .extend(["canary-body", "canary-data"].map(str::to_owned));
        // A stand-alone receiver handles an event, and another receiver has a store that is full of
        // events.
        let verifier = WebhookVerifier::builder().secret("current", Secret::new(webhooks.secret()));
        let receiver = WebhookReceiver::builder(verifier.build().unwrap(), async |_| {
            Ok::<(), std::io::Error>(())
        });
        receiver.build().unwrap();
        self.deliver_about_unknown_person().await;
        let full = MemoryStore::new(1, Arc::new(self.kyc.clock().clone()));
        for n in 0_u128.. {
            let key = LeaseKey {
                namespace: [0; 16],
                family: LeaseFamily::Event,
                id: n.to_be_bytes(),
            };
            let acquired = full.acquire(&key, LeaseToken([0; 16]), MINUTE).await;
            if acquired == Err(StoreError::Full) {
                break;
            }
        }
    }

    /// A receiver gets an event about a person whom the app does not know.
    async fn deliver_about_unknown_person(&mut self) {
        let webhooks = self.party.webhooks(async |_| Ok::<(), std::io::Error>(()));
        let webhooks = webhooks
            .name("by_address")
            .person(async |_| Ok::<_, std::io::Error>(None));
        let now = self.kyc.clock().now().as_unix();
        let body = event_at(now, "evt_canary_address", &self.ada, "verified").to_string();
        let secret = Secret::new(self.kyc.webhooks().secret());
        let (name, value) = sign_test_delivery(&secret, body.as_bytes());
        let request = Request::post("/").header(name, value);
        let request = request.body(body.into()).unwrap();
        let answer = webhooks.build().unwrap().call(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        self.canaries.push("evt_canary_address".to_owned());
    }

    async fn outages(&mut self) {
        self.kyc.clock().advance(11 * MINUTE);
        self.kyc.stop().unwrap();
        self.open(&self.kyc.browser(), "/auth/login").await;
        self.kyc.clock().advance(120 * MINUTE);
        self.open(&self.kyc.browser(), "/auth/login").await;
        self.kyc.restart().unwrap();
        self.kyc.clock().advance(MINUTE);
    }

    /// An app without a store requests userinfo. The app cannot refresh its tokens.
    async fn run_app_without_tenant_key(&mut self) {
        let kyc = MockIssuer::start().await;
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        self.canaries.extend([ada.id().to_owned(), ada.email()]);
        let client = kyc.client();
        let config = |redirect: String| -> ConfigBuilder {
            Config::builder(client.id(), redirect)
                .client_secret(client.secret().unwrap())
                .issuer(kyc.issuer())
                .discovery_url(kyc.discovery_url())
                .clock(kyc.clock().clone())
        };
        let app = kyc.serve(|base| {
            let redirect = base.build().unwrap().redirect_uri().to_string();
            let party = RelyingParty::new(config(redirect).build().unwrap()).unwrap();
            tenant_app_of(&party)
        });
        let app = app.await.unwrap();
        let browser = kyc.browser();
        browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
        browser.open(app.url("/sensitive")).await.unwrap();
        kyc.clock().advance(16 * MINUTE);
        browser.open(app.url("/sensitive")).await.unwrap();
    }

    async fn rotate_secrets(&mut self) {
        const OLD: &str = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZA==";
        const NEW: &str = "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldw==";
        const INVALID: &str = "canary: this is no base64, is it?";
        let setup = secrets::RotationTest::with(|config| config.webhook_secret(OLD)).await;
        let verifier = setup.party.webhook_verifier().build().unwrap();
        let other = setup.party.webhook_verifier();
        let other = other.scheme(SignatureScheme::StandardWebhooks);
        let other = other.build().unwrap();
        let client_secret = setup.kyc.client().rotate_secret(OldSecret::Ends).unwrap();
        let names = || Secrets::new().client_secret(&client_secret);
        setup.reload(names().webhook_secret(NEW)).await;
        let body = Bytes::from_static(b"{}");
        let headers = HeaderMap::from_iter([sign_test_delivery(&Secret::new(NEW), &body)]);
        verifier.verify(&headers, body).unwrap();
        setup
            .reload(Secrets::new().client_secret("canary-client-secret"))
            .await;
        setup.reload(names().webhook_secret(INVALID)).await;
        other.secret_names();
        setup.party.remove_previous_webhook_secrets();
        setup.vault.fails();
        setup.party.reload_secrets().await.unwrap_err();
        self.canaries
            .extend([OLD, NEW, &client_secret].map(str::to_owned));
    }

    async fn wrong_setups(&mut self) {
        let browser = self.kyc.browser();
        for path in ["/outside", "/unguarded", "/unlayered"] {
            self.open(&browser, path).await;
        }
        self.stores().await;
    }

    /// These stores do not respond, or return other data than the app has written.
    async fn stores(&mut self) {
        // No server listens on the port of this URL.
        let server = "postgres://canary-user:canary-password@127.0.0.1:9/canary-database";
        let postgres = PostgresStore::open(server).unwrap();
        let config = || self.kyc.config("http://127.0.0.1:9/auth/callback");
        let party = RelyingParty::new(config().store(postgres).build().unwrap()).unwrap();
        assert!(!party.readiness().await.is_ready());
        let sessions = DamagedSessions(tower_sessions::MemoryStore::default());
        let store = TowerSessionsStore::danger_unshared(sessions, MemoryStore::default());
        let app = self.kyc.serve(|config| {
            tenant_app_of(&RelyingParty::new(config.store(store).build().unwrap()).unwrap())
        });
        let app = app.await.unwrap();
        let browser = self.kyc.browser();
        browser
            .sign_in(app.url("/auth/login"), &self.ada)
            .await
            .unwrap();
        browser.open(app.url("/vault")).await.unwrap();
    }
}

/// Third-party session store whose records cannot be decoded.
#[derive(Clone)]
struct DamagedSessions(tower_sessions::MemoryStore);

impl fmt::Debug for DamagedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DamagedSessions")
    }
}

#[async_trait]
impl SessionStore for DamagedSessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        self.0.create(record).await
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.0.save(record).await
    }

    async fn load(&self, _: &Id) -> session_store::Result<Option<Record>> {
        Err(session_store::Error::Decode("canary-decode".to_owned()))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.0.delete(id).await
    }
}
