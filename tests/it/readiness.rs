//! Tests that the readiness route reports whether an instance can reach its store. An instance is
//! ready if its store works. The instance checks the store at most once per second.

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
    recording_store::{Op, RecordingStore},
};

const SECOND: Duration = Duration::from_secs(1);

/// App with a readiness route, on a store that can fail.
struct ReadinessTest {
    kyc: MockIssuer,
    app: RunningApp,
    party: RelyingParty,
    store: RecordingStore,
    /// Clock of the app.
    clock: TestClock,
}

impl ReadinessTest {
    async fn new() -> Self {
        let kyc = MockIssuer::start().await;
        let store = RecordingStore::over(MemoryStore::new(100, Arc::new(kyc.clock().clone())));
        Self::over(kyc, store).await
    }

    async fn over(kyc: MockIssuer, store: RecordingStore) -> Self {
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

    /// Asserts the response of the readiness probe.
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
    // Covers threat case 95.
    let setup = ReadinessTest::new().await;
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
        setup.assert_ready().await;
        setup.store.fail_with(Op::Check, error);
        setup.clock.advance(SECOND);
        setup.assert_not_ready().await;
        // The instance becomes ready again without a restart.
        setup.store.heal();
        setup.clock.advance(SECOND);
    }
    setup.assert_ready().await;
}

#[tokio::test]
async fn a_read_only_store_makes_an_instance_unready() {
    // A probe that only reads would not detect a read-only store.
    let setup = ReadinessTest::new().await;
    for op in [Op::Write, Op::Revoke, Op::Acquire, Op::Settle, Op::Check] {
        setup.store.fail_with(op, StoreError::ReadOnly);
    }
    setup.assert_not_ready().await;
    assert!(!setup.party.readiness().await.is_ready());
}

#[tokio::test]
async fn a_kycport_outage_does_not_make_an_instance_unready() {
    let setup = ReadinessTest::new().await;
    setup.assert_ready().await;
    setup.assert_ready().await;
    setup.kyc.requests(Endpoint::Discovery).assert_count(1);
    let hanging = ReadinessTest::over(setup.kyc.clone(), setup.store.clone()).await;
    let fault = setup.kyc.on(Endpoint::Discovery).hang().always();
    hanging.assert_answer(200, "ok", "unavailable").await;
    drop(fault);
    let late = ReadinessTest::over(setup.kyc.clone(), setup.store.clone()).await;
    setup.kyc.stop().unwrap();
    late.assert_answer(200, "ok", "unavailable").await;
    // The app uses cached metadata for a while.
    setup.assert_ready().await;
}

#[tokio::test]
async fn readiness_probes_check_the_store_once_per_second() {
    let setup = ReadinessTest::new().await;
    for _ in 0..10 {
        setup.assert_ready().await;
        assert!(setup.party.readiness().await.store);
    }
    assert_eq!(setup.store.count(Op::Check), 1);
    // The cached result hides a failure and a recovery within the same second.
    setup.store.fail_with(Op::Check, StoreError::ReadOnly);
    setup
        .clock
        .advance(SECOND.saturating_sub(Duration::from_millis(1)));
    setup.assert_ready().await;
    setup.clock.advance(Duration::from_millis(1));
    setup.assert_not_ready().await;
    setup.store.heal();
    setup.assert_not_ready().await;
    assert_eq!(setup.store.count(Op::Check), 2);
    setup.clock.advance(SECOND);
    setup.assert_ready().await;
    assert_eq!(setup.store.count(Op::Check), 3);
    assert_eq!(setup.store.operations(), 3);
}

#[tokio::test]
async fn the_cache_of_the_readiness_check_uses_the_monotonic_clock() {
    let setup = ReadinessTest::new().await;
    setup.assert_ready().await;
    for seconds in [0, 4_000_000_000] {
        setup.clock.jump_to(Timestamp::from_unix(seconds));
        let _ = setup.party.readiness().await;
    }
    assert_eq!(setup.store.count(Op::Check), 1);
}

#[tokio::test]
async fn probes_that_wait_for_a_slow_store_share_one_check() {
    let setup = ReadinessTest::new().await;
    let gate = setup.store.hold_with(Op::Check);
    let probes = (0..10).map(|_| setup.party.readiness());
    let slowly = async {
        gate.reached().await;
        // The check of the slow store takes longer than the lifetime of the cached result.
        setup.clock.advance(10 * SECOND);
        gate.open();
    };
    let (probes, ()) = tokio::join!(futures_util::future::join_all(probes), slowly);
    assert!(probes.iter().all(|it| it.store));
    assert_eq!(setup.store.count(Op::Check), 1);
}

#[tokio::test]
async fn a_cancelled_probe_does_not_block_the_next() {
    let setup = ReadinessTest::new().await;
    let gate = setup.store.hold_with(Op::Check);
    let first = {
        let party = setup.party.clone();
        tokio::spawn(async move { party.readiness().await })
    };
    gate.reached().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    setup.store.heal();
    setup.assert_ready().await;
}

#[tokio::test]
async fn an_instance_is_ready_on_every_store() {
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
