//! Tests that revocations and logins can run concurrently on every engine, also with different
//! encryption keys.

use axum::{Router, http::Method};
use futures_util::future::join_all;
use kycport::{
    ConfigBuilder, KycStatus, KycTier, RelyingParty, RunningApp,
    mock::{Browser, MockIssuer, Person},
    store::{Change, Condition, Store as _, StoreError, Write},
    web::{Delivery, Sessions},
};

use crate::{
    engines::{Engine, FIRST_KEY as FIRST, SECOND_KEY as SECOND, balanced},
    recording_store::{Kind, Op, RecordingStore, SESSION, TOKENS},
    support::tenant_app_of,
};

const COOKIE: &str = "__Host-kycport";

async fn signed_in(kyc: &MockIssuer, app: &RunningApp, person: &Person) -> Browser {
    let browser = kyc.browser();
    let page = browser.sign_in(app.url("/auth/login"), person).await;
    page.unwrap().assert_ok();
    browser
}

/// Asserts that both instances return the same status for `/auth/me`, and returns this status.
async fn me_at_both_instances(app: &RunningApp, browser: &Browser) -> u16 {
    let url = app.url("/auth/me");
    let one = browser.fetch(&url).await.unwrap().status();
    let other = browser.fetch(&url).await.unwrap().status();
    assert_eq!(one, other);
    one
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_created_before_a_revocation_is_invalid() {
    // Covers threat case 98.
    for engine in Engine::all(&MockIssuer::start().await).await {
        let kyc = MockIssuer::start().await;
        let engine = engine.aging_with(&kyc);
        let app = balanced(&kyc, |config| engine.instance(config)).await;
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        let handles = [engine.sessions(&kyc), engine.sessions(&kyc)];
        for round in 0..3 {
            let place = format!("{}, round {round}", engine.name());
            revoke_during_logins(&kyc, &app, &ada, &handles, &place).await;
        }
    }
}

async fn revoke_during_logins(
    kyc: &MockIssuer,
    app: &RunningApp,
    ada: &Person,
    handles: &[Sessions; 2],
    place: &str,
) {
    let before = join_all((0..3).map(|_| signed_in(kyc, app, ada))).await;
    let meanwhile: Vec<Browser> = (0..8).map(|_| kyc.browser()).collect();
    let login = app.url("/auth/login");
    let begun = join_all(meanwhile.iter().map(|it| it.start_sign_in(&login, ada))).await;
    let begin = meanwhile
        .iter()
        .zip(begun)
        .map(|(browser, callback)| async {
            let page = browser.open(callback.unwrap()).await.unwrap();
            // The login creates the session before or after the last revocation.
            if page.status() != 303 {
                page.assert_status(401);
                assert!(page.body().contains("You were signed out"), "{place}");
            }
        });
    // Two session administrations revoke all sessions while these logins complete.
    let end = handles.each_ref().map(|handle| handle.revoke_all(ada.id()));
    let (ended, _) = tokio::join!(join_all(end), join_all(begin));
    assert_eq!(ended, [Ok(()), Ok(())], "{place}");
    let after = join_all((0..2).map(|_| signed_in(kyc, app, ada))).await;

    for browser in &before {
        assert_eq!(me_at_both_instances(app, browser).await, 401, "{place}");
    }
    for browser in &after {
        assert_eq!(me_at_both_instances(app, browser).await, 200, "{place}");
    }
    // Each of these sessions is either revoked or valid. For one session, all instances return the
    // same status.
    let mut alive = after.len();
    for browser in &meanwhile {
        match me_at_both_instances(app, browser).await {
            200 => alive += 1,
            other => assert_eq!(other, 401, "{place}"),
        }
    }
    let listed = handles[0].list(ada.id()).await.unwrap();
    assert!(listed.len() <= alive, "{place}");
    handles[1].revoke_all(ada.id()).await.unwrap();
    for browser in before.iter().chain(&meanwhile).chain(&after) {
        assert_eq!(me_at_both_instances(app, browser).await, 401, "{place}");
    }
    assert_eq!(handles[0].list(ada.id()).await, Ok(vec![]), "{place}");
}

/// Returns the status of `/auth/me` at `app` with the session cookie from `home`.
async fn seen_by(app: &RunningApp, home: &RunningApp, browser: &Browser) -> u16 {
    let key = browser.cookie(home.url("/"), COOKIE).unwrap();
    let request = browser.request(Method::GET, app.url("/auth/me"));
    let request = request.header("cookie", &format!("{COOKIE}={key}"));
    request.fetch().send().await.unwrap().status()
}

#[tokio::test]
async fn a_revocation_applies_to_instances_with_different_keys() {
    // Covers threat case 94.
    for engine in Engine::all(&MockIssuer::start().await).await {
        if engine.is_sealed() {
            revoke_with_an_older_primary_key(&engine).await;
        }
    }
}

async fn revoke_with_an_older_primary_key(engine: &Engine) {
    let kyc = MockIssuer::start().await;
    let engine = engine.aging_with(&kyc);
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let serve = async |keys: &str| {
        let engine = engine.sealed_with(keys);
        let app = kyc.serve(|config| engine.instance(config)).await;
        app.unwrap()
    };
    let new = serve(&format!("{SECOND} {FIRST}")).await;
    let only_new = serve(SECOND).await;
    let place = engine.name();
    let browser = signed_in(&kyc, &new, &ada).await;
    assert_eq!(seen_by(&only_new, &new, &browser).await, 200, "{place}");

    let old = engine.sealed_with(&format!("{FIRST} {SECOND}"));
    let old = old.sessions(&kyc);
    old.revoke_all(ada.id()).await.unwrap();
    for app in [&new, &only_new] {
        assert_eq!(seen_by(app, &new, &browser).await, 401, "{place}");
    }

    let after = signed_in(&kyc, &only_new, &ada).await;
    for app in [&new, &only_new] {
        assert_eq!(seen_by(app, &only_new, &after).await, 200, "{place}");
        assert_eq!(seen_by(app, &new, &browser).await, 401, "{place}");
    }
    old.revoke_all(ada.id()).await.unwrap();
    for app in [&new, &only_new] {
        assert_eq!(seen_by(app, &only_new, &after).await, 401, "{place}");
    }
}

#[tokio::test]
async fn an_encrypted_record_copied_to_another_key_is_rejected() {
    // Covers threat cases 93, 94.
    for engine in Engine::all(&MockIssuer::start().await).await {
        if engine.is_sealed() {
            copy_records_between_sessions(&engine).await;
        }
    }
}

/// Simulates an attacker with write access to the store who replaces Eve's records by Ada's
/// records.
async fn copy_records_between_sessions(engine: &Engine) {
    let kyc = MockIssuer::start().await;
    let engine = engine.aging_with(&kyc);
    let store = engine.recording_store();
    let app = kyc.serve(|config| {
        let config = engine.configure_over(config, store.clone());
        tenant_app_of(&RelyingParty::new(config.build().unwrap()).unwrap())
    });
    let app = app.await.unwrap();
    let [ada, eve] = ["ada", "eve"].map(|slug| kyc.person(slug).tier(KycTier::T2).create());
    signed_in(&kyc, &app, &ada).await;
    let mut of_ada = Vec::new();
    for kind in [TOKENS, SESSION] {
        let found = store.entries(|key| Kind::Record(key.family) == kind).await;
        of_ada.extend(found);
    }
    let browser = signed_in(&kyc, &app, &eve).await;
    for ((ada_owner, key, entry), page) in of_ada.into_iter().zip(["/token", "/vault"]) {
        browser.open(app.url(page)).await.unwrap().assert_ok();
        let found = store.entries(|own| own.family == key.family).await;
        let of_eve = found.into_iter().find(|(owner, ..)| *owner != ada_owner);
        let (eve_owner, eve_key, _) = of_eve.unwrap();
        let write = Write {
            key: eve_key,
            condition: Condition::Any,
            change: Change::Put {
                version: 1,
                body: entry.body,
                keep_for: std::time::Duration::from_secs(3600),
            },
        };
        let _ = store.write(&eve_owner, &[write], None).await.unwrap();
        let answer = browser.open(app.url(page)).await.unwrap();
        assert_ne!(answer.status(), 200, "{}, {page}", engine.name());
        assert!(!answer.body().contains(ada.id()));
    }
}

/// Handler that the manual shows.
async fn end_if_rejected(sessions: Sessions, delivery: Delivery) -> Result<(), StoreError> {
    let is_rejected = delivery
        .assurance()
        .is_some_and(|it| it.kyc_status == Some(KycStatus::Rejected));
    if let (true, Some(person)) = (is_rejected, delivery.event().person_id()) {
        sessions.revoke_all(person).await?;
    }
    Ok(())
}

fn instance(engine: &Engine, store: &RecordingStore, config: ConfigBuilder) -> Router {
    let config = engine.configure_over(config, store.clone());
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let sessions = kycport.sessions();
    let webhooks = kycport.webhooks(move |delivery| end_if_rejected(sessions.clone(), delivery));
    let receiver = webhooks.build().unwrap();
    tenant_app_of(&kycport).route_service("/webhooks/kycport", receiver)
}

#[tokio::test]
async fn the_handler_of_a_rejection_event_revokes_all_sessions() {
    // Covers threat case 131.
    for engine in Engine::all(&MockIssuer::start().await).await {
        let kyc = MockIssuer::start().await;
        assert_rejection_revokes(&kyc, &engine.aging_with(&kyc)).await;
    }
}

async fn assert_rejection_revokes(kyc: &MockIssuer, engine: &Engine) {
    let store = engine.recording_store();
    let app = balanced(kyc, |config| instance(engine, &store, config)).await;
    kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
    let [ada, eve] = ["ada", "eve"].map(|slug| kyc.person(slug).tier(KycTier::T2).create());
    let here = signed_in(kyc, &app, &ada).await;
    let there = signed_in(kyc, &app, &ada).await;
    let other = signed_in(kyc, &app, &eve).await;
    let place = engine.name();

    // The store rejects the revocation. The handler returns an error, so KYCPort redelivers the
    // event.
    kyc.clock().advance(std::time::Duration::from_secs(1));
    store.fail_on(Op::Revoke, SESSION);
    ada.reject();
    kyc.webhooks().settled().await;
    let deliveries = kyc.webhooks().deliveries();
    assert_eq!(deliveries.last().unwrap().status(), Some(500), "{place}");
    assert_eq!(me_at_both_instances(&app, &here).await, 200, "{place}");
    store.heal();
    kyc.clock()
        .jump_to(kyc.webhooks().next_attempt_at().unwrap());
    kyc.webhooks().settled().await;
    let deliveries = kyc.webhooks().deliveries();
    assert_eq!(deliveries.last().unwrap().status(), Some(200), "{place}");
    for browser in [&here, &there] {
        assert_eq!(me_at_both_instances(&app, browser).await, 401, "{place}");
    }
    assert_eq!(me_at_both_instances(&app, &other).await, 200, "{place}");

    // A later login creates a session, but the person stays rejected. A repeated delivery of the
    // event revokes no session.
    let again = signed_in(kyc, &app, &ada).await;
    kyc.webhooks().repeat(deliveries.last().unwrap());
    kyc.webhooks().settled().await;
    assert_eq!(me_at_both_instances(&app, &again).await, 200, "{place}");
    let page = again.fetch(app.url("/guarded")).await.unwrap();
    assert_eq!(page.json()["code"], "rejected", "{place}");
}
