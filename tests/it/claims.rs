//! A login is taken once, on every engine, or not at all.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::future::join_all;
use kycport::{
    KycTier, MemoryStore, RelyingParty, RunningApp,
    mock::{Browser, Endpoint, MockIssuer},
    web::{SealedStore, SealingKeys, SessionLayer, SessionStore},
    webhook::MemoryReplayStore,
};
use tower_sessions::{
    session::{Id, Record},
    session_store::Result,
};
use tower_sessions_sqlx_store::PostgresStore;

use crate::{
    desk::{FaultyReplayStore, Step},
    engines::{Engine, FIRST_KEY, postgres, two_instances},
    faulty_store::{FaultyStore, Op},
    leaks::Log,
    support::tenant_app_of,
};

const SESSION_COOKIE: &str = "__Host-kycport";
const BINDING: &str = "__Host-kycport-login";

/// One browser sends the same callback eight times at once, to both instances.
async fn one_exchange(kyc: &MockIssuer, app: &RunningApp, engine: &str) {
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    for round in 0..4 {
        let browser = kyc.browser();
        let login = app.url("/auth/login");
        let callback = browser.start_sign_in(login, &ada).await.unwrap();
        kyc.forget_requests();
        let copies: Vec<Browser> = (0..8).map(|_| browser.clone()).collect();
        let pages = join_all(copies.iter().map(|copy| copy.open(&callback))).await;
        kyc.requests(Endpoint::Token).assert_count(1);
        let signed_in = pages.iter().filter(|page| {
            let cookie = page.as_ref().unwrap().header("set-cookie");
            cookie.is_some_and(|it| it.starts_with(SESSION_COOKIE))
        });
        assert_eq!(signed_in.count(), 1, "{engine}, round {round}");
        for page in pages {
            let status = page.unwrap().status();
            assert!([303, 400].contains(&status), "{engine}: {status}");
        }
        // Later, too.
        browser.open(&callback).await.unwrap();
        kyc.requests(Endpoint::Token).assert_count(1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_callbacks_at_once_lead_to_one_exchange_on_every_engine() {
    // case 35
    let kyc = MockIssuer::start().await;
    for engine in Engine::all(&kyc).await {
        let app = two_instances(&kyc, |kycport| engine.layer(kycport)).await;
        one_exchange(&kyc, &app, engine.name()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lets_two_create_is_good_enough_with_claims() {
    // case 35
    let kyc = MockIssuer::start().await;
    let (store, claims) = (LooksThenWrites::default(), MemoryReplayStore::default());
    let app = two_instances(&kyc, |kycport| {
        kycport.session_layer(store.clone()).claims(claims.clone())
    })
    .await;
    one_exchange(&kyc, &app, "looks, then writes").await;
}

/// Nobody is sent to KYCPort, and a callback that comes all the same is not served.
async fn nobody_signs_in(
    store: impl SessionStore + Clone,
    layer: impl FnOnce(SessionLayer) -> SessionLayer,
) {
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let (log, _guard) = Log::capture();
    // The login begins at an instance that is held right.
    let right = serve_with(&kyc, |kycport| {
        let claims = MemoryReplayStore::default();
        kycport.session_layer(store.clone()).claims(claims)
    })
    .await;
    let browser = kyc.browser();
    let login = right.url("/auth/login");
    let callback = browser.start_sign_in(login, &ada).await.unwrap();
    let wrong = serve_with(&kyc, |kycport| layer(kycport.session_layer(store.clone()))).await;
    let key = browser.cookie(right.url("/"), BINDING).unwrap();
    let cookie = format!("{BINDING}={key}; Secure; Path=/");
    browser.set_cookie(wrong.url("/"), &cookie);
    kyc.forget_requests();

    let query = callback.query().unwrap();
    for path in ["/auth/login", &format!("/auth/callback?{query}")] {
        let page = browser.open(wrong.url(path)).await.unwrap();
        page.assert_status(503);
    }
    kyc.requests(Endpoint::Token).assert_count(0);
    let said = log.text();
    assert_eq!(said.matches("nobody can sign in").count(), 1);
    assert!(said.contains(".claims(PostgresReplayStore::new(pool))"));

    browser.open(&callback).await.unwrap().assert_status(303);
    kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn on_postgres_without_claims_nobody_signs_in() {
    // case 35
    let Some(pool) = postgres().await else {
        return;
    };
    let store = PostgresStore::new(pool);
    nobody_signs_in(store.clone(), |layer| layer).await;
    // Not even on the app's word, and sealing changes nothing about it.
    nobody_signs_in(store.clone(), SessionLayer::danger_store_claims).await;
    let sealed = SealedStore::new(store, SealingKeys::parse(FIRST_KEY).unwrap());
    nobody_signs_in(sealed.clone(), |layer| layer).await;
    nobody_signs_in(sealed, SessionLayer::danger_store_claims).await;
}

#[tokio::test]
async fn on_a_store_that_is_not_known_nobody_signs_in() {
    // case 35
    let honest = FaultyStore::over(MemoryStore::default());
    nobody_signs_in(honest, |layer| layer).await;
    nobody_signs_in(LooksThenWrites::default(), |layer| layer).await;
}

#[tokio::test]
async fn a_wrong_word_for_a_store_is_found_out() {
    // case 35
    let store = LooksThenWrites::default();
    nobody_signs_in(store, SessionLayer::danger_store_claims).await;
}

#[tokio::test]
async fn a_store_that_fails_in_its_trial_is_tried_again() {
    // cases 35, 45
    let kyc = MockIssuer::start().await;
    let store = FaultyStore::over(MemoryStore::default());
    let app = serve_with(&kyc, |kycport| {
        let layer = kycport.session_layer(store.clone());
        layer.danger_store_claims()
    })
    .await;
    store.fail();
    let login = async || {
        let page = kyc.browser().open(app.url("/auth/login")).await.unwrap();
        page.status()
    };
    assert_eq!(login().await, 503);
    store.heal();
    assert_eq!(login().await, 303);
    assert_eq!(store.records("trial").await.len(), 0);
}

#[tokio::test]
async fn while_the_claims_are_down_the_code_is_kept_for_later() {
    // case 45
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let claims = FaultyReplayStore::new(MemoryReplayStore::default());
    let store = FaultyStore::over(MemoryStore::default());
    let app = serve_with(&kyc, |kycport| {
        let layer = kycport.session_layer(store.clone());
        layer.claims(claims.clone())
    })
    .await;
    let browser = kyc.browser();
    let callback = browser.start_sign_in(app.url("/auth/login"), &ada);
    let callback = callback.await.unwrap();
    kyc.forget_requests();

    claims.fail(Step::Begin, 1);
    browser.open(&callback).await.unwrap().assert_status(503);
    // Claimed, and then the mark cannot be left: the claim is given back.
    store.fail_on(Op::Create, "login-taken");
    browser.open(&callback).await.unwrap().assert_status(503);
    kyc.requests(Endpoint::Token).assert_count(0);
    store.heal();
    claims.fail(Step::Complete, 1);
    browser.open(&callback).await.unwrap().assert_status(303);
    let again = browser.open(&callback).await.unwrap();
    again.assert_status(303);
    assert_eq!(again.header("set-cookie"), None);
    kyc.requests(Endpoint::Token).assert_count(1);
}

async fn serve_with(
    kyc: &MockIssuer,
    layer: impl FnOnce(&RelyingParty) -> SessionLayer,
) -> RunningApp {
    kyc.serve(|config| {
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let layer = layer(&kycport);
        tenant_app_of(&kycport, layer)
    })
    .await
    .unwrap()
}

/// Looks whether an id is taken, and lets others run before it writes.
#[derive(Clone, Default)]
struct LooksThenWrites(Arc<Mutex<HashMap<Id, Record>>>);

#[async_trait]
impl SessionStore for LooksThenWrites {
    async fn create(&self, record: &mut Record) -> Result<()> {
        while self.load(&record.id).await?.is_some() {
            record.id = Id::default();
        }
        tokio::task::yield_now().await;
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let mut records = self.0.lock().unwrap();
        records.insert(record.id, record.clone());
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        Ok(self.0.lock().unwrap().get(id).cloned())
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.lock().unwrap().remove(id);
        Ok(())
    }
}

impl Debug for LooksThenWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LooksThenWrites")
    }
}
