//! What is kept on a server leaves it by itself: each kind of record when nobody needs it any more.

use std::time::Duration;

use fred::interfaces::KeysInterface as _;
use kycport::{
    KycTier, RelyingParty,
    mock::{Endpoint, MockIssuer, MockIssuerBuilder},
};
use sqlx::PgPool;
use tower_sessions::{ExpiredDeletion as _, session::Id};
use tower_sessions_sqlx_store::PostgresStore;

use crate::{
    engines::{Engine, postgres},
    faulty_store::{ACTIVITY, EPOCH, FaultyStore, LOGIN, Op, RENEWAL, SESSION, SIGN_INS, TOKENS},
    servers,
    stages::stage_on_engine,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long a record of each kind is kept.
const KEPT: [(&str, u64); 8] = [
    (LOGIN, 20 * MINUTE),
    ("login-taken", 20 * MINUTE),
    ("browser-logins", 20 * MINUTE),
    (SESSION, 12 * HOUR),
    (ACTIVITY, 12 * HOUR),
    (TOKENS, 12 * HOUR),
    (SIGN_INS, 12 * HOUR),
    (EPOCH, 60 * DAY),
];

/// The clock of the app has moved by so much when the last was written.
const LATER: u64 = 16 * MINUTE;

/// Writes a record of every kind there is, once and over it.
async fn all_kinds(engine: &Engine) -> FaultyStore {
    let renewing = |mock: MockIssuerBuilder| mock.issue_refresh_tokens(true);
    let kyc = renewing(MockIssuer::builder()).start().await.unwrap();
    let stage = stage_on_engine(kyc, engine, |config| config).await;
    let login = stage.app.url("/auth/login");
    let browser = stage.kyc.browser();
    for _ in 0..2 {
        browser.sign_in(&login, &stage.ada).await.unwrap();
        browser.start_sign_in(&login, &stage.ada).await.unwrap();
    }
    for seconds in [2 * MINUTE, LATER - 2 * MINUTE] {
        stage.kyc.clock().advance(Duration::from_secs(seconds));
        let page = browser.open(stage.app.url("/token")).await.unwrap();
        page.assert_ok();
    }
    for _ in 0..2 {
        let config = stage.kyc.config("http://127.0.0.1:9/auth/callback");
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let layer = engine.faulty_layer(&kycport, stage.store.clone());
        layer.sessions().end_all(stage.ada.id()).await.unwrap();
    }
    let written = stage.store.written();
    for (kind, _) in KEPT {
        assert!(written.values().any(|own| own == kind), "{kind}");
    }
    stage.store
}

/// Holds what the server says against the table.
fn assert_kept(id: Id, kind: &str, seconds: i64) {
    // Gone by now, or a trial.
    let Some((_, most)) = KEPT.iter().find(|(own, _)| *own == kind) else {
        return assert!(seconds <= 600, "{kind}");
    };
    let most = i64::try_from(most + LATER).unwrap();
    assert!((1..=most).contains(&seconds), "{id} {kind}: {seconds}");
}

#[tokio::test]
async fn a_redis_forgets_every_record_by_itself() {
    // case 100
    let Some(engine) = Engine::redis().await else {
        return;
    };
    let pool = servers::redis().unwrap().redis_pool().await;
    for engine in [engine.sealed(), engine] {
        let store = all_kinds(&engine).await;
        let mut found = 0;
        for (id, kind) in store.written() {
            // -2: there is none; -1: it is kept for ever.
            let seconds: i64 = pool.ttl(id.to_string()).await.unwrap();
            if seconds != -2 {
                found += 1;
                assert_kept(id, &kind, seconds);
            }
        }
        assert!(found >= KEPT.len());
    }
}

#[tokio::test]
async fn a_redis_forgets_the_lease_of_an_instance_that_died() {
    // cases 54, 100
    let Some(engine) = Engine::redis().await else {
        return;
    };
    let pool = servers::redis().unwrap().redis_pool().await;
    let kyc = MockIssuer::builder().issue_refresh_tokens(true).start();
    let stage = stage_on_engine(kyc.await.unwrap(), &engine, |config| config).await;
    let browser = stage.kyc.browser();
    let login = stage.app.url("/auth/login");
    browser.sign_in(login, &stage.ada).await.unwrap();
    // By Redis's clock, so the app's stays: the token has run out because it says so.
    let run_out = |record: &mut serde_json::Value| record["body"]["expires_at"] = 0.into();
    stage.store.rewrite(TOKENS, run_out).await;
    stage.store.fail_on(Op::Delete, RENEWAL);
    let fault = stage.kyc.on(Endpoint::Token).fail(503).once();
    let token = async || browser.open(stage.app.url("/token")).await.unwrap();
    token().await.assert_status(502);
    fault.assert_hit();
    stage.store.heal();

    let written = stage.store.written();
    let (id, _) = written.iter().find(|(_, kind)| *kind == RENEWAL).unwrap();
    let seconds: i64 = pool.ttl(id.to_string()).await.unwrap();
    assert!((60..=120).contains(&seconds), "{seconds}");
    // Its time is nearly over, and the other instance waits.
    let () = pool.pexpire(id.to_string(), 300, None).await.unwrap();
    token().await.assert_ok();
    stage.kyc.requests(Endpoint::Token).assert_count(3);
}

/// The ids, and for how many seconds yet, of what is in the table.
async fn rows(pool: &PgPool, store: &FaultyStore) -> Vec<(Id, i64)> {
    let ids: Vec<String> = store.written().keys().map(Id::to_string).collect();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT id, extract(epoch FROM expiry_date - now())::int8 \
         FROM tower_sessions.session WHERE id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(pool)
    .await
    .unwrap();
    let parsed = rows
        .into_iter()
        .map(|(id, left)| (id.parse().unwrap(), left));
    parsed.collect()
}

#[tokio::test]
async fn a_postgres_forgets_every_record_when_it_is_swept() {
    // case 100
    let Some(pool) = postgres().await else {
        return;
    };
    let engine = Engine::on_postgres(pool.clone());
    for engine in [engine.sealed(), engine] {
        let store = all_kinds(&engine).await;
        let written = store.written();
        let found = rows(&pool, &store).await;
        assert!(found.len() >= KEPT.len());
        for (id, seconds) in &found {
            assert_kept(*id, &written[id], *seconds);
        }
        // Their time is over.
        let age = "UPDATE tower_sessions.session SET expiry_date = now() - interval '1 second' \
                   WHERE id = ANY($1)";
        let ids: Vec<String> = found.iter().map(|(id, _)| id.to_string()).collect();
        let (kept, aged) = ids.split_first().unwrap();
        sqlx::query(age).bind(aged).execute(&pool).await.unwrap();
        assert_eq!(store.len().await, 1, "nobody reads what is over");
        let sweeping =
            PostgresStore::new(pool.clone()).continuously_delete_expired(Duration::from_millis(10));
        let sweeping = tokio::spawn(sweeping);
        let mut left = rows(&pool, &store).await;
        for _ in 0..10_000 {
            if left.len() == 1 {
                break;
            }
            left = rows(&pool, &store).await;
        }
        sweeping.abort();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].0.to_string(), *kept);
    }
}

#[tokio::test]
async fn a_claim_is_forgotten_with_its_login() {
    // cases 35, 100
    let Some(pool) = postgres().await else {
        return;
    };
    let kyc = MockIssuer::start().await;
    let engine = Engine::on_postgres(pool.clone());
    let stage = stage_on_engine(kyc, &engine, |config| config).await;
    let ada = stage.kyc.person("eve").tier(KycTier::T2).create();
    let browser = stage.kyc.browser();
    let callback = browser.start_sign_in(stage.app.url("/auth/login"), &ada);
    let callback = callback.await.unwrap();
    browser.open(&callback).await.unwrap().assert_status(303);
    let state = callback.query_pairs().find(|(name, _)| name == "state");
    let key = kycport::webhook::EventKey::of(&format!("login {}", state.unwrap().1));
    let left: i64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM keep_until - now())::int8 FROM kycport_webhook_events \
         WHERE key = $1",
    )
    .bind(key.as_str())
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!((600..=1200).contains(&left), "{left}");
}
