//! Tests that run the scenario of `benches/chaos` for a short time.

use std::time::Duration;

use crate::{
    app_process::{Sealing, ran_as_app},
    chaos::{Count, Plan, StoreEngine, run},
};

const LENGTH: Duration = Duration::from_secs(10);

#[test]
#[ignore = "other tests run this test in a child process"]
fn an_instance() {
    ran_as_app();
}

async fn short_run(engine: StoreEngine, sealing: Sealing) {
    let plan = Plan {
        engine,
        sealing,
        length: LENGTH,
        arguments: &[
            "--ignored",
            "--exact",
            "chaos_short::an_instance",
            "--nocapture",
        ],
    };
    let Some(report) = run(plan).await else {
        return;
    };
    let rows = report.rows();
    assert_eq!(report.violated, 0, "{:#?}\n{rows:#?}", report.violations);
    for count in [
        Count::LoginsFinished,
        Count::StepUps,
        Count::SignedOut,
        Count::EndedAll,
        Count::Rejected,
        Count::Admitted,
        Count::Denied,
        Count::Kills,
        Count::StoreOutages,
    ] {
        assert!(report.of(count) > 0, "{count:?}: {rows:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_instances_and_redis_loses_no_session_and_revives_no_session() {
    // Covers threat cases 95, 98, 131.
    short_run(StoreEngine::Redis, Sealing::Sealed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_instances_and_postgres_loses_no_session_and_revives_no_session() {
    // Covers threat cases 95, 98, 131.
    short_run(StoreEngine::Postgres, Sealing::Open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_instances_on_one_sqlite_file_loses_no_session_and_revives_no_session() {
    // Covers threat cases 95, 98, 131.
    short_run(StoreEngine::Sqlite, Sealing::Open).await;
}
