//! Size of sessions and of abandoned logins, and the size that remains after the sessions and
//! logins have expired.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use kycport::{
    mock::{MockIssuer, Person},
    store::{PostgresStore, SqliteStore},
};
use sqlx::{ConnectOptions as _, PgPool, sqlite::SqliteConnectOptions};

use crate::{
    app_process::{AppSpec, MEMORY, Sealing},
    apps::{App, float, spec},
    machine,
    servers::{Disk, Server},
    sqlite_file::SqliteFile,
    visitor::session_cookie,
};

/// Number of concurrent logins.
const AT_ONCE: usize = 16;
/// Number of sessions per person. Maximum: 64.
const SESSIONS_PER_PERSON: usize = 50;
/// The benchmark treats the removal of expired records as finished after this time without a
/// change. The SQL engines remove expired records once a minute.
const SETTLED: Duration = Duration::from_secs(75);
/// Maximum wait for the removal of expired records.
const LIMIT: Duration = Duration::from_secs(600);

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

/// Store, and a connection that reads its size.
enum Store<'a> {
    Memory,
    Redis(&'a Server, redis::aio::MultiplexedConnection),
    Postgres(&'a Server, PgPool),
    Sqlite(&'a SqliteFile),
}

/// Number of records without the leases of logins, and the size of these records in KiB.
struct Size {
    records: u64,
    store: Option<u64>,
    app: u64,
}

/// If a lifetime is set, also waits until the sessions have expired.
pub(crate) async fn print(count: usize, lifetime: Option<Duration>) {
    println!(
        "| {count} | store | a second | records | store, MiB | app, MiB | \
         expired: records | store, MiB | app, MiB | after |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let redis = Server::redis();
    let postgres = Server::postgres_with(Disk::NotAwaited);
    let file = SqliteFile::new();
    for what in [What::Sessions, What::Logins] {
        measure(what, count, lifetime, &Store::Memory).await;
        if let Some(server) = &redis {
            let client = redis::Client::open(server.url()).unwrap();
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            measure(what, count, lifetime, &Store::Redis(server, connection)).await;
        }
        if let Some(server) = &postgres {
            let pool = server.postgres_pool().await;
            measure(what, count, lifetime, &Store::Postgres(server, pool)).await;
        }
        measure(what, count, lifetime, &Store::Sqlite(&file)).await;
    }
    println!();
}

async fn measure(what: What, count: usize, lifetime: Option<Duration>, store: &Store<'_>) {
    let lifetime = lifetime.filter(|_| what == What::Sessions);
    let spec = spec(&store.url(), Sealing::Open);
    store.empty().await;
    let kyc = MockIssuer::start().await;
    let spec = AppSpec {
        session_lifetime: lifetime,
        ..spec
    };
    let app = App::start(&kyc, &spec);
    let before = store.size(&app).await;
    let start = Instant::now();
    let keys = begin(what, count, &kyc, &app).await;
    let a_second = float(count) / start.elapsed().as_secs_f64();
    store.remove_marks().await;
    let full = store.size(&app).await;
    for key in keys {
        let answer = app.visitor.get("/auth/me", &session_cookie(&key)).await;
        assert_eq!(answer.unwrap().status, 200);
    }
    let grown = |size: &Size| {
        let grown = size.store.zip(before.store);
        grown.map_or("in the app".to_owned(), |(now, before)| {
            mib(now.saturating_sub(before))
        })
    };
    print!(
        "| {} | {} | {a_second:.0} | {} | {} | {} to {} |",
        what.name(),
        store.name(),
        full.records,
        grown(&full),
        mib(before.app),
        mib(full.app),
    );
    let Some(lifetime) = lifetime else {
        println!(" | | | |");
        return;
    };
    assert!(
        start.elapsed() < lifetime,
        "sessions have begun to expire: choose a longer lifetime"
    );
    let after = store.expire(&kyc, &app, lifetime).await;
    let empty = store.size(&app).await;
    println!(
        " {} | {} | {} | {:.0} s |",
        empty.records,
        grown(&empty),
        mib(empty.app),
        after.as_secs_f64(),
    );
}

fn mib(kib: u64) -> String {
    format!("{:.1}", float(usize::try_from(kib).unwrap()) / 1024.0)
}

/// Creates sessions or starts logins. Returns the keys of some sessions.
async fn begin(what: What, count: usize, kyc: &MockIssuer, app: &App) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let person = |number| kyc.person(&format!("person-{number}")).create();
    let people: Vec<Person> = match what {
        What::Logins => Vec::new(),
        What::Sessions => (0..count.div_ceil(SESSIONS_PER_PERSON))
            .map(person)
            .collect(),
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
                    let key = app.sign_in(&people[number % people.len()]).await;
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

impl Store<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis(..) => "Redis",
            Self::Postgres(..) => "Postgres",
            Self::Sqlite(_) => "SQLite",
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Memory => MEMORY.to_owned(),
            Self::Redis(server, _) | Self::Postgres(server, _) => server.url(),
            Self::Sqlite(file) => file.url(),
        }
    }

    async fn empty(&self) {
        match self {
            Self::Memory => {}
            Self::Redis(_, connection) => {
                let mut connection = connection.clone();
                // Without `ASYNC`, deleting 100,000 sessions takes longer than the response timeout.
                let mut flush = redis::cmd("FLUSHALL");
                flush.arg("ASYNC");
                let _: () = flush.query_async(&mut connection).await.unwrap();
            }
            Self::Postgres(server, pool) => {
                // Creates the tables if they are missing.
                drop(PostgresStore::connect(&server.url()).await.unwrap());
                let tables = "TRUNCATE kycport_records, kycport_leases";
                sqlx::query(tables).execute(pool).await.unwrap();
            }
            Self::Sqlite(file) => {
                drop(SqliteStore::connect(&file.url()).await.unwrap());
                let options = SqliteConnectOptions::new().filename(file.path());
                let mut connection = options.connect().await.unwrap();
                for table in ["kycport_records", "kycport_leases"] {
                    let delete = format!("DELETE FROM {table}");
                    sqlx::query(&delete).execute(&mut connection).await.unwrap();
                }
            }
        }
    }

    /// Removes the leases of completed logins. These leases live for 12 minutes and belong to no
    /// session.
    async fn remove_marks(&self) {
        match self {
            Self::Memory => {}
            Self::Redis(_, connection) => {
                let mut connection = connection.clone();
                let mut cursor = 0_u64;
                loop {
                    // In Redis, the keys of leases end in `l`.
                    let scan = redis::cmd("SCAN")
                        .arg(cursor)
                        .arg(&["MATCH", "*}l", "COUNT", "1000"])
                        .to_owned();
                    let (next, keys): (u64, Vec<Vec<u8>>) =
                        scan.query_async(&mut connection).await.unwrap();
                    if !keys.is_empty() {
                        let unlink = redis::cmd("UNLINK").arg(keys).to_owned();
                        let _: u64 = unlink.query_async(&mut connection).await.unwrap();
                    }
                    cursor = next;
                    if cursor == 0 {
                        break;
                    }
                }
            }
            Self::Postgres(_, pool) => {
                let delete = sqlx::query("TRUNCATE kycport_leases");
                delete.execute(pool).await.unwrap();
            }
            Self::Sqlite(file) => {
                let options = SqliteConnectOptions::new().filename(file.path());
                let mut connection = options.connect().await.unwrap();
                let delete = sqlx::query("DELETE FROM kycport_leases");
                delete.execute(&mut connection).await.unwrap();
            }
        }
    }

    async fn size(&self, app: &App) -> Size {
        let (records, store) = match self {
            Self::Memory => {
                let answer = app.visitor.get("/records", "").await.unwrap();
                (answer.body.parse().unwrap(), None)
            }
            Self::Redis(_, connection) => of_redis(connection.clone()).await,
            Self::Postgres(_, pool) => of_postgres(pool).await,
            Self::Sqlite(file) => of_sqlite(file).await,
        };
        Size {
            records,
            store,
            app: machine::memory_of(app.process.process()),
        }
    }

    /// Waits until all sessions have expired and the store has removed the expired records. Returns
    /// the duration of the removal.
    async fn expire(&self, kyc: &MockIssuer, app: &App, lifetime: Duration) -> Duration {
        if let Self::Memory = self {
            return expire_memory(self, kyc, app, lifetime).await;
        }
        tokio::time::sleep(lifetime + Duration::from_secs(1)).await;
        let start = Instant::now();
        let mut last = (u64::MAX, Duration::ZERO);
        while start.elapsed() < LIMIT && start.elapsed().saturating_sub(last.1) < SETTLED {
            let records = self.size(app).await.records;
            if records != last.0 {
                last = (records, start.elapsed());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if let Self::Postgres(_, pool) = self {
            // Postgres would vacuum by itself later.
            let vacuum = sqlx::query("VACUUM kycport_records");
            vacuum.execute(pool).await.unwrap();
        }
        last.1
    }
}

/// The in-memory store removes some expired records with each write.
async fn expire_memory(
    store: &Store<'_>,
    kyc: &MockIssuer,
    app: &App,
    lifetime: Duration,
) -> Duration {
    let seconds = lifetime.as_secs() + 1;
    kyc.clock().advance(Duration::from_secs(seconds));
    let path = format!("/clock/{seconds}");
    app.visitor.post(&path, "", &[]).await.unwrap();
    let person = kyc.person("the last").create();
    let start = Instant::now();
    let mut left = u64::MAX;
    loop {
        app.sign_in(&person).await;
        let now = store.size(app).await.records;
        if now >= left {
            return start.elapsed();
        }
        left = now;
    }
}

/// Returns the number of Redis keys. Each person has one key.
async fn of_redis(mut connection: redis::aio::MultiplexedConnection) -> (u64, Option<u64>) {
    let info = redis::cmd("INFO").arg("memory").to_owned();
    let info: String = info.query_async(&mut connection).await.unwrap();
    let bytes = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let bytes: u64 = bytes.unwrap().trim().parse().unwrap();
    let keys = redis::cmd("DBSIZE");
    let keys = keys.query_async(&mut connection).await.unwrap();
    (keys, Some(bytes / 1024))
}

async fn of_postgres(pool: &PgPool) -> (u64, Option<u64>) {
    let count = "SELECT (SELECT count(*) FROM kycport_records) \
         + (SELECT count(*) FROM kycport_leases), \
         pg_total_relation_size('kycport_records') + pg_total_relation_size('kycport_leases')";
    let (records, bytes): (i64, i64) = sqlx::query_as(count).fetch_one(pool).await.unwrap();
    let bytes = u64::try_from(bytes).unwrap();
    (u64::try_from(records).unwrap(), Some(bytes / 1024))
}

/// Returns the size of the database file and its log.
async fn of_sqlite(file: &SqliteFile) -> (u64, Option<u64>) {
    let options = SqliteConnectOptions::new().filename(file.path());
    let mut connection = options.connect().await.unwrap();
    let count = "SELECT (SELECT count(*) FROM kycport_records) \
         + (SELECT count(*) FROM kycport_leases)";
    let records: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let folder = file.path().parent().unwrap().to_owned();
    let files = std::fs::read_dir(folder).unwrap();
    let bytes: u64 = files.map(|it| it.unwrap().metadata().unwrap().len()).sum();
    (u64::try_from(records).unwrap(), Some(bytes / 1024))
}
