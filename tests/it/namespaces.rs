//! Tests with two relying parties on one store. Neither relying party reads the other's records.

use kycport::{
    KycTier, RelyingParty, RunningApp,
    mock::{Client, Endpoint, MockIssuer, Person},
    web::Sessions,
};
use serde_json::json;

use crate::{
    engines::Engine,
    login::{Login, TO_THE_VAULT},
    recording_store::{ASSURANCE, LOGIN, LOGIN_KEY, RecordingStore, SESSION, TOKENS},
    stages::Named,
    support::tenant_app_of,
    visitor::{Answer, SESSION_COOKIE, Visitor, session_cookie},
};

/// Relying party on the shared store.
struct Party {
    visitor: Visitor,
    person: Person,
    sessions: Sessions,
    _app: RunningApp,
}

/// Both relying parties. A person has the same subject at both relying parties.
struct SharedStoreTest {
    one: Party,
    other: Party,
    /// Issuer of the other relying party.
    kyc: MockIssuer,
    /// Issuer of the first relying party. `None` if both relying parties share one issuer.
    _issuer: Option<MockIssuer>,
    store: RecordingStore,
    is_sealed: bool,
}

impl Party {
    async fn new(
        kyc: &MockIssuer,
        client: &Client,
        engine: &Engine,
        store: &RecordingStore,
    ) -> Self {
        let mut sessions = None;
        let app = kyc.serve(|base| {
            let redirect_uri = base.build().unwrap().redirect_uri().to_string();
            let config = kyc.config_for(client, redirect_uri);
            let config = engine.configure_over(config, store.clone());
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            sessions = Some(kycport.sessions());
            tenant_app_of(&kycport)
        });
        let app = app.await.unwrap();
        Self {
            visitor: Visitor::new(app.url("")),
            person: kyc.person("ada").tier(KycTier::T2).create(),
            sessions: sessions.unwrap(),
            _app: app,
        }
    }

    /// Signs Ada in, and returns her session cookie.
    async fn sign_in(&self) -> String {
        self.sign_in_with("").await
    }

    /// Signs Ada in with a browser that has these cookies.
    async fn sign_in_with(&self, cookies: &str) -> String {
        let login = Login::start(&self.visitor, TO_THE_VAULT, cookies).await;
        let callback = login.allow(&self.visitor, &self.person).await;
        let cookies = format!("{cookies}; {}", login.cookie);
        let answer = self.get(&callback, &cookies).await;
        session_cookie(answer.cookie(SESSION_COOKIE).unwrap())
    }

    async fn get(&self, path: &str, cookies: &str) -> Answer {
        self.visitor.get(path, cookies).await.unwrap()
    }

    async fn me(&self, cookie: &str) -> u16 {
        self.get("/auth/me", cookie).await.status
    }

    async fn kyc_status(&self, cookie: &str) -> serde_json::Value {
        let me = self.get("/auth/me", cookie).await;
        let me: serde_json::Value = serde_json::from_str(&me.body).unwrap();
        me["assurance"]["kyc_status"].clone()
    }
}

/// Runs the test with two clients of one issuer and with two issuers, on every store.
async fn on_every_store(test_case: impl AsyncFn(&SharedStoreTest)) {
    for engine in Engine::all(&MockIssuer::start().await).await {
        let _named = Named(engine.name());
        for are_two_issuers in [false, true] {
            let kyc = MockIssuer::start().await;
            let engine = engine.aging_with(&kyc);
            let store = engine.recording_store();
            let issuer = if are_two_issuers {
                Some(MockIssuer::start().await)
            } else {
                None
            };
            let one = if let Some(issuer) = &issuer {
                Party::new(issuer, issuer.client(), &engine, &store).await
            } else {
                let client = kyc.add_client("another").create();
                Party::new(&kyc, &client, &engine, &store).await
            };
            let other = Party::new(&kyc, kyc.client(), &engine, &store).await;
            assert_eq!(one.person.id(), other.person.id());
            let setup = SharedStoreTest {
                one,
                other,
                kyc,
                _issuer: issuer,
                store,
                is_sealed: engine.is_sealed(),
            };
            test_case(&setup).await;
        }
    }
}

#[tokio::test]
async fn a_session_of_one_relying_party_is_unknown_at_the_other() {
    on_every_store(async |setup| {
        let cookie = setup.one.sign_in().await;
        assert_eq!(setup.one.me(&cookie).await, 200);
        assert_eq!(setup.one.get("/sensitive", &cookie).await.status, 200);
        // Ada is also signed in at the other relying party.
        setup.other.sign_in().await;
        setup.kyc.forget_requests();
        for path in ["/auth/me", "/vault", "/token", "/guarded", "/sensitive"] {
            let answer = setup.other.get(path, &cookie).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "signed_out"));
            assert_eq!(answer.set_and_deleted().0.len(), 0);
        }
        assert_eq!(setup.other.get("/", &cookie).await.body, "signed out");
        setup.kyc.requests(Endpoint::Status).assert_count(0);
    })
    .await;
}

#[tokio::test]
async fn a_login_of_one_relying_party_is_unknown_at_the_other() {
    on_every_store(async |setup| {
        let login = Login::start(&setup.one.visitor, TO_THE_VAULT, "").await;
        let callback = login.allow(&setup.one.visitor, &setup.one.person).await;
        // The other relying party also has a login key.
        Login::start(&setup.other.visitor, TO_THE_VAULT, "").await;
        setup.store.forget();
        let answer = setup.other.get(&callback, &login.cookie).await;
        assert_eq!(answer.code(), "unknown_login");
        assert_eq!(setup.store.writes(), 0);
        setup.kyc.requests(Endpoint::Token).assert_count(0);
        let answer = setup.one.get(&callback, &login.cookie).await;
        assert_eq!(answer.header("location"), Some("/vault"));
        if !setup.is_sealed {
            assert_eq!(setup.store.bodies(LOGIN_KEY).await.len(), 2);
        }
    })
    .await;
}

#[tokio::test]
async fn revocation_at_one_relying_party_does_not_affect_the_other() {
    on_every_store(async |setup| {
        let (here, there) = (setup.one.sign_in().await, setup.other.sign_in().await);
        let subject = setup.one.person.id();
        for party in [&setup.one, &setup.other] {
            assert_eq!(party.sessions.list(subject).await.unwrap().len(), 1);
        }
        setup.one.sessions.revoke_all(subject).await.unwrap();
        assert_eq!(setup.one.me(&here).await, 401);
        assert_eq!(setup.other.me(&there).await, 200);
        assert_eq!(setup.one.sessions.list(subject).await, Ok(vec![]));
        let listed = setup.other.sessions.list(subject).await.unwrap();
        assert_eq!(listed.len(), 1);
        // A relying party cannot revoke a session of the other relying party by its ID.
        let ended = setup.one.sessions.revoke(subject, &listed[0].id).await;
        assert_eq!(ended, Ok(kycport::web::Revocation::NotFound));

        let here = setup.one.sign_in().await;
        let form = [("everywhere", "1")];
        let out = setup
            .other
            .visitor
            .post("/auth/logout", &there, &form)
            .await;
        assert_eq!(out.unwrap().status, 204);
        assert_eq!(setup.other.me(&there).await, 401);
        assert_eq!(setup.one.me(&here).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_login_during_a_revocation_at_the_other_relying_party_is_kept() {
    on_every_store(async |setup| {
        let login = Login::start(&setup.one.visitor, TO_THE_VAULT, "").await;
        let callback = login.allow(&setup.one.visitor, &setup.one.person).await;
        let gate = setup
            .store
            .hold_after(crate::recording_store::Op::Acquire, LOGIN);
        let (visitor, cookie) = (setup.one.visitor.clone(), login.cookie.clone());
        let under_way = tokio::spawn(async move { visitor.get(&callback, &cookie).await.unwrap() });
        gate.reached().await;
        setup.store.heal();
        let subject = setup.other.person.id();
        setup.other.sessions.revoke_all(subject).await.unwrap();
        gate.open();
        assert_eq!(under_way.await.unwrap().status, 303);
    })
    .await;
}

#[tokio::test]
async fn a_cookie_of_one_relying_party_ends_no_session_at_the_other() {
    on_every_store(async |setup| {
        let cookie = setup.one.sign_in().await;
        let form = [("everywhere", "1")];
        let out = setup
            .other
            .visitor
            .post("/auth/logout", &cookie, &form)
            .await;
        assert_eq!(out.unwrap().status, 401);
        let out = setup.other.visitor.post("/auth/logout", &cookie, &[]).await;
        assert_eq!(out.unwrap().status, 204);
        // A login revokes the session of the browser only if the session belongs to the same
        // relying party.
        let there = setup.other.sign_in_with(&cookie).await;
        assert_eq!(setup.other.me(&there).await, 200);
        assert_eq!(setup.one.me(&cookie).await, 200);
        for kind in [SESSION, TOKENS] {
            assert_eq!(setup.store.bodies(kind).await.len(), 2, "{kind:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_assurance_of_one_relying_party_is_unknown_at_the_other() {
    on_every_store(async |setup| {
        let (here, there) = (setup.one.sign_in().await, setup.other.sign_in().await);
        assert_eq!(setup.store.bodies(ASSURANCE).await.len(), 2);
        setup.other.person.reject();
        let answer = setup.other.get("/sensitive", &there).await;
        assert_eq!(answer.code(), "rejected");
        assert_eq!(setup.other.kyc_status(&there).await, json!("rejected"));
        assert_eq!(setup.one.kyc_status(&here).await, json!("verified"));
    })
    .await;
}
