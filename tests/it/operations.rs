//! Tests that compare the log events, spans and metrics of the crate with the manual.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    extract::Request,
    http::Method,
    middleware::{Next, from_fn},
    response::Response,
};
use kycport::{
    ConfigBuilder, KycTier,
    mock::{Endpoint, MockIssuer},
    store::StoreError,
};
use metrics_util::{
    MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};
use tracing::{Instrument as _, field::Empty};

use crate::{
    manual::{self, table, words},
    observed::{Observed, Recorded},
    story,
    support::{serve, setup_with, tenant_app},
};

#[tokio::test]
async fn log_events_spans_and_metrics_match_the_manual() {
    // Covers threat cases 137, 138.
    let recorder = DebuggingRecorder::new();
    let counted = recorder.snapshotter();
    let (observed, _listening) = Observed::listen();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let story = story::run().await;

    let (lines, spans) = (table("Lines"), table("Spans"));
    let (events, ended) = (observed.events(), observed.spans());
    for entry in &events {
        assert_documented(entry, &lines);
    }
    for entry in &ended {
        assert_documented(entry, &spans);
    }
    assert_all_seen(events.iter().map(|entry| entry.name), &lines);
    assert_all_seen(ended.iter().map(|entry| entry.name), &spans);

    assert_no_canary(&story.canaries, &events);
    assert_no_canary(&story.canaries, &ended);
    assert_counted(&counted, &story.canaries);
}

#[test]
fn the_manual_lists_every_store_result() {
    let errors = [
        StoreError::Unreachable,
        StoreError::Timeout,
        StoreError::AccessDenied,
        StoreError::ReadOnly,
        StoreError::Full,
        StoreError::Busy,
        StoreError::Starting,
        StoreError::Schema,
        StoreError::Damaged,
        StoreError::Failed,
    ];
    let codes = errors.map(StoreError::code).into_iter().chain(["ok"]);
    let codes: BTreeSet<_> = codes.map(str::to_owned).collect();
    let documented = table("Results of the store").into_keys();
    assert_eq!(documented.collect::<BTreeSet<_>>(), codes);
}

#[tokio::test]
async fn every_log_event_of_a_request_contains_the_reference() {
    let (observed, _listening) = Observed::listen();
    let (kyc, app, ada) = setup_with(|config| config).await;
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    let _fault = kyc.on(Endpoint::Status).fail(404).always();

    let page = browser.fetch(app.url("/sensitive")).await.unwrap();

    let reference = page.assert_status(503).json()["reference"].clone();
    let reference = reference.as_str().unwrap();
    let [span] = &observed.of("kycport.guard")[..] else {
        panic!("expected one guard event");
    };
    assert_eq!(span.value("reference"), reference);
    assert_eq!(span.value("outcome"), "unknown");
    assert_eq!(span.value("tier"), "t2");
    // The call to KYCPort runs in a separate task and still belongs to the span of the request.
    let [call] = &observed.of("kycport.call.rejected")[..] else {
        panic!("expected one rejected call");
    };
    assert_eq!(
        (call.value("call"), call.value("reason")),
        ("status", "rejected")
    );
    assert_eq!(call.around.as_deref(), Some(reference));
    let [failed] = &observed.of("kycport.request.failed")[..] else {
        panic!("expected one failed request");
    };
    assert_eq!(failed.value("reference"), reference);
    // The next request has another correlation ID.
    let page = browser.fetch(app.url("/sensitive")).await.unwrap();
    assert_ne!(page.json()["reference"], reference);
    // The test requests a built-in route of this crate. The callback does not call KYCPort.
    let visit = browser.request(Method::GET, app.url("/auth/callback?code=x"));
    let page = visit.fetch().send().await.unwrap();
    let reference = page.assert_status(400).json()["reference"].clone();
    let spans = observed.of("kycport.callback");
    let span = spans.last().unwrap();
    assert_eq!(span.value("reference"), reference.as_str().unwrap());
    assert_eq!(span.value("outcome"), "malformed_callback");
    let [malformed] = &observed.of("kycport.login.malformed")[..] else {
        panic!("expected one malformed callback");
    };
    assert_eq!(malformed.value("reference"), span.value("reference"));
}

#[tokio::test]
async fn instances_with_the_same_log_key_use_the_same_pseudonyms() {
    type More = fn(ConfigBuilder) -> ConfigBuilder;
    let (observed, _listening) = Observed::listen();
    let kyc = MockIssuer::start().await;
    let (ada, bob) = (kyc.person("ada").create(), kyc.person("bob").create());
    let name_at = async |more: More, person| {
        let app = serve(&kyc, more).await;
        let login = app.url("/auth/login");
        kyc.browser().sign_in(login, person).await.unwrap();
        let entry = observed.of("kycport.login.signed_in");
        entry.last().unwrap().value("person").to_owned()
    };
    let shared: More = |config| config.log_key("the common log key of these instances");
    let other: More = |config| config.log_key("a different log key of other instances");
    let none: More = |config| config;

    let name = name_at(shared, &ada).await;
    assert_eq!(name.len(), 16);
    assert!(name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(name, name_at(shared, &ada).await);
    assert_ne!(name, name_at(shared, &bob).await);
    assert_ne!(name, name_at(other, &ada).await);
    assert_ne!(name, name_at(none, &ada).await);
    // Without any setting, all log lines of a person in one process contain the same pseudonym.
    assert_eq!(name_at(none, &ada).await, name_at(none, &ada).await);
}

/// Middleware like the tracing middleware of an app. Its fields have the same names as the fields
/// of this crate.
async fn app_span_middleware(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        target: "kycport::the_apps_own",
        "request",
        outcome = Empty,
        reference = Empty,
        person = Empty,
        event = Empty,
        result = Empty
    );
    next.run(request).instrument(span).await
}

#[tokio::test]
async fn a_span_of_the_app_is_not_changed() {
    // The app's span is the enclosing span if this crate's spans are disabled.
    let (observed, _listening) = Observed::listen_to("kycport::the_apps_own=trace");
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T1).create();
    let app = kyc.serve(|config| tenant_app(config).layer(from_fn(app_span_middleware)));
    let app = app.await.unwrap();
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    browser.fetch(app.url("/guarded")).await.unwrap();
    let spans = observed.of("request");
    assert!(spans.len() >= 3);
    assert!(spans.iter().all(|span| span.values.is_empty()), "{spans:?}");
}

fn assert_all_seen<'a>(seen: impl Iterator<Item = &'a str>, rows: &BTreeMap<String, manual::Row>) {
    let seen: BTreeSet<&str> = seen.collect();
    let never: Vec<_> = rows
        .keys()
        .filter(|it| !seen.contains(it.as_str()))
        .collect();
    assert!(
        never.is_empty(),
        "the crate never emits these rows of the manual: {never:?}"
    );
}

fn assert_documented(entry: &Recorded, rows: &BTreeMap<String, manual::Row>) {
    let row = rows.get(entry.name);
    let row = row.unwrap_or_else(|| panic!("{entry:?} is not in the manual"));
    let fields = words(&row["fields"]);
    let said_fields: BTreeSet<String> =
        entry.fields.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(fields, said_fields, "{}", entry.name);
    assert_eq!(words(&row["target"]), [entry.target.to_owned()].into());
    // All spans have one level, and the manual's page states this level above the table.
    let level = row.get("level").map_or("info", String::as_str);
    assert_eq!(level, entry.level, "{}", entry.name);
}

/// Asserts that the output contains no secret, no personal data and no control character.
fn assert_no_canary(canaries: &[String], all: &[Recorded]) {
    assert!(canaries.len() > 30, "{}", canaries.len());
    for entry in all {
        for (field, value) in &entry.values {
            let name = entry.name;
            for canary in canaries {
                assert!(
                    !value.contains(canary.as_str()),
                    "{canary} is in {name} {field}: {value}"
                );
            }
            assert!(!value.contains("canary"), "{name} {field}: {value}");
            assert!(
                !value.contains(char::is_control),
                "{name} {field}: {value:?}"
            );
            assert!(!value.contains("http://"), "{name} {field}: {value}");
        }
    }
}

fn assert_counted(counted: &Snapshotter, canaries: &[String]) {
    let documented = table("Metrics");
    let (operations, results) = (
        table("Operations of the store"),
        table("Results of the store"),
    );
    let mut seen = BTreeSet::new();
    for (key, _, help, value) in counted.snapshot().into_vec() {
        let (kind, key) = (key.kind(), key.key());
        let name = key.name();
        let row = documented.get(name);
        let row = row.unwrap_or_else(|| panic!("{name} is not in the manual"));
        assert_eq!(row["kind"] == "histogram", kind == MetricKind::Histogram);
        assert!(help.is_some(), "{name} has no description");
        let labels: BTreeSet<String> = key.labels().map(|it| it.key().to_owned()).collect();
        assert_eq!(labels, words(&row["labels"]), "{name}");
        for label in key.labels() {
            let value = label.value();
            if name == "kycport_store_duration_seconds" && label.key() == "operation" {
                assert!(operations.contains_key(value), "{value}");
            }
            if name == "kycport_store_duration_seconds" && label.key() == "result" {
                assert!(results.contains_key(value), "{value}");
            }
            let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '-';
            assert!(value.chars().all(is_word), "{name} {label:?}");
            assert!(!canaries.iter().any(|it| it == value), "{name} {label:?}");
        }
        match value {
            DebugValue::Counter(count) => assert!(count > 0, "{name}"),
            DebugValue::Histogram(times) => {
                assert!(
                    times.iter().all(|time| time.0 >= 0.0 && time.0 < 60.0),
                    "{name}"
                );
            }
            DebugValue::Gauge(_) => panic!("{name}"),
        }
        seen.insert(name.to_owned());
    }
    assert_all_seen(seen.iter().map(String::as_str), &documented);
}
