//! Tests that the app survives an outage of the store servers or of KYCPort. During an outage, the
//! app rejects every request that needs a session, and does not sign any person out. The app also
//! does not report a failed operation as done.

use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use kycport::{
    ConfigBuilder, KycTier, RelyingParty, RunningApp,
    doctor::Status,
    mock::{Browser, Endpoint, MockIssuer, Page, Person},
    store::StoreError,
    web::{SealingKeys, SessionId, Sessions},
};

use crate::{
    engines::{FIRST_KEY, balanced},
    leaks::{Log, Secrets},
    servers::Server,
    stages::everywhere_with,
    support::tenant_app_of,
    visitor::SESSION_COOKIE,
};

/// Maximum duration of a request. A store operation fails after 5 s, and the first failure aborts
/// the request.
const MAX_WAIT: Duration = Duration::from_secs(9);

/// Waits. A store client does not report when it has connected again.
#[expect(
    clippy::disallowed_methods,
    reason = "a test cannot set a server's clock"
)]
async fn wait(by: Duration) {
    tokio::time::sleep(by).await;
}

fn assert_retry_page(page: &Page) {
    page.assert_status(503);
    assert_eq!(page.header("set-cookie"), None);
    assert_eq!(page.header("retry-after"), Some("1"));
}

async fn status(browser: &Browser, url: String) -> u16 {
    browser.fetch(url).await.unwrap().status()
}

/// Configuration of a tenant's app: the store URL, and the keys if records are sealed.
#[derive(Clone)]
struct Deployment {
    url: String,
    keys: Option<&'static str>,
}

impl Deployment {
    fn configure(&self, config: ConfigBuilder) -> ConfigBuilder {
        let config = config.store_url(&self.url);
        match self.keys {
            Some(keys) => config.session_keys(SealingKeys::parse(keys).unwrap()),
            None => config,
        }
    }

    fn party(&self, config: ConfigBuilder) -> RelyingParty {
        RelyingParty::new(self.configure(config).build().unwrap()).unwrap()
    }
}

/// Two instances on one server, and people with requests in progress.
struct OutageTest {
    kyc: MockIssuer,
    app: RunningApp,
    ada: Person,
    bob: Person,
    /// Browser in which Ada is signed in.
    browser: Browser,
    key: Option<String>,
    /// Browser in which Ada has a pending login, before the callback request.
    half_way: Browser,
    callback: String,
    /// Browser in which Bob wants to sign out.
    leaving: Browser,
    /// Browser of Eve. The test has revoked all sessions of Eve.
    ended: Browser,
    sessions: Sessions,
    party: RelyingParty,
}

impl OutageTest {
    async fn begin(deployment: &Deployment) -> Self {
        let kyc = MockIssuer::start().await;
        let app = balanced(&kyc, |config| tenant_app_of(&deployment.party(config))).await;
        let [ada, bob, eve] =
            ["ada", "bob", "eve"].map(|slug| kyc.person(slug).tier(KycTier::T2).create());
        let login = app.url("/auth/login");
        let signed_in = async |person| {
            let browser = kyc.browser();
            let page = browser.sign_in(&login, person).await.unwrap();
            page.assert_ok();
            browser
        };
        let (browser, leaving) = (signed_in(&ada).await, signed_in(&bob).await);
        let ended = signed_in(&eve).await;
        let config = kyc.config("http://127.0.0.1:9/auth/callback");
        let config = config
            .max_attempts(1)
            .retry_pause(Duration::from_millis(1))
            .retry_deadline(Duration::from_secs(1));
        let party = deployment.party(config);
        let sessions = party.sessions();
        sessions.revoke_all(eve.id()).await.unwrap();
        let half_way = kyc.browser();
        let callback = half_way.start_sign_in(&login, &ada).await.unwrap();
        assert_eq!(status(&browser, app.url("/guarded")).await, 200);
        kyc.forget_requests();
        Self {
            key: browser.cookie(&login, SESSION_COOKIE),
            callback: callback.into(),
            kyc,
            app,
            ada,
            bob,
            browser,
            half_way,
            leaving,
            ended,
            sessions,
            party,
        }
    }

    /// Checks the app while the server is unreachable.
    async fn assert_unreachable(&self) {
        tokio::time::timeout(MAX_WAIT, Box::pin(self.assert_all_requests_wait()))
            .await
            .unwrap();
        self.kyc.requests(Endpoint::Token).assert_count(0);
        // The app needs no store server for a request without a cookie.
        let page = self.kyc.browser().get(self.app.url("/")).await.unwrap();
        assert_eq!(page.assert_ok().body(), "signed out");
        // The app needs no store server to start a login, because a cookie stores the state of the
        // login.
        let login = self.app.url("/auth/login");
        for _ in 0..2 {
            let browser = self.kyc.browser();
            let page = browser.request(Method::GET, login.clone()).stay().send();
            let to = page.await.unwrap().assert_status(303).location().unwrap();
            assert!(to.as_str().starts_with(self.kyc.origin()));
        }
    }

    /// Sends all requests simultaneously. Each request waits up to its limit.
    async fn assert_all_requests_wait(&self) {
        let of_ada = [
            "/vault",
            "/auth/me",
            "/guarded",
            "/sensitive",
            "/auth/step-up?tier=t2",
        ];
        let mut pending: Vec<_> = of_ada.map(|path| (self.browser.clone(), path)).into();
        pending.push((self.ended.clone(), "/vault"));
        pending.push((self.ended.clone(), "/auth/me"));
        let pending = pending.iter().map(|(browser, path)| {
            let request = browser.request(Method::GET, self.app.url(path));
            request.fetch().stay().send()
        });
        let tabs = [self.leaving.clone(), self.leaving.clone()];
        let [here, everywhere] = [0, 1].map(|n| {
            let request = tabs[n].request(Method::POST, self.app.url("/auth/logout"));
            let fields: &[_] = if n == 1 { &[("everywhere", "1")] } else { &[] };
            request.form(fields).stay().send()
        });
        let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let (pending, came_back, here, everywhere, ends, end, list, readiness, report) = tokio::join!(
            join_all(pending),
            self.half_way.open(&self.callback),
            here,
            everywhere,
            self.sessions.revoke_all(self.bob.id()),
            self.sessions.revoke(self.bob.id(), &id),
            self.sessions.list(self.bob.id()),
            self.party.readiness(),
            self.party.doctor(),
        );
        for page in pending.into_iter().chain([came_back, here, everywhere]) {
            assert_retry_page(&page.unwrap());
        }
        assert_unavailable(&ends);
        assert_unavailable(&end);
        assert_unavailable(&list);
        assert!(!readiness.is_ready());
        let store = report.check("store").unwrap();
        assert_eq!(store.status, Status::Fail);
    }

    /// Waits until the store server responds again. The store server still has its records.
    async fn assert_reachable_again(&self) {
        let me = self.app.url("/auth/me");
        let mut page = self.browser.fetch(&me).await.unwrap();
        for _ in 0..200 {
            if page.status() == 200 {
                break;
            }
            assert_retry_page(&page);
            wait(Duration::from_millis(50)).await;
            page = self.browser.fetch(&me).await.unwrap();
        }
        page.assert_ok();
        assert_eq!(self.browser.cookie(&me, SESSION_COOKIE), self.key);
        for _ in 0..2 {
            assert_eq!(status(&self.browser, self.app.url("/guarded")).await, 200);
            assert_eq!(status(&self.ended, me.clone()).await, 401);
        }
    }

    /// Checks that every person can continue after the outage.
    async fn assert_everybody_continues(&self) {
        // The authorization code is still valid.
        let page = self.half_way.open(&self.callback).await.unwrap();
        page.assert_status(303);
        self.kyc.requests(Endpoint::Token).assert_count(1);
        // Bob may be signed in or signed out, because the app did not report the result of his
        // sign-out.
        self.sessions.revoke_all(self.bob.id()).await.unwrap();
        let left = status(&self.leaving, self.app.url("/auth/me")).await;
        assert_eq!(left, 401);
        assert_eq!(self.sessions.list(self.ada.id()).await.unwrap().len(), 2);
        // The app caches the result of the last readiness check for a second.
        let mut readiness = self.party.readiness().await;
        for _ in 0..200 {
            if readiness.is_ready() {
                break;
            }
            wait(Duration::from_millis(50)).await;
            readiness = self.party.readiness().await;
        }
        assert!(readiness.is_ready());
        let report = self.party.doctor().await;
        let store = report.check("store").unwrap();
        assert_eq!(store.status, Status::Ok, "{report}");
    }

    fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("the tenant key", self.kyc.tenant().api_key());
        secrets.add("the client secret", self.kyc.client().secret().unwrap());
        secrets.add("a person", self.ada.id());
        secrets.add("a person", self.bob.id());
        secrets.add("an address", self.ada.email());
        for browser in [&self.browser, &self.leaving, &self.ended, &self.half_way] {
            for (_, value) in browser.cookies(self.app.url("/")) {
                secrets.add("a cookie", value);
            }
        }
        let callback = url::Url::parse(&self.callback).unwrap();
        for (name, value) in callback.query_pairs() {
            if ["code", "state"].contains(&&*name) {
                secrets.add("of the callback", value);
            }
        }
        secrets
    }
}

fn assert_unavailable<T: PartialEq + std::fmt::Debug>(result: &Result<T, StoreError>) {
    let is_away = matches!(
        result,
        Err(StoreError::Unreachable | StoreError::Timeout | StoreError::Busy)
    );
    assert!(is_away, "{result:?}");
}

async fn outages(mut server: Server) {
    let (log, _guard) = Log::capture();
    let open = Deployment {
        url: server.url(),
        keys: None,
    };
    let sealed = Deployment {
        keys: Some(FIRST_KEY),
        ..open.clone()
    };
    let (open, sealed) = tokio::join!(OutageTest::begin(&open), OutageTest::begin(&sealed));
    let scenes = [&open, &sealed];
    let all = async |of: fn(&OutageTest) -> futures_util::future::LocalBoxFuture<'_, ()>| {
        join_all(scenes.map(of)).await;
    };

    // The store server hangs.
    server.pause();
    all(|setup| Box::pin(setup.assert_unreachable())).await;
    server.resume();
    all(|setup| Box::pin(setup.assert_reachable_again())).await;

    // The test kills the store server and also stops KYCPort.
    server.kill();
    for setup in scenes {
        setup.kyc.stop().unwrap();
    }
    all(|setup| Box::pin(setup.assert_unreachable())).await;
    server.start_again();
    // People who are signed in can use the app without KYCPort.
    all(|setup| Box::pin(setup.assert_reachable_again())).await;
    for setup in scenes {
        setup.kyc.restart().unwrap();
    }
    all(|setup| Box::pin(setup.assert_everybody_continues())).await;

    let log_text = log.text();
    assert!(
        log_text.contains("a store operation failed"),
        "the log was not captured"
    );
    assert!(!log_text.contains('\u{1b}'), "{log_text}");
    for setup in scenes {
        let mut secrets = setup.secrets();
        secrets.add("the server's password", Server::PASSWORD);
        secrets.add("a key", FIRST_KEY.split_once(':').unwrap().1);
        secrets.assert_absent("the log", &log_text);
        let report = setup.party.doctor().await;
        for debug_output in [
            format!("{report} {report:?}"),
            format!("{:?} {:?}", setup.party.session_layer(), setup.sessions),
            format!("{:?} {:?}", setup.party, setup.party.config()),
        ] {
            secrets.assert_absent("Debug", &debug_output);
        }
    }
}

#[tokio::test]
async fn a_redis_outage_signs_no_person_out() {
    // Covers threat cases 45, 95, 137, 138.
    if let Some(server) = Server::lasting_redis() {
        Box::pin(outages(server)).await;
    }
}

#[tokio::test]
async fn a_postgres_outage_signs_no_person_out() {
    // Covers threat cases 45, 95, 137, 138.
    if let Some(server) = Server::lasting_postgres() {
        Box::pin(outages(server)).await;
    }
}

#[tokio::test]
async fn a_kycport_outage_signs_no_person_out() {
    // Covers threat cases 8, 95, 116.
    let impatient = |config: kycport::ConfigBuilder| {
        let second = Duration::from_secs(1);
        config
            .max_attempts(1)
            .retry_pause(Duration::from_millis(1))
            .retry_deadline(second)
            .connect_timeout(second)
            .request_timeout(Duration::from_millis(200))
    };
    everywhere_with(
        |mock| mock,
        impatient,
        async |setup| {
            let browser = setup.kyc.browser();
            let login = setup.app.url("/auth/login");
            browser.sign_in(&login, &setup.ada).await.unwrap();
            let key = browser.cookie(&login, SESSION_COOKIE);
            let asks = async |path| status(&browser, setup.app.url(path)).await;
            let is_signed_in = async || {
                for path in ["/vault", "/auth/me", "/vault", "/auth/me"] {
                    assert_eq!(asks(path).await, 200);
                }
                // Both instances respond with 503 to a request for a fresh status.
                assert_eq!(asks("/sensitive").await, 503);
                assert_eq!(asks("/sensitive").await, 503);
                assert_eq!(browser.cookie(&login, SESSION_COOKIE), key);
            };
            for trouble in [
                setup.kyc.on(Endpoint::Status).fail(503),
                setup.kyc.on(Endpoint::Status).fail(429).retry_after(60),
                setup.kyc.on(Endpoint::Status).hang(),
            ] {
                let trouble = trouble.always();
                is_signed_in().await;
                drop(trouble);
                // The app sends requests again when the rate limit after a 429 has ended.
                setup.kyc.clock().advance(Duration::from_secs(61));
                assert_eq!(asks("/sensitive").await, 200);
            }
            setup.kyc.stop().unwrap();
            is_signed_in().await;
            // KYCPort and the store fail simultaneously.
            setup.store.fail();
            for path in ["/vault", "/auth/me", "/sensitive"] {
                let page = browser.fetch(setup.app.url(path)).await.unwrap();
                assert_retry_page(&page);
            }
            setup.store.heal();
            is_signed_in().await;
            setup.kyc.restart().unwrap();
            assert_eq!(asks("/sensitive").await, 200);
        },
    )
    .await;
}
