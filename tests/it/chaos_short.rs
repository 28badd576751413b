//! A short run of `benches/chaos`, so that it does what it says.

use std::time::Duration;

use crate::{
    app_process::{Sealing, was_asked_for},
    chaos::{Count, Kept, Plan, run},
};

const LENGTH: Duration = Duration::from_secs(10);

#[test]
#[ignore = "a process that other tests start"]
fn an_instance() {
    was_asked_for();
}

async fn short_run(kept: Kept, sealing: Sealing) {
    let plan = Plan {
        kept,
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
    for happens in [
        Count::LoginsFinished,
        Count::StepUps,
        Count::SignedOut,
        Count::EndedAll,
        Count::Rejected,
        Count::LetIn,
        Count::TurnedAway,
        Count::Kills,
        Count::StoreOutages,
    ] {
        assert!(report.of(happens) > 0, "{happens:?}: {rows:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_redis_and_two_instances_that_die_no_session_is_lost_and_none_returns() {
    // cases 95, 98, 131
    short_run(Kept::Redis, Sealing::Sealed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_postgres_and_two_instances_that_die_no_session_is_lost_and_none_returns() {
    // cases 95, 98, 131
    short_run(Kept::Postgres, Sealing::Open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_file_and_two_instances_that_die_no_session_is_lost_and_none_returns() {
    // cases 95, 98, 131
    short_run(Kept::Sqlite, Sealing::Open).await;
}
