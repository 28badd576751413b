//! Tests that the doctor finds each problem of a configuration. Each test breaks one part of the
//! setup.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::HeaderMap;
use kycport::{
    Clock as _, Config, ConfigBuilder, KycStatus, MemoryStore, RelyingParty,
    doctor::{Report, Status},
    mock::{Endpoint, MockIssuer, Rule},
    secrets::Secrets,
    store::{Store as _, StoreError},
    webhook::sign_test_delivery,
};
use serde_json::json;

use crate::{
    engines::Engine,
    recording_store::{Op, RecordingStore},
};

const CALLBACK: &str = "http://127.0.0.1:9/auth/callback";

async fn examined(config: ConfigBuilder) -> Report {
    let config = config
        .max_attempts(1)
        .retry_pause(Duration::from_millis(1))
        .retry_deadline(Duration::from_secs(5));
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    kycport.doctor().await
}

fn status(report: &Report, name: &str) -> Status {
    report.check(name).unwrap().status
}

#[tokio::test]
async fn a_working_setup_is_reported_as_healthy() {
    let kyc = MockIssuer::start().await;
    let report = examined(kyc.config(CALLBACK)).await;
    let statuses: Vec<_> = report
        .checks()
        .iter()
        .map(|it| (it.name, it.status))
        .collect();
    assert_eq!(
        statuses,
        [
            // The doctor warns because the app runs on localhost.
            ("redirect URI", Status::Warn),
            ("client", Status::NotChecked),
            ("cookies", Status::Warn),
            ("discovery", Status::Ok),
            ("issuer", Status::Ok),
            ("keys", Status::Ok),
            ("clock", Status::Ok),
            ("tenant key", Status::Ok),
            ("webhook secret", Status::Ok),
            // The doctor warns because the store is in memory.
            ("store", Status::Warn),
        ],
        "{report}"
    );
    assert!(report.is_healthy());
    assert_eq!(report.worst(), Status::Warn);
    // The doctor sent each request once and sent no request about a person.
    kyc.requests(Endpoint::Discovery).assert_count(1);
    kyc.requests(Endpoint::Jwks).assert_count(1);
    kyc.requests(Endpoint::Status).assert_count(1);
    kyc.requests(Endpoint::Token).assert_count(0);
}

/// Returns the value of a `Date` header that differs from the app's clock by `seconds`.
fn date(kyc: &MockIssuer, seconds: i64) -> String {
    let unix = kyc.clock().now().as_unix() + seconds;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix.unsigned_abs());
    httpdate::fmt_http_date(time)
}

/// Label of the broken part, the fault, and the expected check results.
type Broken = (
    &'static str,
    fn(&MockIssuer) -> Rule,
    &'static [(&'static str, Status)],
);

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn every_broken_part_of_kycport_is_reported() {
    use Status::{Fail, NotChecked, Ok, Warn};
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
            "discovery is an HTML page",
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
            "the clock is slightly behind",
            |kyc| {
                kyc.on(Endpoint::Discovery)
                    .add_header("date", &date(kyc, 40))
            },
            &[("clock", Warn)],
        ),
        (
            "the date is invalid",
            |kyc| kyc.on(Endpoint::Discovery).add_header("date", "soon"),
            &[("clock", NotChecked)],
        ),
        (
            "the key lacks permission",
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
            "rate limited",
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
            assert_eq!(status(&report, name), *verdict_, "{what}: {name}\n{report}");
        }
        let fails = expected.iter().any(|(_, status)| *status == Fail);
        assert_eq!(report.is_healthy(), !fails, "{what}\n{report}");
        drop(fault);
    }
}

#[tokio::test]
async fn an_unreachable_kycport_is_distinguished_from_a_wrong_key() {
    let kyc = MockIssuer::start().await;
    let report = examined(kyc.config(CALLBACK).tenant_api_key("canary-key")).await;
    assert_eq!(status(&report, "tenant key"), Status::Fail);
    assert!(report.check("tenant key").unwrap().found.contains("401"));
    assert!(!format!("{report}{report:?}").contains("canary"));

    kyc.stop().unwrap();
    let report = examined(kyc.config(CALLBACK)).await;
    for name in ["discovery", "tenant key"] {
        assert_eq!(status(&report, name), Status::Fail);
        let found = &report.check(name).unwrap().found;
        assert!(found.contains("connection failed"), "{found}");
    }
    // The doctor still runs checks that need no connection.
    assert_eq!(status(&report, "store"), Status::Warn);
}

#[tokio::test]
async fn settings_are_checked() {
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
        ("redirect URI", Status::Ok),
        ("cookies", Status::Ok),
        ("tenant key", Status::NotChecked),
        ("webhook secret", Status::NotChecked),
    ] {
        assert_eq!(status(&report, name), expected, "{report}");
    }
    kyc.requests(Endpoint::Status).assert_count(0);

    let rewritten = of("https://app.example.com/kyc/callback")
        .callback_path("/auth/callback")
        .client_secret("canary-secret")
        .webhook_secret("canary");
    let report = examined(rewritten).await;
    assert_eq!(status(&report, "redirect URI"), Status::Warn);
    assert_eq!(status(&report, "webhook secret"), Status::Fail);
    let text = format!("{report}{report:?}").replace("canary-client", "");
    assert!(!text.contains("canary"), "{text}");
    assert!(!report.is_healthy());
}

#[tokio::test]
async fn the_doctor_names_the_console() {
    // K12
    let kyc = MockIssuer::start().await;
    for (redirect_uri, expected) in [
        ("https://app.example.com/auth/callback", Status::Ok),
        ("https://app.example.com/auth/callback/", Status::Warn),
    ] {
        let config = Config::builder("client", redirect_uri)
            .issuer(kyc.issuer())
            .discovery_url(kyc.discovery_url())
            .callback_path("/auth/callback");
        let report = examined(config).await;
        let check = report.check("redirect URI").unwrap();
        assert_eq!(check.status, expected, "{report}");
        assert!(check.found.starts_with(redirect_uri), "{report}");
        let text = format!("{} {}", check.found, check.remedy.unwrap_or_default());
        assert!(text.contains("KYCPort's console at /console"), "{text}");
    }
}

#[tokio::test]
async fn the_doctor_warns_about_an_alias_for_verified() {
    // K41
    let kyc = MockIssuer::start().await;
    for (status, is_reported) in [(KycStatus::Verified, true), (KycStatus::Pending, false)] {
        let report = examined(kyc.config(CALLBACK).status_alias("approved", status)).await;
        let check = report.check("status aliases");
        assert_eq!(check.is_some(), is_reported, "{report}");
        if let Some(check) = check {
            assert_eq!(check.status, Status::Warn);
            assert!(check.found.contains("approved"), "{report}");
        }
    }
}

#[tokio::test]
async fn secrets_are_checked_after_a_reload() {
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
    let assert_found = async |client: &str, webhook: &str| {
        kycport.reload_secrets().await.unwrap();
        let report = kycport.doctor().await;
        for (name, expected) in [("client", client), ("webhook secret", webhook)] {
            let found = &report.check(name).unwrap().found;
            assert!(found.ends_with(expected), "{expected}: {found}");
        }
    };
    assert_found("public client", "no webhook secret is configured").await;
    *secrets.lock().unwrap() = Secrets::new()
        .client_secret("an unknown client secret")
        .webhook_secret("the old webhook secret");
    assert_found("not proven yet", "configured: current").await;
    let new = kycport::Secret::new("the new webhook secret");
    *secrets.lock().unwrap() = Secrets::new()
        .client_secret(kyc.client().secret().unwrap())
        .webhook_secret(new.expose());
    assert_found("with a secret", "configured: current, previous").await;
    // The report no longer lists the expired secret.
    let verifier = kycport.webhook_verifier().build().unwrap();
    let headers = HeaderMap::from_iter([sign_test_delivery(&new, b"{}")]);
    let body = Bytes::from_static(b"{}");
    verifier.verify(&headers, body).unwrap();
    kyc.clock().advance(Duration::from_secs(96 * 3600));
    assert_found("with a secret", "configured: current").await;
}

#[tokio::test]
async fn a_report_contains_no_secret() {
    // Covers threat case 137.
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

#[tokio::test]
async fn an_in_memory_store_gives_a_warning() {
    let kyc = MockIssuer::start().await;
    let named = kyc.config(CALLBACK).store(MemoryStore::default());
    for config in [kyc.config(CALLBACK), named] {
        let report = examined(config).await;
        let check = report.check("store").unwrap();
        assert_eq!(check.status, Status::Warn, "{report}");
        assert!(check.found.starts_with("memory: "), "{report}");
        assert!(check.remedy.unwrap().contains("KYCPORT_STORE"), "{report}");
        assert!(report.is_healthy());
    }
}

#[tokio::test]
async fn every_engine_is_checked() {
    let kyc = MockIssuer::start().await;
    for engine in Engine::all(&kyc).await {
        let store = engine.recording_store();
        let expected = if store.properties().shared {
            Status::Ok
        } else {
            Status::Warn
        };
        let report = examined(engine.configure_over(kyc.config(CALLBACK), store.clone())).await;
        let name = engine.name();
        assert_eq!(status(&report, "store"), expected, "{name}: {report}");
        assert_eq!(store.count(Op::Check), 1, "{name}");
        assert_eq!(store.operations(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_failing_store_is_reported_with_a_remedy() {
    // Covers threat case 95.
    let kyc = MockIssuer::start().await;
    let store = RecordingStore::over(MemoryStore::default());
    let config = kyc.config(CALLBACK).store(store.clone());
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let mut remedies = Vec::new();
    for (error, word) in [
        (StoreError::Unreachable, "network"),
        (StoreError::Timeout, "network"),
        (StoreError::AccessDenied, "password"),
        (StoreError::ReadOnly, "primary"),
        (StoreError::Full, "disk space"),
        (StoreError::Busy, "connections"),
        (StoreError::Starting, "started"),
        (StoreError::Schema, "migration"),
        (StoreError::Damaged, "log of the server"),
        (StoreError::Failed, "log of the server"),
    ] {
        store.heal();
        store.fail_with(Op::Check, error);
        let report = kycport.doctor().await;
        let check = report.check("store").unwrap();
        assert_eq!(check.status, Status::Fail, "{report}");
        assert_eq!(check.found, format!("memory: {error}"));
        let remedy = check.remedy.unwrap();
        assert!(remedy.contains(word), "{error}: {remedy}");
        assert!(!report.is_healthy());
        remedies.push(remedy);
    }
    remedies.dedup();
    assert_eq!(remedies.len(), 8, "{remedies:?}");
    // The doctor reads the current state for each report.
    store.heal();
    let report = kycport.doctor().await;
    assert_eq!(status(&report, "store"), Status::Warn, "{report}");
}
