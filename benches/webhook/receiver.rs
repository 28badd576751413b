//! Webhook receiver in a separate process.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use axum::{Router, body::Bytes, http::HeaderMap, http::StatusCode, routing::post};
use hmac::{Hmac, KeyInit as _, Mac as _};
use kycport::{
    Secret,
    store::{MemoryStore, PostgresStore, RedisStore, SettleIn, SqliteStore, Store},
    web::{Delivery, WebhookReceiver},
    webhook::{SettleOutcome, WebhookVerifier},
};
use sha2::Sha256;
use sqlx::{
    PgConnection, PgPool, SqliteConnection, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::net::TcpListener;

pub(crate) const SECRET: &str = "the webhook secret of the benchmarks";
/// Number of Postgres connections for the transactions of the handler.
const CONNECTIONS: u32 = 16;

/// Work that a receiver performs for each delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The receiver only reads the body and verifies its HMAC.
    Bare,
    Memory,
    Redis,
    Postgres,
    /// The handler writes a row in Postgres, and completes the event in the same transaction.
    PostgresEffect,
    Sqlite,
    /// The handler writes a row in SQLite, and completes the event in the same transaction.
    SqliteEffect,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Bare,
        Self::Memory,
        Self::Redis,
        Self::Postgres,
        Self::PostgresEffect,
        Self::Sqlite,
        Self::SqliteEffect,
    ];

    fn name(self) -> String {
        format!("{self:?}")
    }
}

/// Running receiver. Dropping this value kills the process.
pub(crate) struct Receiver {
    child: Child,
    pub(crate) port: u16,
}

impl Receiver {
    /// Starts a receiver whose store has this URL.
    pub(crate) fn start(kind: Kind, url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env("BENCH_RECEIVER", kind.name())
            .env("BENCH_STORE", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Self { child, port }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Returns whether this process was started as a receiver. In that case, the receiver has run and
/// stopped before this function returns.
pub(crate) fn ran_as_receiver() -> bool {
    let Ok(name) = std::env::var("BENCH_RECEIVER") else {
        return false;
    };
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let url = std::env::var("BENCH_STORE").unwrap();
    // The receiver exits when its parent process ends for any reason.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(kind.unwrap(), url));
    true
}

async fn serve(kind: Kind, url: String) {
    let router = match kind {
        Kind::Bare => bare(),
        Kind::Memory => handling_nothing(MemoryStore::default()),
        Kind::Redis => handling_nothing(RedisStore::connect(&url).await.unwrap()),
        Kind::Postgres => handling_nothing(PostgresStore::connect(&url).await.unwrap()),
        Kind::Sqlite => handling_nothing(SqliteStore::connect(&url).await.unwrap()),
        Kind::PostgresEffect => {
            let options = PgPoolOptions::new().max_connections(CONNECTIONS);
            let pool = options.connect(&url).await.unwrap();
            sqlx::query(TABLE).execute(&pool).await.unwrap();
            let store = Arc::new(PostgresStore::connect(&url).await.unwrap());
            let own = Arc::clone(&store);
            mounted(store, move |delivery| {
                in_postgres(pool.clone(), Arc::clone(&own), delivery)
            })
        }
        Kind::SqliteEffect => {
            let pool = sqlite(&url).await;
            sqlx::query(TABLE).execute(&pool).await.unwrap();
            let store = Arc::new(SqliteStore::connect(&url).await.unwrap());
            let own = Arc::clone(&store);
            mounted(store, move |delivery| {
                in_sqlite(pool.clone(), Arc::clone(&own), delivery)
            })
        }
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    axum::serve(listener, router).await.unwrap();
}

fn verifier() -> WebhookVerifier {
    let builder = WebhookVerifier::builder().secret("current", Secret::new(SECRET));
    builder.build().unwrap()
}

fn handling_nothing(store: impl Store) -> Router {
    mounted(store, async |_| Ok::<(), sqlx::Error>(()))
}

fn mounted<F>(store: impl Store, handler: impl Fn(Delivery) -> F + Send + Sync + 'static) -> Router
where
    F: Future<Output = sqlx::Result<()>> + Send + 'static,
{
    let receiver = WebhookReceiver::builder(verifier(), handler)
        .store(store)
        .name("acme");
    Router::new().route_service("/", receiver.build().unwrap())
}

fn bare() -> Router {
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let judge = async move |headers: HeaderMap, body: Bytes| {
        let header = headers.get("x-kycport-signature").unwrap().to_str();
        let hex = header.unwrap().trim_start_matches("sha256=");
        let tag = base16ct::lower::decode_vec(hex).unwrap();
        let mut mac = key.clone();
        mac.update(&body);
        match mac.verify_slice(&tag) {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::UNAUTHORIZED,
        }
    };
    Router::new().route("/", post(judge))
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS effects (id text NOT NULL)";

async fn in_postgres(
    pool: PgPool,
    store: Arc<PostgresStore>,
    delivery: Delivery,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(&delivery.event().id);
    insert.execute(&mut *transaction).await?;
    complete::<PgConnection>(&delivery, &*store, &mut transaction).await;
    transaction.commit().await
}

/// SQLite has one writer, so the handlers take turns.
async fn sqlite(url: &str) -> SqlitePool {
    let path = url.trim_start_matches("sqlite://");
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(1);
    pool.connect_with(options).await.unwrap()
}

async fn in_sqlite(
    pool: SqlitePool,
    store: Arc<SqliteStore>,
    delivery: Delivery,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(&delivery.event().id);
    insert.execute(&mut *transaction).await?;
    complete::<SqliteConnection>(&delivery, &*store, &mut transaction).await;
    transaction.commit().await
}

async fn complete<C>(delivery: &Delivery, store: &impl SettleIn<C>, connection: &mut C) {
    let settled = delivery.lease().complete_in(store, connection).await;
    assert_eq!(settled, Ok(SettleOutcome::Applied));
}
