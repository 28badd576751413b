//! What goes wrong: instances die and are started again, so does the server that they share, and
//! KYCPort goes away, is slow, and has enough.

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
use crate::{
    app_process::{AppProcess, Wish},
    servers::Server,
};

/// Who ended is looked after so often.
const WATCH: Duration = Duration::from_millis(50);

/// One that cannot be started in so many attempts never will be.
const ATTEMPTS: usize = 200;

/// Starts an instance, while the server that it needs may be away.
pub(crate) async fn start(wish: &Wish, town: &Town) -> Option<AppProcess> {
    for attempt in 0.. {
        if town.is_over() {
            break;
        }
        assert!(attempt < ATTEMPTS, "no instance starts");
        let wish = wish.clone();
        let started = tokio::task::spawn_blocking(move || AppProcess::start(&wish)).await;
        if let Some(app) = started.unwrap() {
            return Some(app);
        }
        pass(WATCH).await;
    }
    None
}

/// Kills the instances in turn, and starts them again, until the town is over. Gives back those that
/// live: whoever asks still gets an answer.
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
        let Some(app) = start(&wish, &town).await else {
            return apps;
        };
        balancer.is_at(at, app.port());
        apps[at] = app;
    }
    apps
}

/// Kills the server, and starts it again with what it wrote down. Gives it back.
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
pub(crate) async fn of_store(town: &Town, mut server: Server, away: Duration) -> Server {
    let mut server = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    })
    .await
    .unwrap();
    pass(away).await;
    let server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    });
    let server = server.await.unwrap();
    town.ledger.waits(After::Store, Instant::now());
    town.ledger.count(Count::StoreRestarts);
    server
}

/// KYCPort is down, slow, and has enough, for so long each.
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

    let enough = [Endpoint::Token, Endpoint::Status].map(|endpoint| {
        let enough = kyc.on(endpoint).fail(429).retry_after(1);
        enough.optional().always()
    });
    pass(each).await;
    drop(enough);
    town.ledger.count(Count::IssuerOutages);
}
