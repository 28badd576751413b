//! What sessions and abandoned logins weigh, and what is left of them when they have expired.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use fred::{clients::Pool, interfaces::ClientLike as _, types::CustomCommand};
use kycport::{
    Clock as _, SystemClock, Timestamp,
    mock::{MockIssuer, Person},
};
use sqlx::PgPool;
use tower_sessions_sqlx_store::PostgresStore;

use tower_sessions::ExpiredDeletion as _;

use crate::{
    app_process::{Kept, Wish, migrate},
    machine,
    servers::{Disk, Server},
    stage::{App, float, wish},
    visitor::session_cookie,
};

/// So many sign in at once.
const AT_ONCE: usize = 16;
/// So many people there are, each with many browsers: the mock looks for a person one by one.
const PEOPLE: usize = 1000;
/// So many show how fast it goes.
const FIRST: usize = 500;
/// Where the clocks stand still, all records end so much later.
const LIFETIME: i64 = 1200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Sessions,
    Logins,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Sessions => "live sessions",
            Self::Logins => "abandoned logins",
        }
    }
}

/// What one store says of itself.
enum Store {
    Memory,
    Redis(Pool),
    Postgres(PgPool),
}

/// What is kept, and what it takes.
struct Weight {
    records: u64,
    /// In KiB.
    store: Option<u64>,
    app: u64,
}

pub(crate) async fn print(count: usize) {
    println!(
        "| {count} | store | a second | records | store, MiB | app, MiB | \
         once expired: records | store, MiB | app, MiB | after |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let redis = Server::redis();
    let postgres = Server::postgres_with(Disk::NotAwaited);
    for what in [What::Sessions, What::Logins] {
        weigh(what, count, Kept::Memory, None, &Store::Memory).await;
        if let Some(server) = &redis {
            let store = Store::Redis(server.redis_pool().await);
            weigh(what, count, Kept::Redis, Some(server), &store).await;
        }
        if let Some(server) = &postgres {
            let pool = server.postgres_pool().await;
            migrate(&pool).await;
            let store = Store::Postgres(pool);
            weigh(what, count, Kept::Postgres, Some(server), &store).await;
        }
    }
    println!();
}

async fn weigh(what: What, count: usize, kept: Kept, server: Option<&Server>, store: &Store) {
    let wish = wish(kept, server);
    let expires_in = match store {
        Store::Memory => Duration::from_secs(600),
        _ => Duration::from_secs_f64(20.0 + 1.4 * float(count) / pace(what, &wish).await),
    };
    store.empty().await;
    let now = SystemClock::new().now().as_unix();
    let ends_at = now + i64::try_from(expires_in.as_secs()).unwrap();
    let (kyc, app) = standing_at(ends_at - LIFETIME, wish).await;
    let before = store.weight(&app).await;
    let start = Instant::now();
    let keys = begin(what, count, &kyc, &app).await;
    let a_second = float(count) / start.elapsed().as_secs_f64();
    let full = store.weight(&app).await;
    for key in keys {
        let answer = app.visitor.get("/auth/me", &session_cookie(&key)).await;
        assert_eq!(answer.unwrap().status, 200);
    }
    let in_time = SystemClock::new().now().as_unix() < ends_at;
    assert!(in_time, "too slow: what is kept has begun to expire");
    let after = store.expire(&app, ends_at).await;
    let empty = store.weight(&app).await;
    let store_mib = |weight: &Weight| {
        let grown = weight.store.zip(before.store);
        grown.map_or("in the app".to_owned(), |(now, before)| {
            mib(now.saturating_sub(before))
        })
    };
    println!(
        "| {} | {kept:?} | {a_second:.0} | {} | {} | {} to {} | {} | {} | {} | {:.0} s |",
        what.name(),
        full.records,
        store_mib(&full),
        mib(before.app),
        mib(full.app),
        empty.records,
        store_mib(&empty),
        mib(empty.app),
        after.as_secs_f64(),
    );
}

fn mib(kib: u64) -> String {
    format!("{:.1}", float(usize::try_from(kib).unwrap()) / 1024.0)
}

/// How many a second, where the clock stands at now.
async fn pace(what: What, wish: &Wish) -> f64 {
    let now = SystemClock::new().now().as_unix();
    let (kyc, app) = standing_at(now, wish.clone()).await;
    let start = Instant::now();
    begin(what, FIRST, &kyc, &app).await;
    float(FIRST) / start.elapsed().as_secs_f64()
}

/// An issuer and an app whose clocks stand at this second.
async fn standing_at(second: i64, wish: Wish) -> (MockIssuer, App) {
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    kyc.clock().jump_to(Timestamp::from_unix(second));
    let wish = Wish {
        stands_at: Some(second),
        ..wish
    };
    let app = App::start(&kyc, &wish);
    (kyc, app)
}

/// Gives the keys of some of the sessions.
async fn begin(what: What, count: usize, kyc: &MockIssuer, app: &App) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let person = |number| kyc.person(&format!("person-{number}")).create();
    let people: Vec<Person> = match what {
        What::Logins => Vec::new(),
        What::Sessions => (0..PEOPLE).map(person).collect(),
    };
    let people = &people;
    let some = (count / 20).max(1);
    let workers = (0..AT_ONCE).map(|_| async {
        let mut keys = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return keys;
            }
            match what {
                What::Logins => {
                    app.begin().await;
                }
                What::Sessions => {
                    let key = app.sign_in(&people[number % PEOPLE]).await;
                    if number.is_multiple_of(some) {
                        keys.push(key);
                    }
                }
            }
        }
    });
    let keys = futures_util::future::join_all(workers).await;
    keys.into_iter().flatten().collect()
}

impl Store {
    async fn empty(&self) {
        match self {
            Self::Memory => {}
            Self::Redis(pool) => command(pool, "FLUSHALL", &[]).await,
            Self::Postgres(pool) => {
                let tables = "TRUNCATE tower_sessions.session, kycport_webhook_events";
                sqlx::query(tables).execute(pool).await.unwrap();
            }
        }
    }

    async fn weight(&self, app: &App) -> Weight {
        let (records, store) = match self {
            Self::Memory => {
                let answer = app.visitor.get("/records", "").await.unwrap();
                (answer.body.parse().unwrap(), None)
            }
            Self::Redis(pool) => {
                let info: String = command(pool, "INFO", &["memory"]).await;
                let bytes = info
                    .lines()
                    .find_map(|line| line.strip_prefix("used_memory:"));
                let bytes: u64 = bytes.unwrap().trim().parse().unwrap();
                (command(pool, "DBSIZE", &[]).await, Some(bytes / 1024))
            }
            Self::Postgres(pool) => {
                let count = "SELECT (SELECT count(*) FROM tower_sessions.session), \
                     pg_total_relation_size('tower_sessions.session') \
                     + pg_total_relation_size('kycport_webhook_events')";
                let (records, bytes): (i64, i64) =
                    sqlx::query_as(count).fetch_one(pool).await.unwrap();
                let bytes = u64::try_from(bytes).unwrap();
                (u64::try_from(records).unwrap(), Some(bytes / 1024))
            }
        };
        Weight {
            records,
            store,
            app: machine::memory_of(app.process.process()),
        }
    }

    /// Waits until it has expired, and lets the store forget it. How long that takes from then on.
    async fn expire(&self, app: &App, ends_at: i64) -> Duration {
        if let Self::Memory = self {
            let path = format!("/clock/{LIFETIME}");
            app.visitor.post(&path, "", &[]).await.unwrap();
            let start = Instant::now();
            // It forgets when it is written to, some at a time.
            let mut left = u64::MAX;
            loop {
                app.begin().await;
                let now = self.weight(app).await.records;
                if now >= left {
                    return start.elapsed();
                }
                left = now;
            }
        }
        let left = ends_at + 1 - SystemClock::new().now().as_unix();
        tokio::time::sleep(Duration::from_secs(u64::try_from(left).unwrap_or_default())).await;
        let start = Instant::now();
        match self {
            Self::Memory => {}
            // By itself.
            Self::Redis(pool) => {
                while command::<u64>(pool, "DBSIZE", &[]).await > 1000
                    && start.elapsed() < Duration::from_secs(120)
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            // What `continuously_delete_expired` does, and the vacuum that Postgres does by itself.
            Self::Postgres(pool) => {
                let store = PostgresStore::new(pool.clone());
                store.delete_expired().await.unwrap();
                sqlx::query("VACUUM tower_sessions.session")
                    .execute(pool)
                    .await
                    .unwrap();
            }
        }
        start.elapsed()
    }
}

async fn command<T: fred::types::FromValue>(
    pool: &Pool,
    name: &'static str,
    arguments: &[&str],
) -> T {
    let command = CustomCommand::new_static(name, None::<u16>, false);
    let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
    pool.custom::<T, String>(command, arguments).await.unwrap()
}
