//! Apps for comparison. The first app is a bare axum route. The second app uses the session layer
//! of the crate tower-sessions. The third app reads a single record with the server's client.

use axum::{Extension, Router, routing::get};
use fred::{
    clients::Pool,
    interfaces::ClientLike as _,
    types::{Builder, config::Config},
};
use redis::AsyncCommands as _;
use sqlx::{
    PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, SessionStore};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use crate::app_process::{AppProcess, MEMORY, run, this_binary};

/// Number of connections that an app opens to its server. kycport opens the same number of
/// connections to Postgres.
const CONNECTIONS: u32 = 10;
/// Length of the record of [`Peer::OneRead`] in bytes, similar to the length of a session record.
const RECORD: usize = 300;
const KEY: &str = "one";

/// Work that an app performs for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Responds without reading a store.
    Bare,
    /// Loads a session of tower-sessions.
    TowerSessions,
    /// Reads one record with `GET` or `SELECT`.
    OneRead,
    /// Reads one record from Postgres without testing the connection before each use.
    OneReadUntested,
}

impl Peer {
    const ALL: [Self; 4] = [
        Self::Bare,
        Self::TowerSessions,
        Self::OneRead,
        Self::OneReadUntested,
    ];

    pub(crate) fn start(self, url: &str) -> AppProcess {
        let mut command = this_binary();
        command
            .env("PEER", format!("{self:?}"))
            .env("PEER_STORE", url);
        AppProcess::spawn(command)
    }
}

/// Returns whether this process was started as a peer. In that case, the peer has run and stopped
/// before this function returns.
pub(crate) fn ran_as_peer() -> bool {
    let Ok(name) = std::env::var("PEER") else {
        return false;
    };
    let mut all = Peer::ALL.into_iter();
    let peer = all.find(|peer| format!("{peer:?}") == name).unwrap();
    let url = std::env::var("PEER_STORE").unwrap();
    run(async move {
        match peer {
            Peer::Bare => Router::new().route("/hello", get(async || "hello somebody")),
            Peer::TowerSessions => tower_sessions(&url).await,
            Peer::OneRead => one_read(&url, true).await,
            Peer::OneReadUntested => one_read(&url, false).await,
        }
    });
    true
}

async fn tower_sessions(url: &str) -> Router {
    match url.split(':').next() {
        Some("redis") => with_sessions(RedisStore::new(redis_pool(url).await)),
        Some("postgres") => {
            let store = PostgresStore::new(postgres(url, true).await);
            store.migrate().await.unwrap();
            with_sessions(store)
        }
        Some("sqlite") => {
            let store = SqliteStore::new(sqlite(url).await);
            store.migrate().await.unwrap();
            with_sessions(store)
        }
        _ => {
            assert_eq!(url, MEMORY);
            with_sessions(MemoryStore::default())
        }
    }
}

fn with_sessions(store: impl SessionStore + Clone) -> Router {
    Router::new()
        .route("/hello", get(hello))
        .route("/put", get(put))
        .layer(SessionManagerLayer::new(store))
}

/// Stores the same facts as a session of kycport.
async fn put(Extension(session): Extension<Session>) {
    let person = serde_json::json!({
        "issuer": "http://127.0.0.1:50000",
        "subject": "person_0123456789abcdef",
        "assurance": { "kyc_status": "verified", "kyc_tier": "t2", "aml_clear": true },
        "scopes": ["openid", "kyc"],
    });
    session.insert("person", person).await.unwrap();
}

async fn hello(Extension(session): Extension<Session>) -> String {
    let person: serde_json::Value = session.get("person").await.unwrap().unwrap();
    format!("hello {}", person["subject"].as_str().unwrap())
}

async fn one_read(url: &str, tested: bool) -> Router {
    let record = "x".repeat(RECORD);
    let table = "CREATE TABLE IF NOT EXISTS one_read (id text PRIMARY KEY, data text NOT NULL)";
    let insert = "INSERT INTO one_read VALUES ($1, $2) ON CONFLICT DO NOTHING";
    match url.split(':').next() {
        Some("redis") => {
            let client = redis::Client::open(url).unwrap();
            let connection = client.get_connection_manager().await.unwrap();
            let _: () = connection.clone().set(KEY, record).await.unwrap();
            Router::new().route(
                "/hello",
                get(async move || {
                    let found: String = connection.clone().get(KEY).await.unwrap();
                    greeting(&found)
                }),
            )
        }
        Some("postgres") => {
            let pool = postgres(url, tested).await;
            sqlx::query(table).execute(&pool).await.unwrap();
            let insert = sqlx::query(insert).bind(KEY).bind(record);
            insert.execute(&pool).await.unwrap();
            Router::new().route("/hello", get(async move || select_postgres(&pool).await))
        }
        _ => {
            let pool = sqlite(url).await;
            sqlx::query(table).execute(&pool).await.unwrap();
            let insert = sqlx::query(insert).bind(KEY).bind(record);
            insert.execute(&pool).await.unwrap();
            Router::new().route("/hello", get(async move || select_sqlite(&pool).await))
        }
    }
}

const SELECT: &str = "SELECT data FROM one_read WHERE id = $1";

async fn select_postgres(pool: &PgPool) -> String {
    let select = sqlx::query_scalar(SELECT).bind(KEY);
    let found: String = select.fetch_one(pool).await.unwrap();
    greeting(&found)
}

async fn select_sqlite(pool: &SqlitePool) -> String {
    let select = sqlx::query_scalar(SELECT).bind(KEY);
    let found: String = select.fetch_one(pool).await.unwrap();
    greeting(&found)
}

fn greeting(found: &str) -> String {
    assert_eq!(found.len(), RECORD);
    "hello person_0123456789abcdef".to_owned()
}

async fn redis_pool(url: &str) -> Pool {
    let config = Config::from_url(url).unwrap();
    let connections = usize::try_from(CONNECTIONS).unwrap();
    let pool = Builder::from_config(config)
        .build_pool(connections)
        .unwrap();
    pool.init().await.unwrap();
    pool
}

async fn postgres(url: &str, tested: bool) -> PgPool {
    let options = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(tested);
    options.connect(url).await.unwrap()
}

/// Opens a separate file next to the file of kycport. The file is in WAL mode, in which reads do
/// not wait for writes.
async fn sqlite(url: &str) -> SqlitePool {
    let path = url.trim_start_matches("sqlite://");
    let options = SqliteConnectOptions::new()
        .filename(format!("{path}.peer"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    SqlitePool::connect_with(options).await.unwrap()
}
