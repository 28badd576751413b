//! Test that delivers thousands of events to two receivers and counts the effects. The test kills
//! one receiver halfway. `KYCPORT_EVENTS=10000` sets the number of events.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tokio::sync::watch;

use crate::{
    handler_log::{HandlerLog, Instruction, Kind, LogEntry},
    receiver_process::{ReceiverProcess, deliver, fails_on_first_delivery},
    servers::Server,
    test_handler::answer,
};

/// Default number of events. This number covers every case and keeps the suite fast.
const EVENTS: usize = 1_000;
/// Number of concurrent deliveries.
const SENDERS: usize = 32;
const SEED: u64 = 1;
/// Lease of an event. A handler that times out does not write its line, so the lease gives the
/// handlers enough time on a busy machine. If a receiver is killed, its leases end before the test
/// ends.
const LEASE: Duration = Duration::from_secs(12);

fn events() -> usize {
    let variable = std::env::var("KYCPORT_EVENTS").ok();
    variable.map_or(EVENTS, |variable| variable.parse().unwrap())
}

fn id(n: usize) -> String {
    format!("evt_{n}")
}

/// Simulated KYCPort. This sender delivers each event one to three times, in any order. It
/// redelivers after any status except 2xx.
struct Deliverer {
    client: reqwest::Client,
    /// URLs of the receivers. The URL of the killed receiver changes.
    urls: Mutex<[String; 2]>,
    broken: AtomicUsize,
    answers: Mutex<HashMap<(u16, String), usize>>,
    done: watch::Sender<usize>,
}

impl Deliverer {
    fn new(urls: [String; 2]) -> Self {
        Self {
            client: reqwest::Client::new(),
            urls: Mutex::new(urls),
            broken: AtomicUsize::new(0),
            answers: Mutex::default(),
            done: watch::Sender::new(0),
        }
    }

    async fn deliver_all(&self, deliveries: Vec<(usize, usize)>) {
        let deliveries = stream::iter(deliveries);
        let each = |(event, to)| self.deliver_until_accepted(event, to);
        deliveries.for_each_concurrent(SENDERS, each).await;
    }

    async fn deliver_until_accepted(&self, event: usize, first: usize) {
        for to in first.. {
            let url = self.urls.lock().unwrap()[to % 2].clone();
            match deliver(&self.client, &url, &id(event)).await {
                Ok(response) => {
                    let answer = answer(response).await;
                    let accepted = answer.0 == 200;
                    *self.answers.lock().unwrap().entry(answer).or_default() += 1;
                    if accepted {
                        break;
                    }
                }
                Err(_) => {
                    self.broken.fetch_add(1, Ordering::SeqCst);
                }
            }
            back_off().await;
        }
        self.done.send_modify(|done| *done += 1);
    }
}

#[expect(clippy::disallowed_methods, reason = "KYCPort waits too")]
async fn back_off() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Returns, for each delivery, the event and the receiver that gets the event first.
fn deliveries() -> Vec<(usize, usize)> {
    let mut dice = StdRng::seed_from_u64(SEED);
    let mut deliveries = Vec::new();
    for event in 0..events() {
        for _ in 0..dice.random_range(1..=3) {
            deliveries.push((event, dice.random_range(0..2)));
        }
    }
    deliveries.shuffle(&mut dice);
    deliveries
}

/// Delivers all events, and returns the log of the handlers.
async fn run(kind: Kind, server: &Server) -> Option<HandlerLog> {
    let log = HandlerLog::open(kind, server.port()).await?;
    log.make().await;
    let receiver = |holder: &str| ReceiverProcess::start(kind, server.port(), holder, LEASE);
    let (stays, mut dies) = (receiver("a.1"), receiver("b.1"));
    let deliverer = Deliverer::new([stays.url().to_owned(), dies.url().to_owned()]);
    let deliveries = deliveries();
    let half = deliveries.len() / 2;
    let mut done = deliverer.done.subscribe();
    let death = async {
        done.wait_for(|done| *done >= half).await.unwrap();
        log.tell("b.1", Instruction::BlockEither).await;
        log.until(&["before", "after"]).await;
        dies.kill();
        log.write("died", "b.1", "-").await;
        let again = receiver("b.2");
        again
            .url()
            .clone_into(&mut deliverer.urls.lock().unwrap()[1]);
        again
    };
    let ((), _again) = tokio::join!(deliverer.deliver_all(deliveries), death);
    let answers = deliverer.answers.into_inner().unwrap();
    let failed = answers.get(&(500, "handler_failed".to_owned()));
    assert!(failed.is_some_and(|it| *it > events() / 6), "{answers:?}");
    let known = ["", "in_flight", "handler_failed"];
    let strange = answers.keys().any(|(_, it)| !known.contains(&it.as_str()));
    assert!(!strange, "{answers:?}");
    assert!(deliverer.broken.into_inner() > 0);
    Some(log)
}

/// Asserts that a second receiver handles an event only if the first receiver is dead.
fn assert_no_concurrent_handlers(lines: &[LogEntry]) {
    let mut dead = HashSet::new();
    let mut inside: HashMap<&str, &str> = HashMap::new();
    for line in lines {
        let (id, holder) = (line.id.as_str(), line.holder.as_str());
        match line.what.as_str() {
            "enter" => {
                let other = inside.insert(id, holder);
                assert!(
                    other.is_none_or(|it| dead.contains(it)),
                    "{other:?} {line:?}"
                );
            }
            "leave" => assert_eq!(inside.remove(id), Some(holder), "{line:?}"),
            "died" => {
                dead.insert(holder);
            }
            _ => {}
        }
    }
    assert!(inside.values().all(|it| dead.contains(it)), "{inside:?}");
}

/// Groups the effects by event, and returns the receivers that caused each effect.
fn by_event(effects: &[(String, String)]) -> HashMap<&str, Vec<&str>> {
    let mut by_event: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, holder) in effects {
        by_event.entry(id).or_default().push(holder);
    }
    by_event
}

fn assert_every_receiver_handled_events(lines: &[LogEntry]) {
    let holders: HashSet<_> = lines.iter().map(|line| line.holder.as_str()).collect();
    assert_eq!(holders, HashSet::from(["a.1", "b.1", "b.2"]));
    let mut tries: HashMap<&str, usize> = HashMap::new();
    for line in lines.iter().filter(|line| line.what == "enter") {
        *tries.entry(&line.id).or_default() += 1;
    }
    for n in 0..events() {
        let least = if fails_on_first_delivery(&id(n)) {
            2
        } else {
            1
        };
        assert!(tries[id(n).as_str()] >= least);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_events_are_all_handled_with_redis() {
    // Covers threat cases 130, 131.
    let Some(server) = Server::redis() else {
        return;
    };
    let Some(log) = run(Kind::Redis, &server).await else {
        return;
    };
    let lines = log.lines().await;
    assert_every_receiver_handled_events(&lines);
    assert_no_concurrent_handlers(&lines);
    let effects = log.effects().await;
    let effects = by_event(&effects);
    assert_eq!(effects.len(), events());
    let mut twice = 0;
    for (id, holders) in effects {
        if holders.len() > 1 {
            // The test killed the receiver between the effect and the acknowledgement.
            assert_eq!((holders.len(), holders[0]), (2, "b.1"), "{id}");
            twice += 1;
        }
    }
    assert!((1..=SENDERS).contains(&twice), "{twice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_events_take_effect_exactly_once_with_postgres() {
    // Covers threat cases 130, 131.
    let Some(server) = Server::postgres() else {
        return;
    };
    let Some(log) = run(Kind::Postgres, &server).await else {
        return;
    };
    let lines = log.lines().await;
    assert_every_receiver_handled_events(&lines);
    assert_no_concurrent_handlers(&lines);
    let effects = log.effects().await;
    assert_eq!(effects.len(), events());
    assert_eq!(by_event(&effects).len(), events());
}
