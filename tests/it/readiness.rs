//! Readiness of an instance: whether its store works, checked at most once a second.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::Method};
use kycport::{
    MemoryStore, RelyingParty, RunningApp, TestClock, Timestamp,
    mock::{Endpoint, MockIssuer},
    store::StoreError,
};
use serde_json::json;

use crate::{
    engines::Engine,
    faulty_store::{FaultyStore, Op},
};

const SECOND: Duration = Duration::from_secs(1);

/// An app with a probe's route, over a store that can fail.
struct Stage {
    kyc: MockIssuer,
    app: RunningApp,
    party: RelyingParty,
    store: FaultyStore,
    /// Time of the app.
    clock: TestClock,
}

impl Stage {
    async fn new() -> Self {
        let kyc = MockIssuer::start().await;
        let store = FaultyStore::over(MemoryStore::new(100, Arc::new(kyc.clock().clone())));
        Self::over(kyc, store).await
    }

    async fn over(kyc: MockIssuer, store: FaultyStore) -> Self {
        let clock = TestClock::new();
        clock.freeze();
        let mut party = None;
        let app = kyc.serve(|config| {
            let config = config.store(store.clone()).clock(clock.clone());
            let own = RelyingParty::new(config.build().unwrap()).unwrap();
            let app = Router::new().route("/ready", own.ready_route());
            party = Some(own);
            app
        });
        Self {
            app: app.await.unwrap(),
            party: party.unwrap(),
            kyc,
            store,
            clock,
        }
    }

    /// Asserts what a probe is answered.
    async fn assert_answer(&self, status: u16, store: &str, kycport: &str) {
        let browser = self.kyc.browser();
        let page = browser.request(Method::GET, self.app.url("/ready"));
        let page = page.fetch().send().await.unwrap();
        page.assert_status(status);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("content-type"), Some("application/json"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let policy = page.header("cross-origin-resource-policy");
        assert_eq!(policy, Some("same-origin"));
        let ready = status == 200;
        let expected = json!({ "ready": ready, "store": store, "kycport": kycport });
        assert_eq!(page.json(), expected);
    }

    async fn assert_ready(&self) {
        self.assert_answer(200, "ok", "ok").await;
    }

    async fn assert_not_ready(&self) {
        self.assert_answer(503, "unavailable", "ok").await;
    }
}

#[tokio::test]
async fn an_instance_is_ready_while_its_store_works() {
    // case 95
    let stage = Stage::new().await;
    for error in [
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
    ] {
        stage.assert_ready().await;
        stage.store.fail_with(Op::Check, error);
        stage.clock.advance(SECOND);
        stage.assert_not_ready().await;
        // It recovers by itself.
        stage.store.heal();
        stage.clock.advance(SECOND);
    }
    stage.assert_ready().await;
}

#[tokio::test]
async fn a_store_that_is_read_only_makes_an_instance_unready() {
    // A probe that only read would not notice.
    let stage = Stage::new().await;
    for op in [Op::Write, Op::Revoke, Op::Acquire, Op::Settle, Op::Check] {
        stage.store.fail_with(op, StoreError::ReadOnly);
    }
    stage.assert_not_ready().await;
    assert!(!stage.party.readiness().await.is_ready());
}

#[tokio::test]
async fn kycport_being_down_does_not_make_an_instance_unready() {
    let stage = Stage::new().await;
    stage.assert_ready().await;
    stage.assert_ready().await;
    stage.kyc.requests(Endpoint::Discovery).assert_count(1);
    let hanging = Stage::over(stage.kyc.clone(), stage.store.clone()).await;
    let fault = stage.kyc.on(Endpoint::Discovery).hang().always();
    hanging.assert_answer(200, "ok", "unavailable").await;
    drop(fault);
    let late = Stage::over(stage.kyc.clone(), stage.store.clone()).await;
    stage.kyc.stop().unwrap();
    late.assert_answer(200, "ok", "unavailable").await;
    // Known metadata is used for a while.
    stage.assert_ready().await;
}

#[tokio::test]
async fn any_number_of_probes_check_the_store_once_a_second() {
    let stage = Stage::new().await;
    for _ in 0..10 {
        stage.assert_ready().await;
        assert!(stage.party.readiness().await.store);
    }
    assert_eq!(stage.store.count(Op::Check), 1);
    // Within the second a failure is not noticed, and neither is that it is over.
    stage.store.fail_with(Op::Check, StoreError::ReadOnly);
    stage
        .clock
        .advance(SECOND.saturating_sub(Duration::from_millis(1)));
    stage.assert_ready().await;
    stage.clock.advance(Duration::from_millis(1));
    stage.assert_not_ready().await;
    stage.store.heal();
    stage.assert_not_ready().await;
    assert_eq!(stage.store.count(Op::Check), 2);
    stage.clock.advance(SECOND);
    stage.assert_ready().await;
    assert_eq!(stage.store.count(Op::Check), 3);
    assert_eq!(stage.store.operations(), 3);
}

#[tokio::test]
async fn the_second_is_one_of_the_monotonic_clock() {
    let stage = Stage::new().await;
    stage.assert_ready().await;
    for seconds in [0, 4_000_000_000] {
        stage.clock.jump_to(Timestamp::from_unix(seconds));
        let _ = stage.party.readiness().await;
    }
    assert_eq!(stage.store.count(Op::Check), 1);
}

#[tokio::test]
async fn probes_that_wait_for_a_slow_store_share_its_answer() {
    let stage = Stage::new().await;
    let gate = stage.store.hold_with(Op::Check);
    let probes = (0..10).map(|_| stage.party.readiness());
    let slowly = async {
        gate.reached().await;
        // The check takes longer than its result is shared for.
        stage.clock.advance(10 * SECOND);
        gate.open();
    };
    let (probes, ()) = tokio::join!(futures_util::future::join_all(probes), slowly);
    assert!(probes.iter().all(|it| it.store));
    assert_eq!(stage.store.count(Op::Check), 1);
}

#[tokio::test]
async fn a_probe_that_gives_up_does_not_hold_up_the_next() {
    let stage = Stage::new().await;
    let gate = stage.store.hold_with(Op::Check);
    let first = {
        let party = stage.party.clone();
        tokio::spawn(async move { party.readiness().await })
    };
    gate.reached().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    stage.store.heal();
    stage.assert_ready().await;
}

#[tokio::test]
async fn an_instance_is_ready_on_every_engine() {
    let kyc = MockIssuer::start().await;
    for engine in Engine::all(&kyc).await {
        let config = kyc.config("http://127.0.0.1:9/auth/callback");
        let config = engine.configure(config).build().unwrap();
        let party = RelyingParty::new(config).unwrap();
        let readiness = party.readiness().await;
        assert!(readiness.is_ready(), "{}", engine.name());
        assert!(readiness.kycport);
    }
}
