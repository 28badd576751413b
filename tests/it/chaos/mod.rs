//! Fault injection with two instances of an app behind a load balancer. Simulated users use the
//! app while the instances, their shared store and KYCPort fail. The clients report each
//! violation of these rules:
//!
//! - After an acknowledged sign-out, revocation or rejection, the app accepts no request of the
//!   person.
//! - The app loses no acknowledged session.
//! - A response never shows another person.
//! - 503 is the only 5xx status. A 503 has `Retry-After` and does not change the cookie.
//! - An instance exits only if the test kills the instance. A running instance never breaks a
//!   connection.
//! - An instance can start while the store is unavailable.

mod balancer;
mod faults;
mod ledger;
mod shared;
mod users;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kycport::{KycTier, mock::MockIssuer};
use tokio::net::TcpListener;

use self::{
    balancer::Balancer,
    shared::Shared,
    users::{End, Scenario, User},
};
use crate::{
    app_process::{AppSpec, Sealing},
    visitor::Visitor,
};

pub(crate) use ledger::{Count, Report};
pub(crate) use shared::StoreEngine;

/// Number of users who stay for the whole run, with two browsers each.
const RESIDENTS: usize = 6;
/// Number of short-lived users that exist at the same time.
const SHORT_LIVED_USERS: usize = 8;

/// Parameters of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) engine: StoreEngine,
    pub(crate) sealing: Sealing,
    pub(crate) length: Duration,
    /// Command-line arguments that make this binary run an instance.
    pub(crate) arguments: &'static [&'static str],
}

/// Runs the scenario. Returns `None` if the server is not installed.
pub(crate) async fn run(plan: Plan) -> Option<Report> {
    let shared = Shared::start(plan.engine)?;
    let kyc = MockIssuer::start().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let spec = AppSpec {
        store: shared.url(),
        sealing: plan.sealing,
        environment: kyc.environment(format!("{origin}/auth/callback")),
        session_lifetime: None,
        arguments: plan.arguments,
    };
    let scenario = Arc::new(Scenario::new(kyc, Visitor::new(origin)));
    let balancer = Balancer::new();
    let proxy = balancer.serve(listener);
    let first = faults::start(&spec).await;
    let second = faults::start(&spec).await;
    balancer.is_at(0, first.port());
    balancer.is_at(1, second.port());

    let mut residents = Vec::new();
    for n in 0..RESIDENTS {
        let slug = format!("resident-{n}");
        let resident = User::new(Arc::clone(&scenario), &slug, KycTier::T2);
        resident.sign_in().await;
        resident.sign_in().await;
        residents.push(resident);
    }
    let mut tasks = Vec::new();
    for resident in residents.clone() {
        let stay = async move { resident.keep_requesting(&AtomicBool::new(false)).await };
        tasks.push(tokio::spawn(stay));
    }
    let created = Arc::new(AtomicUsize::new(0));
    for _ in 0..SHORT_LIVED_USERS {
        tasks.push(tokio::spawn(run_short_lived_users(
            Arc::clone(&scenario),
            Arc::clone(&created),
        )));
    }
    let kills = faults::kill_instances(
        Arc::clone(&scenario),
        balancer.clone(),
        spec,
        [first, second],
    );
    let kills = tokio::spawn(kills);

    let part = plan.length / 12;
    pass(part * 2).await;
    faults::disturb_issuer(&scenario, part / 2).await;
    pass(part * 2 + part / 2).await;
    let shared = shared.interrupt(&scenario, part / 2).await;
    pass(part * 5 + part / 2).await;
    for resident in &residents {
        resident.assert_sessions_exist().await;
    }
    scenario.end();
    for task in tasks {
        task.await.unwrap();
    }
    let apps = kills.await.unwrap();
    proxy.abort();
    drop(apps);
    drop(shared);
    for _ in 0..balancer.broken_off() {
        scenario.ledger.violation("an instance broke a connection");
    }
    Some(scenario.ledger.report())
}

/// Simulates short-lived users one after the other. The account of each user ends in another way.
async fn run_short_lived_users(scenario: Arc<Scenario>, created: Arc<AtomicUsize>) {
    while !scenario.is_over() {
        let number = created.fetch_add(1, Ordering::SeqCst);
        let tier = if number.is_multiple_of(3) {
            KycTier::T1
        } else {
            KycTier::T2
        };
        let end = End::ALL[number % End::ALL.len()];
        let user = User::new(
            Arc::clone(&scenario),
            &format!("person-{number}"),
            tier.clone(),
        );
        run_user(&user, tier == KycTier::T1, end).await;
    }
}

async fn run_user(user: &Arc<User>, is_below: bool, end: End) {
    user.sign_in().await;
    user.sign_in().await;
    let enough = AtomicBool::new(false);
    let actions = async {
        pass(Duration::from_millis(100)).await;
        if is_below {
            user.step_up().await;
            user.request_all_pages().await;
        }
        user.end_sessions(end).await;
        // After a sign-out, the user may sign in again with a new session.
        user.request_all_pages().await;
        if !matches!(end, End::Rejected) {
            user.sign_in().await;
        }
        for _ in 0..3 {
            user.request_all_pages().await;
        }
        enough.store(true, Ordering::SeqCst);
    };
    tokio::join!(actions, user.keep_requesting(&enough));
}

/// Waits in real time, because the test cannot change the clocks of the instances.
#[expect(
    clippy::disallowed_methods,
    reason = "a test cannot set a server's clock"
)]
pub(crate) async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}
