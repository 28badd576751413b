//! What is stored is read by the next version, and by the one before, while both run.
//!
//! `stored/v1.json` is frozen: the records of a session and of a login as this crate first wrote
//! them, ids included. When the form changes it stays, and gets a neighbour.

use std::{collections::HashMap, time::Duration};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kycport::{
    Clock as _,
    mock::{Browser, Endpoint, MockIssuer},
    web::SessionStore as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower_sessions::session::Record;
use url::Url;

use crate::{
    faulty_store::{ACTIVITY, EPOCH, LOGIN, SESSION, SIGN_INS, Stage, TOKENS, stage_on},
    leaks::Log,
};

const KINDS: [&str; 8] = [
    SESSION,
    ACTIVITY,
    TOKENS,
    LOGIN,
    "login-taken",
    "browser-logins",
    EPOCH,
    SIGN_INS,
];

/// A browser that signed in, and began a login, when version 1 was new.
struct Old {
    stage: Stage,
    browser: Browser,
    fixture: Value,
}

impl Old {
    async fn new(change: impl Fn(&mut Value)) -> Self {
        let stage = stage_on(MockIssuer::start().await, 1000, |config| config).await;
        let now = stage.kyc.clock().now();
        let later = now.saturating_add(Duration::from_secs(500));
        let text = include_str!("stored/v1.json")
            .replace("\"$now\"", &now.as_unix_millis().to_string())
            .replace("\"$later\"", &later.as_unix_millis().to_string());
        let fixture: Value = serde_json::from_str(&text).unwrap();
        for record in fixture["records"].as_array().unwrap() {
            let mut stored = record["data"]["kycport"].clone();
            change(&mut stored);
            let record = Record {
                id: record["id"].as_str().unwrap().parse().unwrap(),
                data: HashMap::from([("kycport".to_owned(), stored)]),
                expiry_date: cookie::time::OffsetDateTime::from_unix_timestamp(later.as_unix())
                    .unwrap(),
            };
            stage.store.save(&record).await.unwrap();
        }
        let browser = stage.kyc.browser();
        for (name, key) in [
            ("__Host-kycport", "session_key"),
            ("__Host-kycport-login", "browser_key"),
        ] {
            let key = fixture[key].as_str().unwrap();
            let cookie = format!("{name}={key}; Secure; Path=/");
            browser.set_cookie(stage.app.url("/"), &cookie);
        }
        Self {
            stage,
            browser,
            fixture,
        }
    }

    fn get(&self, pointer: &str) -> &str {
        self.fixture.pointer(pointer).unwrap().as_str().unwrap()
    }

    async fn status(&self, path: &str) -> u16 {
        let page = self.browser.open(self.stage.app.url(path)).await;
        page.unwrap().status()
    }

    /// Walks the way of the old login: KYCPort's page, and back.
    async fn come_back(&self) -> u16 {
        let login = self.stage.kyc.browser();
        let begun = login.request(Method::GET, self.stage.app.url("/auth/login"));
        let authorize = begun.stay().send().await.unwrap().location().unwrap();
        let transaction = "/records/3/data/kycport/body/transaction";
        let verifier = self.get(&format!("{transaction}/code_verifier"));
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let pairs = authorize.query_pairs().map(|(name, value)| {
            let value = match &*name {
                "state" => self.get("/state").to_owned(),
                "nonce" => self.get(&format!("{transaction}/nonce")).to_owned(),
                "code_challenge" => challenge.clone(),
                _ => value.into_owned(),
            };
            (name.into_owned(), value)
        });
        let mut old: Url = authorize.clone();
        old.query_pairs_mut().clear().extend_pairs(pairs);
        let callback = self.browser.start_sign_in(old, &self.stage.ada).await;
        let page = self.browser.open(callback.unwrap()).await.unwrap();
        page.status()
    }
}

#[tokio::test]
async fn what_the_first_version_wrote_is_read() {
    let old = Old::new(|_| ()).await;
    let me = old.browser.fetch(old.stage.app.url("/auth/me")).await;
    let me = me.unwrap().json();
    assert_eq!(me["subject"], "p_ada");
    assert_eq!(me["claims"]["email"], "ada@example.test");
    assert_eq!(me["assurance"]["kyc_tier"], "t2");
    assert_eq!(old.status("/token").await, 200);
    let taken = format!("/auth/callback?code=x&state={}", old.get("/taken_state"));
    assert_eq!(old.status(&taken).await, 303);
    assert_eq!(old.come_back().await, 303);
    old.stage.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn the_logins_that_a_browser_began_before_count() {
    let old = Old::new(|_| ()).await;
    assert_eq!(old.stage.store.records(LOGIN).await.len(), 1);
    // The ninth pushes the first out.
    assert_eq!(old.status("/auth/login").await, 303);
    assert_eq!(old.stage.store.records(LOGIN).await.len(), 1);
    assert_eq!(old.come_back().await, 400);
}

#[tokio::test]
async fn members_that_are_not_known_are_passed_over() {
    let old = Old::new(|stored| {
        stored["more"] = json!({ "of": ["a", "later", "version"] });
        // An epoch is a word, and has no members.
        if let Some(body) = stored["body"].as_object_mut() {
            body.insert("more".to_owned(), json!(1));
        }
        for part in ["assurance", "transaction"] {
            if let Some(part) = stored["body"].get_mut(part) {
                part["more"] = json!("x");
            }
        }
    })
    .await;
    assert_eq!(old.status("/vault").await, 200);
    assert_eq!(old.status("/token").await, 200);
    assert_eq!(old.come_back().await, 303);
}

#[tokio::test]
async fn a_record_of_a_later_version_is_no_session_and_is_left_alone() {
    let (log, _guard) = Log::capture();
    let old = Old::new(|stored| {
        stored["v"] = json!(2);
        stored["body"] = json!({ "sealed": "in a form that is yet to come" });
    })
    .await;
    for _ in 0..3 {
        let me = old.browser.fetch(old.stage.app.url("/auth/me")).await;
        me.unwrap().assert_status(401);
        assert_eq!(old.status("/vault").await, 303);
        let callback = format!("/auth/callback?code=x&state={}", old.get("/state"));
        assert_eq!(old.status(&callback).await, 400);
    }
    for kind in KINDS {
        assert_eq!(old.stage.store.records(kind).await.len(), 1, "{kind}");
    }
    let said = log.text();
    for kind in [SESSION, LOGIN] {
        let lines = said.lines().filter(|line| {
            line.contains("is not understood") && line.contains(&format!("kind=\"{kind}\""))
        });
        assert_eq!(lines.count(), 1, "{kind}");
    }
    old.stage.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn an_end_of_all_sessions_that_the_first_version_wrote_holds() {
    // case 98
    let old = Old::new(|stored| {
        if stored["kind"] == SESSION {
            stored["body"]["epoch"] = json!("an earlier one");
        }
    })
    .await;
    assert_eq!(old.status("/vault").await, 303);

    // An end that is not understood is an end.
    let old = Old::new(|stored| {
        if stored["kind"] == EPOCH {
            stored["v"] = json!(2);
        }
    })
    .await;
    assert_eq!(old.status("/vault").await, 303);
}
