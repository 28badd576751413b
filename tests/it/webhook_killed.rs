//! Tests that kill a receiver or a server while a handler runs. Other tests deliver one event to
//! two receivers simultaneously.

use std::{collections::HashSet, time::Duration};

use axum::Router;
use kycport::{
    RunningApp,
    mock::MockIssuer,
    web::WebhookReceiver,
    webhook::{DeliveryPolicy, WebhookVerifier},
};

use crate::{
    engines,
    handler_log::{HandlerLog, Instruction, Kind},
    receiver_process::{ReceiverProcess, deliver},
    servers::{Disk, Server},
    test_handler::{SECRET, TestHandler, answer},
};

/// Duration of the lease on an event. A killed receiver blocks the event until the lease ends.
const LEASE: Duration = Duration::from_secs(5);

/// Waits. The test waits in real time, because each server uses a clock that the test cannot
/// change.
#[expect(
    clippy::disallowed_methods,
    reason = "a test cannot set a server's clock"
)]
async fn wait(by: Duration) {
    tokio::time::sleep(by).await;
}

fn server(kind: Kind) -> Option<Server> {
    match kind {
        Kind::Redis => Server::redis(),
        Kind::Postgres => Server::postgres_with(Disk::Awaited),
    }
}

fn retry_after(response: &reqwest::Response) -> u64 {
    let header = &response.headers()["retry-after"];
    header.to_str().unwrap().parse().unwrap()
}

/// Delivers the event until a receiver accepts it. Returns the number of `in_flight` responses, and
/// fails on any other rejection.
async fn until_accepted(client: &reqwest::Client, url: &str, id: &str, lease: Duration) -> usize {
    for in_flight in 0.. {
        let response = deliver(client, url, id).await.unwrap();
        if response.status() == 200 {
            return in_flight;
        }
        let left = retry_after(&response);
        assert!((1..=lease.as_secs()).contains(&left), "{id}: {left}");
        assert_eq!(answer(response).await, (409, "in_flight".to_owned()));
        wait(Duration::from_millis(100)).await;
    }
    unreachable!()
}

/// Kills a receiver while its handler runs, starts the receiver again, and delivers the event
/// again.
async fn killed(log: &HandlerLog, kind: Kind, server: &Server, stays: Instruction) -> Killed {
    let way = match stays {
        Instruction::BlockBefore => "before",
        _ => "after",
    };
    log.tell(way, stays).await;
    let mut receiver = ReceiverProcess::start(kind, server.port(), way, LEASE);
    let client = reqwest::Client::new();
    let url = receiver.url().to_owned();
    let id = format!("evt_{way}");
    let delivery = deliver(&client, &url, &id);
    let death = async {
        log.until(&[way]).await;
        receiver.kill();
    };
    let (broken, ()) = tokio::join!(delivery, death);
    broken.unwrap_err();
    let again = format!("{way}.again");
    let receiver = ReceiverProcess::start(kind, server.port(), &again, LEASE);
    let in_flight = until_accepted(&client, receiver.url(), &id, LEASE).await;
    let once_more = until_accepted(&client, receiver.url(), &id, LEASE).await;
    assert_eq!(once_more, 0);
    let effects = log.effects().await.into_iter();
    let effects = effects.filter(|(other, _)| *other == id);
    Killed {
        waited: in_flight > 0,
        effects: effects.map(|(_, holder)| holder).collect(),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Killed {
    /// Whether the killed receiver blocked the event until the lease ended.
    waited: bool,
    effects: Vec<String>,
}

async fn handler_log(kind: Kind) -> Option<(HandlerLog, Server)> {
    let server = server(kind)?;
    let log = HandlerLog::open(kind, server.port()).await?;
    log.make().await;
    Some((log, server))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_killed_in_its_handler_handles_the_event_again_with_redis() {
    // Covers threat case 131.
    let Some((log, server)) = handler_log(Kind::Redis).await else {
        return;
    };
    let (before, after) = tokio::join!(
        killed(&log, Kind::Redis, &server, Instruction::BlockBefore),
        killed(&log, Kind::Redis, &server, Instruction::BlockAfter),
    );
    assert!(before.waited && after.waited);
    assert_eq!(before.effects, ["before.again"]);
    // The event takes effect at least once. The receiver cannot know that the event had taken
    // effect before the kill.
    assert_eq!(after.effects, ["after", "after.again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_killed_in_its_handler_handles_the_event_once_with_postgres() {
    // Covers threat case 131.
    let Some((log, server)) = handler_log(Kind::Postgres).await else {
        return;
    };
    let (before, after) = tokio::join!(
        killed(&log, Kind::Postgres, &server, Instruction::BlockBefore),
        killed(&log, Kind::Postgres, &server, Instruction::BlockAfter),
    );
    assert!(before.waited);
    assert_eq!(before.effects, ["before.again"]);
    // The event takes effect exactly once, because the commit of the effect also completes the
    // event.
    assert!(!after.waited);
    assert_eq!(after.effects, ["after"]);
}

/// Number of events that the test delivers to both receivers simultaneously.
const SIMULTANEOUS_EVENTS: usize = 50;

async fn deliver_to_both_simultaneously(kind: Kind) {
    let Some((log, server)) = handler_log(kind).await else {
        return;
    };
    let one = ReceiverProcess::start(kind, server.port(), "one", LEASE);
    let two = ReceiverProcess::start(kind, server.port(), "two", LEASE);
    let client = reqwest::Client::new();
    let mut at_once = 0;
    for n in 0..SIMULTANEOUS_EVENTS {
        let id = format!("evt_{n}");
        let both = [one.url(), two.url()].map(|url| deliver(&client, url, &id));
        for response in futures_util::future::join_all(both).await {
            match answer(response.unwrap()).await {
                (200 | 500, _) => {}
                other => {
                    assert_eq!(other, (409, "in_flight".to_owned()));
                    at_once += 1;
                }
            }
        }
        until_accepted(&client, one.url(), &id, LEASE).await;
    }
    let effects = log.effects().await;
    let ids: HashSet<_> = effects.iter().map(|(id, _)| id).collect();
    assert_eq!(
        (effects.len(), ids.len()),
        (SIMULTANEOUS_EVENTS, SIMULTANEOUS_EVENTS)
    );
    assert!(
        at_once > 0,
        "the receivers never handled the same event simultaneously"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_simultaneous_receivers_handles_an_event_with_redis() {
    // Covers threat case 130.
    deliver_to_both_simultaneously(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_simultaneous_receivers_handles_an_event_with_postgres() {
    // Covers threat case 130.
    deliver_to_both_simultaneously(Kind::Postgres).await;
}

/// Lease that is longer than an outage that the receiver does not detect.
const LEASE_ON_REDIS: Duration = Duration::from_secs(20);

/// Starts a receiver in this process. The receiver uses a Redis that the test stops.
async fn on_redis(kyc: &MockIssuer, server: &Server, handler: &TestHandler) -> Option<RunningApp> {
    let store = engines::redis_store(server.port()).await?;
    let verifier = WebhookVerifier::builder()
        .secret("current", kycport::Secret::new(SECRET))
        .build()
        .unwrap();
    let handler = {
        let handler = handler.clone();
        move |delivery| handler.clone().handle(delivery)
    };
    let policy = DeliveryPolicy {
        handler_timeout: Duration::from_secs(18),
        lease: LEASE_ON_REDIS,
        ..DeliveryPolicy::default()
    };
    let receiver = WebhookReceiver::builder(verifier, handler)
        .policy(policy)
        .store(store)
        .name("acme")
        .build()
        .unwrap();
    let app = |_| Router::new().route_service("/webhooks/kycport", receiver);
    Some(kyc.serve(app).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_survives_a_redis_outage_between_lease_and_completion() {
    // Covers threat case 131.
    let Some(mut server) = Server::lasting_redis() else {
        return;
    };
    let kyc = MockIssuer::start().await;
    let handler = TestHandler::default();
    let Some(app) = on_redis(&kyc, &server, &handler).await else {
        return;
    };
    let url = app.url("/webhooks/kycport");
    let client = reqwest::Client::new();
    until_accepted(&client, &url, "evt_1", LEASE_ON_REDIS).await;

    // The store stops and restarts while the handler runs. The outage does not affect the receiver.
    let go = handler.waits();
    let outage = async {
        handler.until_begun(2).await;
        server.stop();
        server.start_again();
        go.send_replace(true);
    };
    let (response, ()) = tokio::join!(deliver(&client, &url, "evt_2"), outage);
    assert_eq!(response.unwrap().status(), 200);

    // The store stays down longer. The outcome is unknown, so the receiver does not acknowledge the
    // event.
    let go = handler.waits();
    let outage = async {
        handler.until_begun(3).await;
        server.stop();
        go.send_replace(true);
        deliver(&client, &url, "evt_4").await
    };
    let (held, new) = tokio::join!(deliver(&client, &url, "evt_3"), outage);
    for (response, code) in [(held, "not_recorded"), (new, "store_unavailable")] {
        let response = response.unwrap();
        assert_eq!(retry_after(&response), 5);
        assert_eq!(answer(response).await, (503, code.to_owned()));
    }
    assert_eq!(handler.effects(), ["evt_1", "evt_2", "evt_3"]);

    server.start_again();
    // The store still has all records. No receiver has a lease on the event that no receiver began.
    for id in ["evt_1", "evt_2", "evt_4"] {
        let in_flight = until_accepted(&client, &url, id, LEASE_ON_REDIS).await;
        assert_eq!(in_flight, 0, "{id}");
    }
    // The receiver cannot know whether the third event took effect. The event takes effect again
    // after its lease has ended.
    let in_flight = until_accepted(&client, &url, "evt_3", LEASE_ON_REDIS).await;
    assert!(in_flight > 0);
    let effects = ["evt_1", "evt_2", "evt_3", "evt_4", "evt_3"];
    assert_eq!(handler.effects(), effects);
}
