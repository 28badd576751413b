//! Two instances of an app behind a load balancer, people with it, and everything that dies: the
//! instances, the store that they share, KYCPort. The clients know what they may see:
//!
//! - nobody is admitted after an acknowledged sign-out, end of all sessions, or rejection;
//! - no session that was acknowledged is lost;
//! - nobody sees another person's response;
//! - an instance answers no 5xx but 503, and that with `Retry-After` and without touching the
//!   cookie; no instance breaks a connection or ends that was not killed;
//! - an instance starts while its store is away.

mod balancer;
mod havoc;
mod ledger;
mod people;
mod shared;

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
    people::{Citizen, End, Town},
    shared::Shared,
};
use crate::{
    app_process::{Sealing, Wish},
    visitor::Visitor,
};

pub(crate) use ledger::{Count, Report};
pub(crate) use shared::Kept;

/// Number of people who stay for the whole run, with two browsers each.
const RESIDENTS: usize = 6;
/// Number of people who come and go at any time.
const PASSERS_BY: usize = 8;

/// Plan of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) kept: Kept,
    pub(crate) sealing: Sealing,
    pub(crate) length: Duration,
    /// Arguments with which this binary becomes an instance.
    pub(crate) arguments: &'static [&'static str],
}

/// Runs; `None` if the server is not installed here.
pub(crate) async fn run(plan: Plan) -> Option<Report> {
    let shared = Shared::start(plan.kept)?;
    let kyc = MockIssuer::start().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let wish = Wish {
        store: shared.url(),
        sealing: plan.sealing,
        environment: kyc.environment(format!("{origin}/auth/callback")),
        session_lifetime: None,
        arguments: plan.arguments,
    };
    let town = Arc::new(Town::new(kyc, Visitor::new(origin)));
    let balancer = Balancer::new();
    let proxy = balancer.serve(listener);
    let first = havoc::start(&wish).await;
    let second = havoc::start(&wish).await;
    balancer.is_at(0, first.port());
    balancer.is_at(1, second.port());

    let mut residents = Vec::new();
    for n in 0..RESIDENTS {
        let slug = format!("resident-{n}");
        let resident = Citizen::new(Arc::clone(&town), &slug, KycTier::T2);
        resident.signs_in().await;
        resident.signs_in().await;
        residents.push(resident);
    }
    let mut tasks = Vec::new();
    for resident in residents.clone() {
        let stay = async move { resident.keeps_looking(&AtomicBool::new(false)).await };
        tasks.push(tokio::spawn(stay));
    }
    let born = Arc::new(AtomicUsize::new(0));
    for _ in 0..PASSERS_BY {
        tasks.push(tokio::spawn(come_and_go(
            Arc::clone(&town),
            Arc::clone(&born),
        )));
    }
    let deaths = havoc::of_instances(Arc::clone(&town), balancer.clone(), wish, [first, second]);
    let deaths = tokio::spawn(deaths);

    let part = plan.length / 12;
    pass(part * 2).await;
    havoc::of_issuer(&town, part / 2).await;
    pass(part * 2 + part / 2).await;
    let shared = shared.goes_away(&town, part / 2).await;
    pass(part * 5 + part / 2).await;
    for resident in &residents {
        resident.is_still_there().await;
    }
    town.end();
    for task in tasks {
        task.await.unwrap();
    }
    let apps = deaths.await.unwrap();
    proxy.abort();
    drop(apps);
    drop(shared);
    for _ in 0..balancer.broken_off() {
        town.ledger.violation("an instance broke off");
    }
    Some(town.ledger.report())
}

/// People live one after the other, each with another end.
async fn come_and_go(town: Arc<Town>, born: Arc<AtomicUsize>) {
    while !town.is_over() {
        let number = born.fetch_add(1, Ordering::SeqCst);
        let tier = if number.is_multiple_of(3) {
            KycTier::T1
        } else {
            KycTier::T2
        };
        let end = End::ALL[number % End::ALL.len()];
        let citizen = Citizen::new(Arc::clone(&town), &format!("person-{number}"), tier.clone());
        live(&citizen, tier == KycTier::T1, end).await;
    }
}

async fn live(citizen: &Arc<Citizen>, is_below: bool, end: End) {
    citizen.signs_in().await;
    citizen.signs_in().await;
    let enough = AtomicBool::new(false);
    let story = async {
        pass(Duration::from_millis(100)).await;
        if is_below {
            citizen.steps_up().await;
            citizen.looks_around().await;
        }
        citizen.ends(end).await;
        // A person who was signed out may come back, with another session.
        citizen.looks_around().await;
        if !matches!(end, End::Rejected) {
            citizen.signs_in().await;
        }
        for _ in 0..3 {
            citizen.looks_around().await;
        }
        enough.store(true, Ordering::SeqCst);
    };
    tokio::join!(story, citizen.keeps_looking(&enough));
}

/// The processes have clocks of their own.
#[expect(clippy::disallowed_methods, reason = "no test moves a server's clock")]
pub(crate) async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}
