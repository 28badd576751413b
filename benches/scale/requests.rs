//! How many signed-in requests a second, and what each costs whom.

use std::time::{Duration, Instant};

use crate::{
    app_process::{Cache, Kept, Sealing, Wish, migrate},
    machine,
    servers::{Disk, Server},
    stage::{App, float, wish},
    visitor::session_cookie,
    wire::Wire,
};
use fred::interfaces::KeysInterface as _;
use kycport::mock::MockIssuer;

/// So many connections are kept alive, each with a session and one request at a time.
const CLIENTS: usize = 32;
/// How often each app has its turn, after some that warm up.
const TURNS: usize = 15;
const WARM_UP: usize = 2;
/// So many requests are a turn, of all clients together …
const REQUESTS: usize = 4096;
/// … and so many of one client alone, to see how long one takes.
const ALONE: usize = 256;

struct Contender {
    name: &'static str,
    app: App,
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

impl Contender {
    async fn start(
        kyc: &MockIssuer,
        name: &'static str,
        wish: &Wish,
        server: Option<&Server>,
    ) -> Self {
        let app = App::start(kyc, wish);
        let address = format!("127.0.0.1:{}", app.process.port());
        let mut wires = Vec::new();
        for _ in 0..CLIENTS {
            let cookie = if wish.kept == Kept::Nowhere {
                None
            } else {
                let key = app.sign_in(&kyc.person("somebody").create()).await;
                Some(session_cookie(&key))
            };
            wires.push(Wire::connect(&address, "/hello", cookie.as_deref()).await);
        }
        Self {
            name,
            app,
            store: server.map(Server::process),
            wires,
            walls: Vec::new(),
            alone: Vec::new(),
            spent: Spent::default(),
        }
    }

    fn so_far(&self) -> Spent {
        let (busy, idle) = machine::busy_and_idle();
        Spent {
            app: machine::time_of(self.app.process.process()),
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
    let mut contenders =
        vec![Contender::start(&kyc, "bare axum route", &wish(Kept::Nowhere, None), None).await];
    let stores = [
        (Kept::Memory, ["memory", "memory, sealed", ""], None),
        (
            Kept::Redis,
            ["Redis", "Redis, sealed", "Redis, and the cache there"],
            redis.as_ref(),
        ),
        (
            Kept::Postgres,
            [
                "Postgres",
                "Postgres, sealed",
                "Postgres, and the cache there",
            ],
            postgres.as_ref(),
        ),
    ];
    for (kept, names, server) in stores {
        if kept != Kept::Memory && server.is_none() {
            continue;
        }
        if let (Kept::Postgres, Some(server)) = (kept, server) {
            migrate(&server.postgres_pool().await).await;
        }
        let open = wish(kept, server);
        let wishes = [
            open.clone(),
            Wish {
                sealing: Sealing::Sealed,
                ..open.clone()
            },
            Wish {
                cache: Cache::Shared,
                ..open
            },
        ];
        for (name, wish) in names.into_iter().zip(wishes) {
            if !name.is_empty() {
                contenders.push(Contender::start(&kyc, name, &wish, server).await);
            }
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
    round_trips(redis.as_ref(), postgres.as_ref()).await;
}

fn report(contenders: Vec<Contender>) {
    println!(
        "| {CLIENTS} clients | requests/s | of bare | one alone, µs | app, µs | store, µs | idle | \
         app's memory, MiB |"
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
            float(usize::try_from(machine::memory_of(it.app.process.process())).unwrap()) / 1024.0,
        );
    }
}

/// What it takes to read one record and nothing else, by the same clients of the servers.
async fn round_trips(redis: Option<&Server>, postgres: Option<&Server>) {
    const READS: usize = 2000;
    println!();
    if let Some(server) = redis {
        let pool = server.redis_pool().await;
        let mut times = Vec::new();
        for _ in 0..READS {
            let start = Instant::now();
            let _: Option<String> = pool.get("nothing").await.unwrap();
            times.push(start.elapsed());
        }
        let time = median(&times).as_secs_f64() * 1e6;
        println!("one read of Redis, alone: {time:.0} µs");
    }
    if let Some(server) = postgres {
        let pool = server.postgres_pool().await;
        let mut times = Vec::new();
        for _ in 0..READS {
            let start = Instant::now();
            let query = "SELECT data FROM tower_sessions.session WHERE id = $1";
            let query = sqlx::query(query).bind("nothing");
            query.fetch_optional(&pool).await.unwrap();
            times.push(start.elapsed());
        }
        let time = median(&times).as_secs_f64() * 1e6;
        println!("one read of Postgres, alone: {time:.0} µs");
    }
    println!();
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}
