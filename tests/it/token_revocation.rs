//! Tests that the crate revokes tokens at KYCPort after a session ends (RFC 7009).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Extension, Form, Router, http::Method, routing::post};
use kycport::{
    RunningApp,
    mock::{Browser, Endpoint, Fault, MockIssuer},
};
use tokio::sync::{Mutex, Semaphore, mpsc};

use crate::recording_store::{Op, TOKENS, TestApp, setup_on};

type Fields = BTreeMap<String, String>;

/// Revocation endpoint of KYCPort. The mock has no revocation endpoint.
#[derive(Clone)]
struct Revocations {
    sent: mpsc::UnboundedSender<Fields>,
    received: Arc<Mutex<mpsc::UnboundedReceiver<Fields>>>,
    /// Semaphore whose permits release the responses.
    may_respond: Arc<Semaphore>,
}

impl Revocations {
    async fn next(&self) -> Fields {
        let mut received = self.received.lock().await;
        let next = tokio::time::timeout(Duration::from_secs(20), received.recv());
        next.await.unwrap().unwrap()
    }

    async fn assert_empty(&self) {
        assert!(self.received.lock().await.try_recv().is_err());
    }
}

async fn revoke(Extension(revocations): Extension<Revocations>, Form(fields): Form<Fields>) {
    revocations.sent.send(fields).unwrap();
    revocations.may_respond.acquire().await.unwrap().forget();
}

/// Starts an app. KYCPort issues refresh tokens. If `is_advertised` is true, the discovery document
/// also contains a revocation endpoint.
async fn setup(is_advertised: bool) -> (TestApp, Revocations, (RunningApp, Option<Fault>)) {
    let (sent, received) = mpsc::unbounded_channel();
    let revocations = Revocations {
        sent,
        received: Arc::new(Mutex::new(received)),
        may_respond: Arc::new(Semaphore::new(1000)),
    };
    let kyc = MockIssuer::builder().issue_refresh_tokens(true).start();
    let kyc = kyc.await.unwrap();
    let router = Router::new()
        .route("/revoke", post(revoke))
        .layer(Extension(revocations.clone()));
    let endpoint = kyc.serve(|_| router).await.unwrap();
    let url = endpoint.url("/revoke");
    let edit = kyc.edit_discovery(move |document| {
        document["revocation_endpoint"] = url.clone().into();
    });
    let advertised = is_advertised.then(|| edit.always());
    let origin = endpoint.url("");
    let setup = setup_on(kyc, 1000, |config| config.allow_endpoint_origin(origin)).await;
    (setup, revocations, (endpoint, advertised))
}

async fn signed_in(setup: &TestApp) -> Browser {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    browser
        .sign_in(login, &setup.ada)
        .await
        .unwrap()
        .assert_ok();
    browser
}

async fn log_out(setup: &TestApp, browser: &Browser, query: &str) {
    let url = setup.app.url(&format!("/auth/logout{query}"));
    let page = browser.request(Method::POST, url).fetch().send().await;
    page.unwrap().assert_status(204);
}

/// Returns the stored tokens of each session. The refresh token comes first.
async fn stored(setup: &TestApp) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let records = setup.store.records(TOKENS).await;
    let pairs = records.iter();
    pairs
        .map(|it| (text(&it["refresh_token"]), text(&it["access_token"])))
        .collect()
}

#[tokio::test]
async fn a_logout_revokes_both_tokens_without_waiting() {
    let (setup, revocations, _kept) = setup(true).await;
    let browser = signed_in(&setup).await;
    let tokens = stored(&setup).await;
    // The revocation endpoint does not respond.
    let held = revocations.may_respond.clone();
    held.forget_permits(1000);
    log_out(&setup, &browser, "").await;
    assert_eq!(stored(&setup).await, []);
    let first = revocations.next().await;
    assert_eq!(first["token"], tokens[0].0);
    assert_eq!(first["token_type_hint"], "refresh_token");
    assert_eq!(first["client_id"], setup.kyc.client().id());
    assert_eq!(first["client_secret"], setup.kyc.client().secret().unwrap());
    held.add_permits(1000);
    let second = revocations.next().await;
    assert_eq!(second["token"], tokens[0].1);
    assert_eq!(second["token_type_hint"], "access_token");
}

#[tokio::test]
async fn a_logout_everywhere_revokes_the_tokens_of_all_sessions() {
    let (setup, revocations, _kept) = setup(true).await;
    let (here, _there) = (signed_in(&setup).await, signed_in(&setup).await);
    let mut tokens: Vec<_> = stored(&setup).await;
    log_out(&setup, &here, "?everywhere=1").await;
    assert_eq!(stored(&setup).await, []);
    let mut revoked = Vec::new();
    for _ in 0..2 {
        let (refresh, access) = (revocations.next().await, revocations.next().await);
        revoked.push((refresh["token"].clone(), access["token"].clone()));
    }
    tokens.sort();
    revoked.sort();
    assert_eq!(revoked, tokens);
}

#[tokio::test]
async fn tokens_refreshed_during_a_logout_are_revoked_and_not_stored() {
    let (setup, revocations, _kept) = setup(true).await;
    let browser = signed_in(&setup).await;
    setup.kyc.clock().advance(Duration::from_secs(16 * 60));
    let gate = setup.kyc.on(Endpoint::Token).after().hold();
    let (other, url) = (browser.clone(), setup.app.url("/token"));
    let refreshing = tokio::spawn(async move { other.fetch(url).await.unwrap() });
    gate.wait_for(1).await;
    let old = stored(&setup).await;
    log_out(&setup, &browser, "").await;
    for expected in [&old[0].0, &old[0].1] {
        assert_eq!(revocations.next().await["token"], *expected);
    }
    gate.release();
    refreshing.await.unwrap().assert_status(502);
    assert_eq!(stored(&setup).await, []);
    for expected in [&old[0].0, &old[0].1] {
        let dropped = revocations.next().await;
        assert_ne!(dropped["token"], *expected);
    }
}

#[tokio::test]
async fn simultaneous_sign_outs_everywhere_revoke_each_token_once() {
    let (setup, revocations, _kept) = setup(true).await;
    let browser = signed_in(&setup).await;
    // All sign-outs read the tokens before any sign-out deletes them.
    setup.store.let_meet(Op::List, TOKENS, 3);
    let copies = [browser.clone(), browser.clone(), browser];
    let all = copies
        .iter()
        .map(|copy| log_out(&setup, copy, "?everywhere=1"));
    futures_util::future::join_all(all).await;
    revocations.next().await;
    revocations.next().await;
    // A logout of another session follows all revocations of the first session.
    let other = signed_in(&setup).await;
    let tokens = stored(&setup).await;
    log_out(&setup, &other, "").await;
    assert_eq!(revocations.next().await["token"], tokens[0].0);
}

#[tokio::test]
async fn a_logout_revokes_the_tokens_while_the_metadata_is_stale() {
    let (setup, revocations, _kept) = setup(true).await;
    let browser = signed_in(&setup).await;
    let tokens = stored(&setup).await;
    setup.kyc.clock().advance(Duration::from_secs(30 * 60));
    let _fault = setup.kyc.on(Endpoint::Discovery).fail(503).always();
    log_out(&setup, &browser, "").await;
    for expected in [&tokens[0].0, &tokens[0].1] {
        assert_eq!(revocations.next().await["token"], *expected);
    }
}

#[tokio::test]
async fn without_a_revocation_endpoint_a_logout_sends_no_token() {
    let (setup, revocations, _kept) = setup(false).await;
    let browser = signed_in(&setup).await;
    setup.store.forget();
    log_out(&setup, &browser, "").await;
    // The logout reads the session, and not the tokens.
    assert_eq!(setup.store.count(Op::Read), 1);
    assert_eq!(stored(&setup).await, []);
    revocations.assert_empty().await;
}
