//! Injected faults. Faults of the scenario. The test kills and restarts instances. KYCPort is down,
//! slow, or responds with 429.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kycport::mock::Endpoint;

use super::{
    balancer::Balancer,
    ledger::{After, Count},
    pass,
    users::Scenario,
};
use crate::app_process::{AppProcess, AppSpec};

/// Interval between two checks of the instances.
const WATCH: Duration = Duration::from_millis(50);

/// Starts an instance, even if its store is unavailable.
pub(crate) async fn start(spec: &AppSpec) -> AppProcess {
    let spec = spec.clone();
    let started = tokio::task::spawn_blocking(move || AppProcess::start(&spec));
    started.await.unwrap()
}

/// Kills and restarts the instances in turn until the scenario ends. Returns the running instances.
/// The caller can then wait for pending requests.
#[expect(clippy::disallowed_methods, reason = "the scenario runs in real time")]
pub(crate) async fn kill_instances(
    scenario: Arc<Scenario>,
    balancer: Balancer,
    spec: AppSpec,
    apps: [AppProcess; 2],
) -> Vec<AppProcess> {
    let mut apps = Vec::from(apps);
    for n in 0.. {
        let pause = Duration::from_millis([2000, 2500, 3000][n % 3]);
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if apps.iter_mut().any(AppProcess::has_ended) {
                scenario
                    .ledger
                    .violation("an instance exited without being killed");
            }
            pass(WATCH).await;
            if scenario.is_over() {
                return apps;
            }
        }
        let at = n % 2;
        balancer.expect_kill(at);
        scenario.ledger.start_wait(After::Kill, Instant::now());
        apps[at].kill();
        scenario.ledger.count(Count::Kills);
        let app = start(&spec).await;
        balancer.is_at(at, app.port());
        apps[at] = app;
    }
    apps
}

/// Makes KYCPort unreachable, then slow, then rate-limiting. Each fault lasts for `each`.
pub(crate) async fn disturb_issuer(scenario: &Scenario, each: Duration) {
    let kyc = &scenario.kyc;
    kyc.stop().unwrap();
    pass(each).await;
    kyc.restart().unwrap();
    scenario.ledger.count(Count::IssuerOutages);

    let slow = [Endpoint::Token, Endpoint::Status, Endpoint::Jwks].map(|endpoint| {
        let slow = kyc.on(endpoint).delay(Duration::from_millis(500));
        slow.optional().always()
    });
    pass(each).await;
    drop(slow);
    scenario.ledger.count(Count::IssuerOutages);

    let limited = [Endpoint::Token, Endpoint::Status].map(|endpoint| {
        let limited = kyc.on(endpoint).fail(429).retry_after(1);
        limited.optional().always()
    });
    pass(each).await;
    drop(limited);
    scenario.ledger.count(Count::IssuerOutages);
}
