//! Faults: instances die and are started again, and KYCPort is down, slow, and answers 429.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kycport::mock::Endpoint;

use super::{
    balancer::Balancer,
    ledger::{After, Count},
    pass,
    people::Town,
};
use crate::app_process::{AppProcess, Wish};

/// Interval between two looks at the instances.
const WATCH: Duration = Duration::from_millis(50);

/// Starts an instance. Its store may be away.
pub(crate) async fn start(wish: &Wish) -> AppProcess {
    let wish = wish.clone();
    let started = tokio::task::spawn_blocking(move || AppProcess::start(&wish));
    started.await.unwrap()
}

/// Kills the instances in turn, and starts them again, until the town is over. Returns those that
/// live: requests under way still get their responses.
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
pub(crate) async fn of_instances(
    town: Arc<Town>,
    balancer: Balancer,
    wish: Wish,
    apps: [AppProcess; 2],
) -> Vec<AppProcess> {
    let mut apps = Vec::from(apps);
    for n in 0.. {
        let pause = Duration::from_millis([2000, 2500, 3000][n % 3]);
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if apps.iter_mut().any(AppProcess::has_ended) {
                town.ledger.violation("an instance ended by itself");
            }
            pass(WATCH).await;
            if town.is_over() {
                return apps;
            }
        }
        let at = n % 2;
        balancer.expects_death(at);
        town.ledger.waits(After::Kill, Instant::now());
        apps[at].kill();
        town.ledger.count(Count::Kills);
        let app = start(&wish).await;
        balancer.is_at(at, app.port());
        apps[at] = app;
    }
    apps
}

/// KYCPort is down, then slow, then answers 429, for `each` in turn.
pub(crate) async fn of_issuer(town: &Town, each: Duration) {
    let kyc = &town.kyc;
    kyc.stop().unwrap();
    pass(each).await;
    kyc.restart().unwrap();
    town.ledger.count(Count::IssuerOutages);

    let slow = [Endpoint::Token, Endpoint::Status, Endpoint::Jwks].map(|endpoint| {
        let slow = kyc.on(endpoint).delay(Duration::from_millis(500));
        slow.optional().always()
    });
    pass(each).await;
    drop(slow);
    town.ledger.count(Count::IssuerOutages);

    let limited = [Endpoint::Token, Endpoint::Status].map(|endpoint| {
        let limited = kyc.on(endpoint).fail(429).retry_after(1);
        limited.optional().always()
    });
    pass(each).await;
    drop(limited);
    town.ledger.count(Count::IssuerOutages);
}
