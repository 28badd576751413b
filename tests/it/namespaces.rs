//! Two relying parties on one store: what one keeps does not exist for the other.

use kycport::{
    KycTier, RelyingParty, RunningApp,
    mock::{Client, Endpoint, MockIssuer, Person},
    web::Sessions,
};
use serde_json::json;

use crate::{
    engines::Engine,
    faulty_store::{ASSURANCE, FaultyStore, LOGIN, LOGIN_KEY, SESSION, TOKENS},
    login::{Login, TO_THE_VAULT},
    stages::Named,
    support::tenant_app_of,
    visitor::{Answer, SESSION_COOKIE, Visitor, session_cookie},
};

/// A relying party on the store that both share.
struct Party {
    visitor: Visitor,
    person: Person,
    sessions: Sessions,
    _app: RunningApp,
}

/// Both of them, who know the same person by the same subject.
struct Stage {
    one: Party,
    other: Party,
    /// The issuer of the other.
    kyc: MockIssuer,
    /// The issuer of the one, if that is another.
    _issuer: Option<MockIssuer>,
    store: FaultyStore,
    is_sealed: bool,
}

impl Party {
    async fn new(kyc: &MockIssuer, client: &Client, engine: &Engine, store: &FaultyStore) -> Self {
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

    /// Signs Ada in. Returns her session cookie.
    async fn sign_in(&self) -> String {
        self.sign_in_with("").await
    }

    /// The same in a browser that has these cookies.
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

/// Plays the scene with two clients of one issuer, and with two issuers, on every engine.
async fn everywhere(scene: impl AsyncFn(&Stage)) {
    for engine in Engine::all(&MockIssuer::start().await).await {
        let _named = Named(engine.name());
        for are_two_issuers in [false, true] {
            let kyc = MockIssuer::start().await;
            let engine = engine.aging_with(&kyc);
            let store = engine.faulty_store();
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
            let stage = Stage {
                one,
                other,
                kyc,
                _issuer: issuer,
                store,
                is_sealed: engine.is_sealed(),
            };
            scene(&stage).await;
        }
    }
}

#[tokio::test]
async fn a_session_of_one_relying_party_is_none_at_the_other() {
    everywhere(async |stage| {
        let cookie = stage.one.sign_in().await;
        assert_eq!(stage.one.me(&cookie).await, 200);
        assert_eq!(stage.one.get("/sensitive", &cookie).await.status, 200);
        // The same person is signed in there, too.
        stage.other.sign_in().await;
        stage.kyc.forget_requests();
        for path in ["/auth/me", "/vault", "/token", "/guarded", "/sensitive"] {
            let answer = stage.other.get(path, &cookie).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "signed_out"));
            assert_eq!(answer.set_and_deleted().0.len(), 0);
        }
        assert_eq!(stage.other.get("/", &cookie).await.body, "signed out");
        stage.kyc.requests(Endpoint::Status).assert_count(0);
    })
    .await;
}

#[tokio::test]
async fn a_login_of_one_relying_party_is_unknown_at_the_other() {
    everywhere(async |stage| {
        let login = Login::start(&stage.one.visitor, TO_THE_VAULT, "").await;
        let callback = login.allow(&stage.one.visitor, &stage.one.person).await;
        // The other one has a key for logins, too.
        Login::start(&stage.other.visitor, TO_THE_VAULT, "").await;
        stage.store.forget();
        let answer = stage.other.get(&callback, &login.cookie).await;
        assert_eq!(answer.code(), "unknown_login");
        assert_eq!(stage.store.writes(), 0);
        stage.kyc.requests(Endpoint::Token).assert_count(0);
        let answer = stage.one.get(&callback, &login.cookie).await;
        assert_eq!(answer.header("location"), Some("/vault"));
        if !stage.is_sealed {
            assert_eq!(stage.store.bodies(LOGIN_KEY).await.len(), 2);
        }
    })
    .await;
}

#[tokio::test]
async fn revoking_at_one_relying_party_leaves_the_other() {
    everywhere(async |stage| {
        let (here, there) = (stage.one.sign_in().await, stage.other.sign_in().await);
        let subject = stage.one.person.id();
        for party in [&stage.one, &stage.other] {
            assert_eq!(party.sessions.list(subject).await.unwrap().len(), 1);
        }
        stage.one.sessions.revoke_all(subject).await.unwrap();
        assert_eq!(stage.one.me(&here).await, 401);
        assert_eq!(stage.other.me(&there).await, 200);
        assert_eq!(stage.one.sessions.list(subject).await, Ok(vec![]));
        let listed = stage.other.sessions.list(subject).await.unwrap();
        assert_eq!(listed.len(), 1);
        // Nor does one end a session of the other by its id.
        let ended = stage.one.sessions.revoke(subject, &listed[0].id).await;
        assert_eq!(ended, Ok(kycport::web::Revocation::NotFound));

        let here = stage.one.sign_in().await;
        let form = [("everywhere", "1")];
        let out = stage
            .other
            .visitor
            .post("/auth/logout", &there, &form)
            .await;
        assert_eq!(out.unwrap().status, 204);
        assert_eq!(stage.other.me(&there).await, 401);
        assert_eq!(stage.one.me(&here).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_during_a_revocation_elsewhere_is_not_revoked() {
    everywhere(async |stage| {
        let login = Login::start(&stage.one.visitor, TO_THE_VAULT, "").await;
        let callback = login.allow(&stage.one.visitor, &stage.one.person).await;
        let gate = stage
            .store
            .hold_after(crate::faulty_store::Op::Acquire, LOGIN);
        let (visitor, cookie) = (stage.one.visitor.clone(), login.cookie.clone());
        let under_way = tokio::spawn(async move { visitor.get(&callback, &cookie).await.unwrap() });
        gate.reached().await;
        stage.store.heal();
        let subject = stage.other.person.id();
        stage.other.sessions.revoke_all(subject).await.unwrap();
        gate.open();
        assert_eq!(under_way.await.unwrap().status, 303);
    })
    .await;
}

#[tokio::test]
async fn a_cookie_of_one_relying_party_ends_nothing_at_the_other() {
    everywhere(async |stage| {
        let cookie = stage.one.sign_in().await;
        let form = [("everywhere", "1")];
        let out = stage
            .other
            .visitor
            .post("/auth/logout", &cookie, &form)
            .await;
        assert_eq!(out.unwrap().status, 401);
        let out = stage.other.visitor.post("/auth/logout", &cookie, &[]).await;
        assert_eq!(out.unwrap().status, 204);
        // A sign-in replaces the session of the browser, if it is one of its own.
        let there = stage.other.sign_in_with(&cookie).await;
        assert_eq!(stage.other.me(&there).await, 200);
        assert_eq!(stage.one.me(&cookie).await, 200);
        for kind in [SESSION, TOKENS] {
            assert_eq!(stage.store.bodies(kind).await.len(), 2, "{kind:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_one_relying_party_learns_of_a_person_stays_there() {
    everywhere(async |stage| {
        let (here, there) = (stage.one.sign_in().await, stage.other.sign_in().await);
        assert_eq!(stage.store.bodies(ASSURANCE).await.len(), 2);
        stage.other.person.reject();
        let answer = stage.other.get("/sensitive", &there).await;
        assert_eq!(answer.code(), "rejected");
        assert_eq!(stage.other.kyc_status(&there).await, json!("rejected"));
        assert_eq!(stage.one.kyc_status(&here).await, json!("verified"));
    })
    .await;
}
