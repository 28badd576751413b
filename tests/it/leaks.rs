//! Tests that secrets and personal data appear in no log, no response and no `{:?}` output.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::http::Method;
use kycport::{
    BearerToken, KycStatus, RelyingParty, Secret,
    mock::{Browser, DeliveryDraft, DeliveryTamper, Endpoint, MockIssuer, Page},
    oidc::{CallbackParams, ExpectedIdToken, LoginRequest},
};
use tracing::{Dispatch, subscriber::DefaultGuard};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    recording_store::{LOGIN_KEY, SESSION, TOKENS, TestApp, setup, setup_on},
    support::raw,
    test_handler::{Action, TestHandler},
    visitor::{LOGIN_COOKIES, SESSION_COOKIE},
};

/// Log output of this crate on the current thread. The app of a test also runs on this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn capture() -> (Self, DefaultGuard) {
        keep_callsites_enabled();
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("kycport=trace"))
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Keeps all log callsites enabled. With a single subscriber, another test's thread can disable a
/// callsite for every thread. A few permanent subscribers that discard all events keep the
/// callsites enabled.
pub(crate) fn keep_callsites_enabled() {
    static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();
    OTHERS.get_or_init(|| {
        [(); 2].map(|()| {
            Dispatch::new(
                tracing_subscriber::fmt()
                    .with_env_filter(EnvFilter::new("kycport=trace"))
                    .with_writer(io::sink)
                    .finish(),
            )
        })
    });
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Names and values of the secrets that the test has collected.
#[derive(Default)]
pub(crate) struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        assert!(value.len() >= 8, "{name} is too short for a search");
        self.0.push((name, value));
    }

    /// Adds the secrets in the store: the tokens, and the key that seals logins.
    async fn add_stored(&mut self, setup: &TestApp) {
        for keys in setup.store.records(LOGIN_KEY).await {
            self.add("login key", keys["current"]["key"].as_str().unwrap());
        }
        for tokens in setup.store.records(TOKENS).await {
            for name in ["access_token", "refresh_token"] {
                self.add(name, tokens[name].as_str().unwrap());
            }
        }
    }

    /// Adds the values that the app has sent to KYCPort: states, nonces, challenges, codes and
    /// verifiers.
    fn add_sent(&mut self, kyc: &MockIssuer) {
        for request in kyc.requests(Endpoint::Authorize).iter() {
            for name in ["state", "nonce", "code_challenge"] {
                self.0
                    .extend(request.query(name).map(|it| (name, it.into())));
            }
        }
        for request in kyc.requests(Endpoint::Token).iter() {
            for name in ["code", "code_verifier", "refresh_token"] {
                self.0
                    .extend(request.form(name).map(|it| (name, it.into())));
            }
        }
    }

    fn add_cookies(&mut self, setup: &TestApp, browser: &Browser) {
        for (name, value) in browser.cookies(setup.app.url("/")) {
            if name == SESSION_COOKIE {
                self.add("session cookie", value);
            } else if name.starts_with(LOGIN_COOKIES) {
                self.add("login cookie", value);
            }
        }
    }

    /// Asserts that the test has collected a secret of each kind.
    fn assert_complete(&self) {
        for expected in [
            "id_token",
            "login key",
            "login cookie",
            "session cookie",
            "nonce",
            "code_verifier",
        ] {
            let is_known = self.0.iter().any(|(name, _)| *name == expected);
            assert!(is_known, "{expected}");
        }
    }

    pub(crate) fn assert_absent(&self, place: &str, text: &str) {
        for (name, value) in &self.0 {
            assert!(!text.contains(value), "{name} is in {place}: {text}");
        }
    }

    /// Asserts that the response contains no secret, except in `set-cookie` and in redirects to
    /// KYCPort.
    fn assert_not_served(&self, page: &Page) {
        let place = format!("the response of {}", page.url().path());
        self.assert_absent(&place, page.body());
        let to_issuer = page.location().is_some_and(|to| to.path() == "/authorize");
        for (name, value) in page.headers() {
            if name == "set-cookie" || (name == "location" && to_issuer) {
                continue;
            }
            self.assert_absent(&place, value.to_str().unwrap_or_default());
        }
    }
}

async fn app_with_refresh_tokens() -> TestApp {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true).start();
    let scopes = ["openid", "email", "profile", "kyc"];
    setup_on(kyc.await.unwrap(), 1000, |config| config.scopes(scopes)).await
}

fn parameter(url: &url::Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.into_owned())
}

async fn open(browser: &Browser, url: impl AsRef<str>, pages: &mut Vec<Page>) {
    // Request the URL like a browser that opens a page, and like a script of the page.
    for mode in ["navigate", "cors"] {
        let page = browser
            .request(Method::GET, url.as_ref())
            .header("sec-fetch-mode", mode)
            .stay()
            .send()
            .await
            .unwrap();
        pages.push(page);
    }
}

#[tokio::test]
async fn successful_and_failed_logins_leak_no_secret() {
    // Covers threat cases 86, 137, 138.
    let (log, _guard) = Log::capture();
    let setup = app_with_refresh_tokens().await;
    let mut secrets = Secrets::default();
    let mut pages = Vec::new();
    secrets.add("client_secret", setup.kyc.client().secret().unwrap());
    secrets.add("email", setup.ada.email());
    let subject = setup.ada.id().to_owned();
    // The app uses the ID token only in the token exchange.
    let id_tokens = Arc::new(Mutex::new(Vec::<String>::new()));
    let seen = Arc::clone(&id_tokens);
    setup
        .kyc
        .edit_token_response(move |answer| {
            let token = answer["id_token"].as_str().unwrap().to_owned();
            seen.lock().unwrap().push(token);
        })
        .always()
        .keep();

    // Performs a successful login.
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login?return_to=/token");
    open(&browser, &login, &mut pages).await;
    let callback = browser.start_sign_in(&login, &setup.ada).await.unwrap();
    secrets.add("code", parameter(&callback, "code").unwrap());
    secrets.add_cookies(&setup, &browser);
    open(&browser, &callback, &mut pages).await;
    secrets.add_cookies(&setup, &browser);
    secrets.add_stored(&setup).await;
    for path in ["/token", "/broken", "/nowhere"] {
        open(&browser, setup.app.url(path), &mut pages).await;
    }
    setup.kyc.clock().advance(Duration::from_secs(16 * 60));
    open(&browser, setup.app.url("/token"), &mut pages).await;
    secrets.add_stored(&setup).await;

    // Performs a failing login for each failure of a callback.
    let faults: [fn(&MockIssuer) -> kycport::mock::Rule; 8] = [
        |kyc| kyc.on(Endpoint::Token).fail(500),
        |kyc| kyc.on(Endpoint::Token).after().drop_connection(),
        |kyc| kyc.on(Endpoint::Token).truncate(),
        |kyc| {
            kyc.on(Endpoint::Token)
                .redirect(307, "https://evil.example/")
        },
        |kyc| kyc.on(Endpoint::Token).answer(200, "text/html", "<p>no"),
        |kyc| kyc.edit_token_response(|answer| answer["token_type"] = "DPoP".into()),
        |kyc| kyc.tokens().id_token(kycport::mock::Tamper::ForeignKey),
        |kyc| {
            kyc.tokens()
                .access_token(kycport::mock::Tamper::WrongIssuer)
        },
    ];
    for fault in faults {
        let other = setup.kyc.browser();
        let callback = other.start_sign_in(&login, &setup.ada).await.unwrap();
        secrets.add("code", parameter(&callback, "code").unwrap());
        secrets.add("state", parameter(&callback, "state").unwrap());
        secrets.add_stored(&setup).await;
        secrets.add_cookies(&setup, &other);
        let fault = fault(&setup.kyc).once();
        open(&other, &callback, &mut pages).await;
        fault.assert_hit();
        // Another browser sends the callback, and a browser sends a malformed callback.
        open(&setup.kyc.browser(), &callback, &mut pages).await;
        open(&other, format!("{callback}&code=x"), &mut pages).await;
        open(&other, format!("{callback}%00"), &mut pages).await;
    }

    // First the store is down, and then the issuer is down.
    let other = setup.kyc.browser();
    let callback = other.start_sign_in(&login, &setup.ada).await.unwrap();
    secrets.add("code", parameter(&callback, "code").unwrap());
    secrets.add_stored(&setup).await;
    setup.store.fail();
    open(&other, &callback, &mut pages).await;
    open(&browser, setup.app.url("/vault"), &mut pages).await;
    setup.store.heal();
    setup.kyc.stop().unwrap();
    open(&other, &callback, &mut pages).await;
    setup.kyc.clock().advance(Duration::from_secs(16 * 60));
    open(&browser, setup.app.url("/token"), &mut pages).await;
    setup.kyc.restart().unwrap();

    // KYCPort rejects the refresh token. The pause after the failed refresh has ended.
    setup.kyc.clock().advance(Duration::from_secs(5));
    secrets.add_stored(&setup).await;
    setup
        .store
        .rewrite(TOKENS, |r| {
            r["refresh_token"] = "canary-token".into();
        })
        .await;
    secrets.add("refresh_token", "canary-token");
    open(&browser, setup.app.url("/token"), &mut pages).await;

    for token in id_tokens.lock().unwrap().iter() {
        secrets.add("id_token", token.clone());
    }
    secrets.add_sent(&setup.kyc);
    secrets.assert_complete();
    for page in &pages {
        secrets.assert_not_served(page);
    }
    let text = log.text();
    secrets.add("subject", subject);
    secrets.assert_absent("the log", &text);
    for line in ["a person signed in", "a login failed", "store"] {
        assert!(text.contains(line), "the log was not captured: {text}");
    }
}

#[tokio::test]
async fn a_script_learns_only_who_is_signed_in() {
    // Covers threat case 86.
    let setup = app_with_refresh_tokens().await;
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login?return_to=/vault");
    browser.sign_in(&login, &setup.ada).await.unwrap();
    let mut secrets = Secrets::default();
    secrets.add("client_secret", setup.kyc.client().secret().unwrap());
    secrets.add_stored(&setup).await;
    secrets.add_sent(&setup.kyc);
    secrets.add_cookies(&setup, &browser);

    let me = browser.fetch(setup.app.url("/auth/me")).await.unwrap();

    me.assert_ok();
    secrets.assert_not_served(&me);
    let me = me.json();
    let names: Vec<_> = me.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "assurance",
            "auth_time",
            "claims",
            "issuer",
            "scopes",
            "session",
            "subject"
        ]
    );
}

#[tokio::test]
async fn untrusted_input_is_escaped_in_the_log() {
    // Covers threat case 138.
    let (log, _guard) = Log::capture();
    let setup = setup().await;
    let login = setup.app.url("/auth/login");
    for error in [
        "x\u{1b}[31mred",
        "x\r\nINFO kycport: a person signed in as root",
        "x\u{202e}txet",
        "forged code=\"signed_in\" level=error",
        &"long".repeat(500),
    ] {
        let browser = setup.kyc.browser();
        let mut callback = browser.start_sign_in(&login, &setup.ada).await.unwrap();
        let (state, iss) = (parameter(&callback, "state"), parameter(&callback, "iss"));
        callback.query_pairs_mut().clear().extend_pairs([
            ("state", state.unwrap().as_str()),
            ("iss", iss.unwrap().as_str()),
            ("error", error),
            ("error_description", "described-canary"),
        ]);
        let page = browser.open(&callback).await.unwrap();
        assert!(page.status() >= 400);
    }
    for target in ["/auth/callback?state=%1b%5b31m&code=x", "/\u{1b}"] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        raw(&setup.app, request.as_bytes()).await;
    }
    let text = log.text();
    assert!(text.contains("a login failed"));
    for part in [
        "\u{1b}",
        "\r",
        "\u{202e}",
        "signed in as root",
        "described-canary",
    ] {
        assert!(!text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains(" code=\"signed_in\""), "{text}");
    let longest = text.lines().map(str::len).max().unwrap();
    assert!(longest < 400, "{longest}");
}

#[tokio::test]
async fn debug_output_contains_no_secret() {
    // Covers threat case 137.
    let setup = app_with_refresh_tokens().await;
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    browser.sign_in(&login, &setup.ada).await.unwrap();
    let (kyc, client) = (&setup.kyc, setup.kyc.client());
    let redirect_uri = "http://127.0.0.1:9/auth/callback";
    let builder = kyc
        .config(redirect_uri)
        .tenant_api_key("canary-tenant-key")
        .webhook_secret("canary-webhook-secret")
        .store(setup.store.clone());
    let mut outputs = vec![format!("{builder:?}")];
    let config = builder.build().unwrap();
    outputs.push(format!("{config:?}"));
    let party = RelyingParty::new(config).unwrap();
    outputs.push(format!("{party:?}"));
    outputs.push(format!("{:?}", party.session_layer()));
    outputs.push(format!("{:?}", party.sessions()));
    outputs.push(format!("{:?}", party.bearer_layer()));

    let mut secrets = Secrets::default();
    secrets.add("client_secret", client.secret().unwrap());
    secrets.add("tenant key", "canary-tenant-key");
    secrets.add("webhook secret", "canary-webhook-secret");
    secrets.add("email", setup.ada.email());
    secrets.add("subject", setup.ada.id());
    secrets.add("hint", "canary-hint");
    secrets.add_stored(&setup).await;
    secrets.add_cookies(&setup, &browser);

    let request = LoginRequest::new().login_hint("canary-hint");
    outputs.push(format!("{request:?}"));
    let (url, transaction) = party.oidc().begin(&request).await.unwrap();
    for name in ["state", "nonce", "code_challenge"] {
        secrets.add("login", parameter(&url, name).unwrap());
    }
    outputs.push(format!("{transaction:?}"));
    let callback = kyc
        .browser()
        .start_sign_in(url.as_str(), &setup.ada)
        .await
        .unwrap();
    secrets.add("code", parameter(&callback, "code").unwrap());
    let params = CallbackParams::parse(callback.query().unwrap()).unwrap();
    outputs.push(format!("{params:?}"));
    let sign_in = party.oidc().finish(transaction, params).await.unwrap();
    secrets.add("access_token", sign_in.tokens.access_token.expose());
    let refresh_token = sign_in.tokens.refresh_token.clone().unwrap();
    secrets.add("refresh_token", refresh_token.expose());
    outputs.push(format!("{sign_in:?} {:?}", sign_in.claims));
    let bearer = party
        .oidc()
        .verify_access_token(sign_in.tokens.access_token.expose())
        .await
        .unwrap();
    outputs.push(format!("{:?}", BearerToken(bearer)));
    let nonce = parameter(&url, "nonce").unwrap().into();
    let expected = ExpectedIdToken::new(kyc.issuer(), client.id(), nonce);
    outputs.push(format!("{expected:?}"));
    let refused = party
        .oidc()
        .refresh(&kycport::Secret::new("canary-refresh-token"), "x")
        .await
        .unwrap_err();
    secrets.add("refresh_token", "canary-refresh-token");
    outputs.push(format!("{refused:?} {refused}"));
    outputs.push(format!("{:?}", kycport::MemoryStore::default()));
    assert_eq!(setup.store.records(SESSION).await.len(), 1);

    for text in outputs {
        secrets.assert_absent("Debug", &text);
    }
}

#[tokio::test]
async fn webhook_contents_are_not_logged() {
    // Covers threat cases 137, 138.
    let (log, _capturing) = Log::capture();
    let kyc = MockIssuer::start().await;
    let handler = TestHandler::default();
    let own = handler.clone();
    let app = kyc.serve(|config| {
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let webhooks = kycport.webhooks(move |delivery| own.clone().handle(delivery));
        axum::Router::new().route_service("/webhooks/kycport", webhooks.build().unwrap())
    });
    let app = app.await.unwrap();
    kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
    let ada = kyc.person("ada").create();
    let mut signatures = Vec::new();
    let change = async |status| {
        ada.set_status(status);
        kyc.webhooks().settled().await;
    };
    change(KycStatus::Rejected).await;
    for tamper in [DeliveryTamper::AlteredByte, DeliveryTamper::WrongSecret] {
        let _fault = kyc.webhooks().tamper(tamper).once();
        change(KycStatus::Pending).await;
        change(KycStatus::Rejected).await;
    }
    let unreadable = |draft: &mut DeliveryDraft| draft.body = b"{\"id\":\"canary-body\"".to_vec();
    let fault = kyc.webhooks().edit(unreadable).once();
    change(KycStatus::Expired).await;
    drop(fault);
    for act in [Action::Fail, Action::Panic] {
        handler.next(act);
        change(KycStatus::Verified).await;
        change(KycStatus::Pending).await;
    }
    let kind = "kyc.\u{1b}[31mnew\r\nlevel=ERROR";
    kyc.webhooks()
        .emit(kind, serde_json::json!({ "x": "canary-data" }));
    let fault = kyc.on(Endpoint::Status).fail(500).optional().always();
    change(KycStatus::Unverified).await;
    drop(fault);

    let text = log.text();
    for delivery in kyc.webhooks().deliveries().iter() {
        signatures.push(delivery.event_id().to_owned());
        let body = delivery.body();
        let (_, signature) =
            kycport::webhook::sign_test_delivery(&Secret::new(kyc.webhooks().secret()), body);
        signatures.push(signature.to_str().unwrap().replace("sha256=", ""));
    }
    let mut secrets = Secrets::default();
    for value in signatures {
        secrets.add("the id or the signature of an event", value);
    }
    secrets.add("the secret", kyc.webhooks().secret());
    secrets.add("the person", ada.id());
    for canary in ["canary-body", "canary-data"] {
        secrets.add("the body", canary);
    }
    secrets.assert_absent("the log", &text);
    assert!(
        !text.contains('\u{1b}'),
        "terminal escape sequence in the log: {text}"
    );
    for line in [
        "a webhook delivery was rejected",
        "a webhook delivery failed",
        "is not a valid event",
        "does not match",
        "handler_panicked",
        "handler_failed",
        "the order service is not available",
        "status_unavailable",
        "unknown_type",
    ] {
        assert!(text.contains(line), "the log contains {line}: {text}");
    }
    assert!(!text.lines().any(|line| line.starts_with("level=ERROR")));
}
