//! Revocation of tokens at KYCPort after a session has ended (RFC 7009).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Extension, Form, Router, http::Method, routing::post};
use kycport::{
    RunningApp,
    mock::{Browser, Endpoint, Fault, MockIssuer},
};
use tokio::sync::{Mutex, Semaphore, mpsc};

use crate::faulty_store::{Op, Stage, TOKENS, stage_on};

type Fields = BTreeMap<String, String>;

/// The revocation endpoint of KYCPort, which the mock does not have.
#[derive(Clone)]
struct Revocations {
    sent: mpsc::UnboundedSender<Fields>,
    received: Arc<Mutex<mpsc::UnboundedReceiver<Fields>>>,
    /// Permits for responses.
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

/// An app whose KYCPort gives refresh tokens and names a revocation endpoint.
async fn stage(is_advertised: bool) -> (Stage, Revocations, (RunningApp, Option<Fault>)) {
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
    let stage = stage_on(kyc, 1000, |config| config.allow_endpoint_origin(origin)).await;
    (stage, revocations, (endpoint, advertised))
}

async fn signed_in(stage: &Stage) -> Browser {
    let browser = stage.kyc.browser();
    let login = stage.app.url("/auth/login");
    browser
        .sign_in(login, &stage.ada)
        .await
        .unwrap()
        .assert_ok();
    browser
}

async fn log_out(stage: &Stage, browser: &Browser, query: &str) {
    let url = stage.app.url(&format!("/auth/logout{query}"));
    let page = browser.request(Method::POST, url).fetch().send().await;
    page.unwrap().assert_status(204);
}

/// The stored tokens, the refresh token first.
async fn stored(stage: &Stage) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let records = stage.store.records(TOKENS).await;
    let pairs = records.iter();
    pairs
        .map(|it| (text(&it["refresh_token"]), text(&it["access_token"])))
        .collect()
}

#[tokio::test]
async fn a_logout_revokes_both_tokens_and_does_not_wait_for_it() {
    let (stage, revocations, _kept) = stage(true).await;
    let browser = signed_in(&stage).await;
    let tokens = stored(&stage).await;
    // KYCPort does not respond.
    let held = revocations.may_respond.clone();
    held.forget_permits(1000);
    log_out(&stage, &browser, "").await;
    assert_eq!(stored(&stage).await, []);
    let first = revocations.next().await;
    assert_eq!(first["token"], tokens[0].0);
    assert_eq!(first["token_type_hint"], "refresh_token");
    assert_eq!(first["client_id"], stage.kyc.client().id());
    assert_eq!(first["client_secret"], stage.kyc.client().secret().unwrap());
    held.add_permits(1000);
    let second = revocations.next().await;
    assert_eq!(second["token"], tokens[0].1);
    assert_eq!(second["token_type_hint"], "access_token");
}

#[tokio::test]
async fn a_logout_everywhere_revokes_the_tokens_of_all_sessions() {
    let (stage, revocations, _kept) = stage(true).await;
    let (here, _there) = (signed_in(&stage).await, signed_in(&stage).await);
    let mut tokens: Vec<_> = stored(&stage).await;
    log_out(&stage, &here, "?everywhere=1").await;
    assert_eq!(stored(&stage).await, []);
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
async fn tokens_of_a_refresh_that_a_logout_overtook_are_neither_stored_nor_left_valid() {
    let (stage, revocations, _kept) = stage(true).await;
    let browser = signed_in(&stage).await;
    stage.kyc.clock().advance(Duration::from_secs(16 * 60));
    let gate = stage.kyc.on(Endpoint::Token).after().hold();
    let (other, url) = (browser.clone(), stage.app.url("/token"));
    let refreshing = tokio::spawn(async move { other.fetch(url).await.unwrap() });
    gate.wait_for(1).await;
    let old = stored(&stage).await;
    log_out(&stage, &browser, "").await;
    for expected in [&old[0].0, &old[0].1] {
        assert_eq!(revocations.next().await["token"], *expected);
    }
    gate.release();
    refreshing.await.unwrap().assert_status(502);
    assert_eq!(stored(&stage).await, []);
    for expected in [&old[0].0, &old[0].1] {
        let dropped = revocations.next().await;
        assert_ne!(dropped["token"], *expected);
    }
}

#[tokio::test]
async fn without_an_endpoint_a_logout_reads_and_sends_nothing_more() {
    let (stage, revocations, _kept) = stage(false).await;
    let browser = signed_in(&stage).await;
    stage.store.forget();
    log_out(&stage, &browser, "").await;
    assert_eq!(stage.store.count(Op::Read), 0);
    assert_eq!(stored(&stage).await, []);
    revocations.assert_empty().await;
}
