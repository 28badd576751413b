//! Throughput of signed-in requests, and their cost in processor time.

use std::time::{Duration, Instant};

use kycport::mock::MockIssuer;

use crate::{
    app_process::{AppProcess, MEMORY, Sealing},
    apps::{App, float, spec},
    machine,
    peers::Peer,
    servers::{Disk, Server},
    sqlite_file::SqliteFile,
    visitor::{Visitor, session_cookie},
    wire::Wire,
};

/// Number of keep-alive connections. Each connection has its own session and sends one request at a
/// time.
const CLIENTS: usize = 32;
/// Number of measured turns of each app, after the warm-up turns.
const TURNS: usize = 15;
const WARM_UP: usize = 2;
/// Number of requests per turn, of all clients together.
const REQUESTS: usize = 4096;
/// Number of requests of a single client, for the latency.
const ALONE: usize = 256;

struct Contender {
    name: String,
    app: AppProcess,
    /// Process of the store's server.
    store: Option<u32>,
    wires: Vec<Wire>,
    walls: Vec<Duration>,
    alone: Vec<Duration>,
    spent: Spent,
}

#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    app: Duration,
    store: Duration,
    busy: Duration,
    idle: Duration,
}

/// Store, and the process of its server.
struct Place {
    name: &'static str,
    url: String,
    server: Option<u32>,
}

impl Contender {
    /// Starts an app that uses this crate.
    async fn own(kyc: &MockIssuer, place: &Place, sealing: Sealing) -> Self {
        let app = App::start(kyc, &spec(&place.url, sealing));
        // Each app has a separate person, because the two apps on one store cannot read each
        // other's records.
        let slug = format!("{sealing:?}").to_lowercase();
        let person = kyc.person(&slug).create();
        let mut cookies = Vec::new();
        for _ in 0..CLIENTS {
            cookies.push(Some(session_cookie(&app.sign_in(&person).await)));
        }
        let name = match sealing {
            Sealing::Open => "kycport",
            Sealing::Sealed => "kycport, sealed",
        };
        Self::with_clients(name, place, app.process, cookies).await
    }

    /// Starts an app for comparison.
    async fn peer(name: &str, place: &Place, peer: Peer) -> Self {
        let app = peer.start(&place.url);
        let visitor = Visitor::new(format!("http://127.0.0.1:{}", app.port()));
        let mut cookies = Vec::new();
        for _ in 0..CLIENTS {
            cookies.push(match peer {
                Peer::TowerSessions => {
                    let put = visitor.get("/put", "").await.unwrap();
                    let cookie = put.header("set-cookie").unwrap();
                    cookie.split(';').next().map(str::to_owned)
                }
                _ => None,
            });
        }
        Self::with_clients(name, place, app, cookies).await
    }

    async fn with_clients(
        name: &str,
        place: &Place,
        app: AppProcess,
        cookies: Vec<Option<String>>,
    ) -> Self {
        let address = format!("127.0.0.1:{}", app.port());
        let mut wires = Vec::new();
        for cookie in cookies {
            wires.push(Wire::connect(&address, "/hello", cookie.as_deref()).await);
        }
        Self {
            name: format!("{}: {name}", place.name),
            app,
            store: place.server,
            wires,
            walls: Vec::new(),
            alone: Vec::new(),
            spent: Spent::default(),
        }
    }

    fn so_far(&self) -> Spent {
        let (busy, idle) = machine::busy_and_idle();
        Spent {
            app: machine::time_of(self.app.process()),
            store: self.store.map(machine::time_of_tree).unwrap_or_default(),
            busy,
            idle,
        }
    }

    async fn turn(&mut self) {
        let before = self.so_far();
        let start = Instant::now();
        let clients = self
            .wires
            .iter_mut()
            .map(|wire| wire.ask(REQUESTS / CLIENTS));
        futures_util::future::join_all(clients).await;
        self.walls.push(start.elapsed());
        let after = self.so_far();
        self.spent.app += after.app.saturating_sub(before.app);
        self.spent.store += after.store.saturating_sub(before.store);
        self.spent.busy += after.busy.saturating_sub(before.busy);
        self.spent.idle += after.idle.saturating_sub(before.idle);

        let start = Instant::now();
        self.wires[0].ask(ALONE).await;
        self.alone
            .push(start.elapsed() / u32::try_from(ALONE).unwrap());
    }

    fn forget(&mut self) {
        self.walls.clear();
        self.alone.clear();
        self.spent = Spent::default();
    }
}

pub(crate) async fn print() {
    let kyc = MockIssuer::start().await;
    let redis = Server::redis();
    let postgres = Server::postgres_with(Disk::NotAwaited);
    let sqlite = SqliteFile::new();
    let on_server = |name, server: &Server| Place {
        name,
        url: server.url(),
        server: Some(server.process()),
    };
    let in_the_app = |name, url| Place {
        name,
        url,
        server: None,
    };
    let nowhere = in_the_app("axum", String::new());
    let mut contenders = vec![Contender::peer("bare route", &nowhere, Peer::Bare).await];
    let mut places = vec![in_the_app("memory", MEMORY.to_owned())];
    places.extend(redis.as_ref().map(|it| on_server("Redis", it)));
    places.extend(postgres.as_ref().map(|it| on_server("Postgres", it)));
    places.push(in_the_app("SQLite", sqlite.url()));
    for place in &places {
        for sealing in [Sealing::Open, Sealing::Sealed] {
            contenders.push(Contender::own(&kyc, place, sealing).await);
        }
        for (name, peer) in peers(place) {
            contenders.push(Contender::peer(name, place, *peer).await);
        }
    }
    for n in 0..WARM_UP + TURNS {
        for it in &mut contenders {
            if n == WARM_UP {
                it.forget();
            }
            it.turn().await;
        }
    }
    report(contenders);
}

fn peers(place: &Place) -> &'static [(&'static str, Peer)] {
    const SESSIONS: (&str, Peer) = ("tower-sessions", Peer::TowerSessions);
    match place.name {
        "memory" => &[SESSIONS],
        "Redis" => &[SESSIONS, ("one `GET` by redis-rs", Peer::OneRead)],
        "Postgres" => &[
            SESSIONS,
            ("one `SELECT` by sqlx", Peer::OneRead),
            ("one `SELECT`, no connection test", Peer::OneReadUntested),
        ],
        _ => &[SESSIONS, ("one `SELECT` by sqlx", Peer::OneRead)],
    }
}

fn report(contenders: Vec<Contender>) {
    println!(
        "| {CLIENTS} clients | requests/s | relative to bare axum | latency with one client, µs | \
         CPU app, µs | CPU store, µs | idle CPU | memory of the app, MiB |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let mut bare = None;
    for it in contenders {
        let rate = float(REQUESTS) / median(&it.walls).as_secs_f64();
        let bare = *bare.get_or_insert(rate);
        let each = |time: Duration| time.as_secs_f64() * 1e6 / float(REQUESTS * TURNS);
        let idle = it.spent.idle.as_secs_f64() / (it.spent.busy + it.spent.idle).as_secs_f64();
        println!(
            "| {} | {rate:.0} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} % | {:.1} |",
            it.name,
            rate / bare,
            median(&it.alone).as_secs_f64() * 1e6,
            each(it.spent.app),
            each(it.spent.store),
            idle * 100.0,
            float(usize::try_from(machine::memory_of(it.app.process())).unwrap()) / 1024.0,
        );
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}
