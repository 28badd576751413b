//! One receiver, in a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use axum::{Router, body::Bytes, http::HeaderMap, http::StatusCode, routing::post};
use hmac::{Hmac, KeyInit as _, Mac as _};
use kycport::{
    Secret, SystemClock,
    web::{Delivery, WebhookReceiver, WebhookReceiverBuilder},
    webhook::{MemoryReplayStore, PostgresReplayStore, RedisReplayStore, Settled, WebhookVerifier},
};
use sha2::Sha256;
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::servers;

pub(crate) const SECRET: &str = "a webhook secret of the benches";
const CONNECTIONS_TO_POSTGRES: u32 = 16;

/// What a receiver does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads the body, judges its HMAC, and that is all.
    Bare,
    Memory,
    Redis,
    Postgres,
    /// The handler writes a row, and settles the event in the same transaction.
    PostgresEffect,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Bare,
        Self::Memory,
        Self::Redis,
        Self::Postgres,
        Self::PostgresEffect,
    ];

    fn name(self) -> String {
        format!("{self:?}")
    }
}

/// A receiver, until it is dropped.
pub(crate) struct Receiver {
    child: Child,
    pub(crate) port: u16,
}

impl Receiver {
    pub(crate) fn start(kind: Kind, store_port: u16) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env("BENCH_RECEIVER", kind.name())
            .env("BENCH_STORE_PORT", store_port.to_string())
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

/// Whether this process was started to be a receiver. It was one then, for as long as it was wanted.
pub(crate) fn was_asked_for() -> bool {
    let Ok(name) = std::env::var("BENCH_RECEIVER") else {
        return false;
    };
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let store_port = std::env::var("BENCH_STORE_PORT").unwrap();
    // It ends with whoever started it, however that ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(kind.unwrap(), store_port.parse().unwrap()));
    true
}

async fn serve(kind: Kind, store_port: u16) {
    let router = match kind {
        Kind::Bare => bare(),
        Kind::Memory => {
            let store = MemoryReplayStore::new(1_000_000, Arc::new(SystemClock::new()));
            mounted(nothing().replay_store(store))
        }
        Kind::Redis => {
            let store = RedisReplayStore::new(servers::redis_pool(store_port).await);
            mounted(nothing().replay_store(store))
        }
        Kind::Postgres => mounted(nothing().replay_store(postgres(store_port).await.1)),
        Kind::PostgresEffect => {
            let (pool, store) = postgres(store_port).await;
            let handler = {
                let store = store.clone();
                move |delivery| take_effect(pool.clone(), store.clone(), delivery)
            };
            mounted(WebhookReceiver::builder(verifier(), handler).replay_store(store))
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

/// With a handler that does nothing.
fn nothing() -> WebhookReceiverBuilder {
    WebhookReceiver::builder(verifier(), async |_| Ok::<(), std::io::Error>(()))
}

fn mounted(receiver: WebhookReceiverBuilder) -> Router {
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

async fn postgres(port: u16) -> (PgPool, PostgresReplayStore) {
    let pool = servers::postgres_pool(port, CONNECTIONS_TO_POSTGRES).await;
    let store = PostgresReplayStore::new(pool.clone());
    store.migrate().await.unwrap();
    let table = "CREATE TABLE IF NOT EXISTS effects (id text NOT NULL)";
    sqlx::query(table).execute(&pool).await.unwrap();
    (pool, store)
}

async fn take_effect(
    pool: PgPool,
    store: PostgresReplayStore,
    delivery: Delivery,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(&delivery.event().id);
    insert.execute(&mut *transaction).await?;
    let settled = store.complete_in(&mut transaction, delivery.claim()).await;
    assert_eq!(settled, Ok(Settled::Applied));
    transaction.commit().await
}
