//! The doctor, with each thing broken in turn; and the probe's route.

use std::{
    fmt::{self, Debug},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use axum::{Router, http::Method};
use bytes::Bytes;
use http::HeaderMap;
use kycport::{
    Clock as _, Config, ConfigBuilder, MemoryStore, RelyingParty,
    doctor::{Report, Verdict},
    mock::{Endpoint, MockIssuer, Rule},
    secrets::Secrets,
    web::SessionStore,
    webhook::sign_test_delivery,
};
use serde_json::json;
use tower_sessions::{
    session::{Id, Record},
    session_store::Result,
};

use crate::faulty_store::FaultyStore;

const CALLBACK: &str = "http://127.0.0.1:9/auth/callback";

async fn examined(config: ConfigBuilder) -> Report {
    let config = config.retries(1, Duration::from_millis(1), Duration::from_secs(5));
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let layer = kycport.session_layer(MemoryStore::default());
    kycport.doctor_with(&layer).await
}

fn verdict(report: &Report, name: &str) -> Verdict {
    report.line(name).unwrap().verdict
}

#[tokio::test]
async fn what_is_well_is_said_to_be() {
    let kyc = MockIssuer::start().await;
    let report = examined(kyc.config(CALLBACK)).await;
    let verdicts: Vec<_> = report
        .lines()
        .iter()
        .map(|it| (it.name, it.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            // The app is on this machine.
            ("redirect URI", Verdict::Warn),
            ("client", Verdict::NotChecked),
            ("cookies", Verdict::Warn),
            ("discovery", Verdict::Ok),
            ("issuer", Verdict::Ok),
            ("keys", Verdict::Ok),
            ("clock", Verdict::Ok),
            ("tenant key", Verdict::Ok),
            ("webhook secret", Verdict::Ok),
            ("session store", Verdict::Ok),
        ],
        "{report}"
    );
    assert!(report.is_healthy());
    assert_eq!(report.worst(), Verdict::Warn);
    // It asked what it says, once, and about nobody.
    kyc.requests(Endpoint::Discovery).assert_count(1);
    kyc.requests(Endpoint::Jwks).assert_count(1);
    kyc.requests(Endpoint::Status).assert_count(1);
    kyc.requests(Endpoint::Token).assert_count(0);
}

/// The date of an answer that is `seconds` away from the app's clock.
fn date(kyc: &MockIssuer, seconds: i64) -> String {
    let unix = kyc.clock().now().as_unix() + seconds;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix.unsigned_abs());
    httpdate::fmt_http_date(time)
}

/// What is broken, how, and what is said of it.
type Broken = (
    &'static str,
    fn(&MockIssuer) -> Rule,
    &'static [(&'static str, Verdict)],
);

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn each_thing_that_is_broken_at_kycport_is_named() {
    use Verdict::{Fail, NotChecked, Ok, Warn};
    let table: [Broken; 14] = [
        (
            "discovery down",
            |kyc| kyc.on(Endpoint::Discovery).fail(503),
            &[
                ("discovery", Fail),
                ("issuer", NotChecked),
                ("keys", NotChecked),
                ("clock", NotChecked),
                ("tenant key", Ok),
            ],
        ),
        (
            "discovery redirects",
            |kyc| {
                kyc.on(Endpoint::Discovery)
                    .redirect(301, "https://www.kycport.com/")
            },
            &[("discovery", Fail)],
        ),
        (
            "discovery is a page",
            |kyc| {
                kyc.on(Endpoint::Discovery)
                    .answer(200, "text/html", "<p>hello")
            },
            &[("discovery", Fail), ("clock", Ok)],
        ),
        (
            "another issuer",
            |kyc| {
                kyc.on(Endpoint::Discovery)
                    .edit(|it| it["issuer"] = json!("https://evil.example"))
            },
            &[("discovery", Ok), ("issuer", Fail), ("keys", NotChecked)],
        ),
        (
            "keys down",
            |kyc| kyc.on(Endpoint::Jwks).fail(500),
            &[("issuer", Ok), ("keys", Fail)],
        ),
        (
            "no keys",
            |kyc| kyc.on(Endpoint::Jwks).edit(|it| it["keys"] = json!([])),
            &[("keys", Fail)],
        ),
        (
            "the clock is behind",
            |kyc| {
                kyc.on(Endpoint::Discovery)
                    .add_header("date", &date(kyc, 90))
            },
            &[("clock", Fail), ("discovery", Ok)],
        ),
        (
            "the clock is ahead",
            |kyc| {
                kyc.on(Endpoint::Discovery)
                    .add_header("date", &date(kyc, -90))
            },
            &[("clock", Fail)],
        ),
        (
            "the clock is off",
            |kyc| {
                kyc.on(Endpoint::Discovery)
                    .add_header("date", &date(kyc, 40))
            },
            &[("clock", Warn)],
        ),
        (
            "no date",
            |kyc| kyc.on(Endpoint::Discovery).add_header("date", "soon"),
            &[("clock", NotChecked)],
        ),
        (
            "the key may not",
            |kyc| kyc.on(Endpoint::Status).fail(403),
            &[("tenant key", Fail), ("discovery", Ok)],
        ),
        (
            "another API",
            |kyc| {
                kyc.on(Endpoint::Status)
                    .answer(404, "text/html", "<p>not here")
            },
            &[("tenant key", Fail)],
        ),
        (
            "too much",
            |kyc| kyc.on(Endpoint::Status).fail(429).retry_after(600),
            &[("tenant key", Warn)],
        ),
        (
            "the API is down",
            |kyc| kyc.on(Endpoint::Status).fail(503),
            &[("tenant key", Fail)],
        ),
    ];
    for (what, broken, expected) in table {
        let kyc = MockIssuer::start().await;
        let fault = broken(&kyc).always();
        let report = examined(kyc.config(CALLBACK)).await;
        for (name, verdict_) in expected {
            assert_eq!(
                verdict(&report, name),
                *verdict_,
                "{what}: {name}\n{report}"
            );
        }
        let fails = expected.iter().any(|(_, verdict)| *verdict == Fail);
        assert_eq!(report.is_healthy(), !fails, "{what}\n{report}");
        drop(fault);
    }
}

#[tokio::test]
async fn a_kycport_that_is_away_is_told_from_a_key_that_is_wrong() {
    let kyc = MockIssuer::start().await;
    let report = examined(kyc.config(CALLBACK).tenant_api_key("canary-key")).await;
    assert_eq!(verdict(&report, "tenant key"), Verdict::Fail);
    assert!(report.line("tenant key").unwrap().found.contains("401"));
    assert!(!format!("{report}{report:?}").contains("canary"));

    kyc.stop().unwrap();
    let report = examined(kyc.config(CALLBACK)).await;
    for name in ["discovery", "tenant key"] {
        assert_eq!(verdict(&report, name), Verdict::Fail);
        let found = &report.line(name).unwrap().found;
        assert!(found.contains("no connection"), "{found}");
    }
    // What needs nobody is looked at all the same.
    assert_eq!(verdict(&report, "session store"), Verdict::Ok);
}

#[tokio::test]
async fn settings_are_looked_at() {
    let kyc = MockIssuer::start().await;
    let of = |redirect_uri: &str| {
        Config::builder("canary-client", redirect_uri)
            .issuer(kyc.issuer())
            .discovery_url(kyc.discovery_url())
            .api_base_url(kyc.api_base_url())
    };
    let public = of("https://app.example.com/auth/callback");
    let report = examined(public).await;
    for (name, expected) in [
        ("redirect URI", Verdict::Ok),
        ("cookies", Verdict::Ok),
        ("tenant key", Verdict::NotChecked),
        ("webhook secret", Verdict::NotChecked),
    ] {
        assert_eq!(verdict(&report, name), expected, "{report}");
    }
    kyc.requests(Endpoint::Status).assert_count(0);

    let rewritten = of("https://app.example.com/kyc/callback")
        .callback_path("/auth/callback")
        .client_secret("canary-secret")
        .webhook_secret("canary");
    let report = examined(rewritten).await;
    assert_eq!(verdict(&report, "redirect URI"), Verdict::Warn);
    assert_eq!(verdict(&report, "webhook secret"), Verdict::Fail);
    let text = format!("{report}{report:?}").replace("canary-client", "");
    assert!(!text.contains("canary"), "{text}");
    assert!(!report.is_healthy());
}

#[tokio::test]
async fn secrets_are_looked_at_as_they_are_after_a_reload() {
    let kyc = MockIssuer::start().await;
    let secrets = Arc::new(Mutex::new(Secrets::new()));
    let own = Arc::clone(&secrets);
    let config = Config::builder(kyc.client().id(), CALLBACK)
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url())
        .clock(kyc.clock().clone())
        .secrets(move || {
            let secrets = own.lock().unwrap().clone();
            async move { Ok::<_, ()>(secrets) }
        });
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let says = async |client: &str, webhook: &str| {
        kycport.reload_secrets().await.unwrap();
        let report = kycport.doctor().await;
        for (name, said) in [("client", client), ("webhook secret", webhook)] {
            let found = &report.line(name).unwrap().found;
            assert!(found.ends_with(said), "{said}: {found}");
        }
    };
    says("public client", "there is none").await;
    *secrets.lock().unwrap() = Secrets::new()
        .client_secret("a secret that KYCPort does not know")
        .webhook_secret("the webhook secret of old");
    says("not proven yet", "used: current").await;
    let new = kycport::Secret::new("the webhook secret that is new");
    *secrets.lock().unwrap() = Secrets::new()
        .client_secret(kyc.client().secret().unwrap())
        .webhook_secret(new.expose());
    says("with a secret", "used: current, previous").await;
    // What has left is named no more.
    let verifier = kycport.webhook_verifier().build().unwrap();
    let headers = HeaderMap::from_iter([sign_test_delivery(&new, b"{}")]);
    let body = Bytes::from_static(b"{}");
    verifier.verify(&headers, body).unwrap();
    kyc.clock().advance(Duration::from_secs(96 * 3600));
    says("with a secret", "used: current").await;
}

#[tokio::test]
async fn nothing_secret_is_in_a_report() {
    // case 137
    let kyc = MockIssuer::start().await;
    let variables = kyc.environment(CALLBACK);
    let report = examined(kyc.config(CALLBACK)).await;
    let text = format!("{report}{report:?}");
    let secret = |name: &str| name.ends_with("KEY") || name.ends_with("SECRET");
    let secrets: Vec<_> = variables.iter().filter(|(name, _)| secret(name)).collect();
    assert_eq!(secrets.len(), 3);
    for (name, value) in secrets {
        assert!(!text.contains(value.as_str()), "{name}");
    }
}

/// What is odd about a store.
#[derive(Clone, Copy)]
enum Oddity {
    TakesTwice,
    Forgets,
    NeverWritesAgain,
    Keeps,
}

#[derive(Clone)]
struct OddStore(MemoryStore, Oddity);

impl Debug for OddStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OddStore")
    }
}

#[async_trait]
impl SessionStore for OddStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        match self.1 {
            Oddity::TakesTwice => self.0.save(record).await,
            _ => self.0.create(record).await,
        }
    }

    async fn save(&self, record: &Record) -> Result<()> {
        match self.1 {
            Oddity::NeverWritesAgain => Ok(()),
            _ => self.0.save(record).await,
        }
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        match self.1 {
            Oddity::Forgets => Ok(None),
            _ => self.0.load(id).await,
        }
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        match self.1 {
            Oddity::Keeps => Ok(()),
            _ => self.0.delete(id).await,
        }
    }
}

#[tokio::test]
async fn a_store_is_tried() {
    // case 95
    let kyc = MockIssuer::start().await;
    let kycport = RelyingParty::new(kyc.config(CALLBACK).build().unwrap()).unwrap();
    for (oddity, expected, word) in [
        (Oddity::TakesTwice, Verdict::Fail, "once"),
        (Oddity::Forgets, Verdict::Fail, "does not give back"),
        (Oddity::NeverWritesAgain, Verdict::Fail, "written last"),
        (Oddity::Keeps, Verdict::Fail, "was deleted"),
    ] {
        let layer = kycport
            .session_layer(OddStore(MemoryStore::default(), oddity))
            .danger_store_claims();
        let report = kycport.doctor_with(&layer).await;
        assert_eq!(verdict(&report, "session store"), expected, "{report}");
        assert!(report.to_string().contains(word), "{report}");
    }
    let memory = MemoryStore::default();
    let store = FaultyStore::over(memory.clone());
    let layer = kycport.session_layer(store.clone());
    let report = kycport.doctor_with(&layer).await;
    assert_eq!(verdict(&report, "session store"), Verdict::Fail, "{report}");
    let layer = layer.danger_store_claims();
    let report = kycport.doctor_with(&layer).await;
    assert_eq!(verdict(&report, "session store"), Verdict::Ok, "{report}");
    assert!(memory.is_empty());
    store.fail();
    let report = kycport.doctor_with(&layer).await;
    assert_eq!(verdict(&report, "session store"), Verdict::Fail, "{report}");
    assert!(!report.to_string().contains("canary"));
    let report = kycport.doctor().await;
    assert_eq!(verdict(&report, "session store"), Verdict::NotChecked);
}

#[tokio::test]
async fn an_instance_is_ready_while_its_store_answers() {
    // case 95
    let kyc = MockIssuer::start().await;
    let store = FaultyStore::over(MemoryStore::default());
    let serve = async || {
        let store = store.clone();
        let app = kyc.serve(|config| {
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            let layer = kycport.session_layer(store);
            Router::new().route("/ready", layer.ready_route())
        });
        app.await.unwrap()
    };
    let browser = kyc.browser();
    let app = serve().await;
    let ask = async |url: String, status: u16, ready: bool, store: &str, kycport: &str| {
        let page = browser
            .request(Method::GET, url)
            .fetch()
            .send()
            .await
            .unwrap();
        page.assert_status(status);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let expected = json!({ "ready": ready, "store": store, "kycport": kycport });
        assert_eq!(page.json(), expected);
    };
    ask(app.url("/ready"), 200, true, "ok", "ok").await;
    ask(app.url("/ready"), 200, true, "ok", "ok").await;
    kyc.requests(Endpoint::Discovery).assert_count(1);
    store.fail();
    ask(app.url("/ready"), 503, false, "unavailable", "ok").await;
    store.heal();

    let hanging = serve().await;
    let fault = kyc.on(Endpoint::Discovery).hang().always();
    ask(hanging.url("/ready"), 200, true, "ok", "unavailable").await;
    drop(fault);
    let late = serve().await;
    kyc.stop().unwrap();
    ask(late.url("/ready"), 200, true, "ok", "unavailable").await;
    // What is known of KYCPort is served for a while.
    ask(app.url("/ready"), 200, true, "ok", "ok").await;
}
