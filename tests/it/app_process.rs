//! An instance of an app that is a process of its own: it can be killed, as a machine dies, started
//! again, and measured. The binary runs itself; what the app shall be is in its environment.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    middleware::map_response,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use fred::{
    clients::Pool,
    interfaces::ClientLike as _,
    types::{Builder, config::ReconnectPolicy},
};
use kycport::{
    Config, ConfigBuilder, KycTier, MemoryStore, RelyingParty, SignedIn, TestClock, Timestamp,
    kyc::{PostgresAssuranceCache, RedisAssuranceCache},
    web::{SealedStore, SealingKeys, SessionLayer, SessionStore, Sessions, WebhookReceiverBuilder},
    webhook::{PostgresReplayStore, RedisReplayStore},
};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_sqlx_store::PostgresStore;

use crate::servers::Server;

/// Every answer of the app bears it.
pub(crate) const MARK: &str = "x-instance";

const KEYS: &str = "process:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const CONNECTIONS: usize = 8;
/// An app has so long to find its server.
const START: Duration = Duration::from_secs(10);

/// Where an app keeps its sessions, and with [`Cache::Shared`] what it knows of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It has no sessions: a route of axum alone.
    Nowhere,
    Memory,
    Redis,
    Postgres,
}

/// Whether session records are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealing {
    Open,
    Sealed,
}

/// Where an app keeps what it knows of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    Own,
    Shared,
}

/// What an app shall be.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) kept: Kept,
    pub(crate) store_port: u16,
    pub(crate) sealing: Sealing,
    pub(crate) cache: Cache,
    /// What the issuer says that an app must be told.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Its clock stands still at this second, if any.
    pub(crate) stands_at: Option<i64>,
    /// How this binary is started again to be the app.
    pub(crate) arguments: &'static [&'static str],
}

/// An app, until it is killed or dropped.
pub(crate) struct AppProcess {
    child: Child,
    port: u16,
}

impl AppProcess {
    /// None if it did not start, such as when its store is away.
    pub(crate) fn start(wish: &Wish) -> Option<Self> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(wish.arguments)
            .env("APP_KEPT", format!("{:?}", wish.kept))
            .env("APP_STORE_PORT", wish.store_port.to_string())
            .env("APP_CACHE", format!("{:?}", wish.cache))
            .envs(wish.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if wish.sealing == Sealing::Sealed {
            command.env("KYCPORT_SESSION_KEYS", KEYS);
        }
        if let Some(second) = wish.stands_at {
            command.env("APP_STANDS_AT", second.to_string());
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("APP_PORT=")?.1.parse().ok());
        let Some(port) = port else {
            child.wait().unwrap();
            return None;
        };
        Some(Self { child, port })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// As a machine dies (`SIGKILL`). When this returns, nothing of it runs any more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for AppProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Makes the tables, as a tenant does when deploying.
pub(crate) async fn migrate(pool: &PgPool) {
    PostgresStore::new(pool.clone()).migrate().await.unwrap();
    let events = PostgresReplayStore::new(pool.clone());
    events.migrate().await.unwrap();
    let cache = PostgresAssuranceCache::new(pool.clone());
    cache.migrate().await.unwrap();
}

/// Whether this process was started to be an app. It was one then, for as long as it was wanted.
pub(crate) fn was_asked_for() -> bool {
    let Ok(kept) = std::env::var("APP_KEPT") else {
        return false;
    };
    let all = [Kept::Nowhere, Kept::Memory, Kept::Redis, Kept::Postgres];
    let kept = all.into_iter().find(|one| format!("{one:?}") == kept);
    // It ends with whoever started it, however that ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(kept.unwrap()));
    true
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[expect(clippy::print_stdout, reason = "it is read by whoever started it")]
async fn serve(kept: Kept) {
    let clock = TestClock::new();
    if let Some(second) = variable::<i64>("APP_STANDS_AT") {
        clock.freeze();
        clock.jump_to(Timestamp::from_unix(second));
    }
    let app = match kept {
        Kept::Nowhere => Router::new().route("/hello", get(async || "hello somebody")),
        _ => app(kept, &clock).await,
    };
    let marked = app.layer(map_response(async |mut answer: Response| {
        answer
            .headers_mut()
            .insert(MARK, HeaderValue::from_static("1"));
        answer
    }));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    println!("\nAPP_PORT={port}");
    axum::serve(listener, marked).await.unwrap();
}

/// What the app keeps on a server, or has nobody to share with.
enum Engine {
    Memory(MemoryStore),
    Redis(Pool),
    Postgres(PgPool),
}

impl Engine {
    async fn open(kept: Kept, clock: &TestClock) -> Self {
        let port = variable::<u16>("APP_STORE_PORT").unwrap_or_default();
        match kept {
            Kept::Redis => Self::Redis(redis(port).await),
            Kept::Postgres => Self::Postgres(postgres(port).await),
            Kept::Memory | Kept::Nowhere => {
                Self::Memory(MemoryStore::new(2_000_000, Arc::new(clock.clone())))
            }
        }
    }

    fn cache(&self, config: ConfigBuilder) -> ConfigBuilder {
        match self {
            Self::Memory(_) => config,
            Self::Redis(pool) => config.assurance_cache(RedisAssuranceCache::new(pool.clone())),
            Self::Postgres(pool) => {
                config.assurance_cache(PostgresAssuranceCache::new(pool.clone()))
            }
        }
    }

    fn layer(&self, kycport: &RelyingParty) -> SessionLayer {
        match self {
            Self::Memory(store) => layer(kycport, store.clone()),
            Self::Redis(pool) => layer(kycport, RedisStore::new(pool.clone())),
            Self::Postgres(pool) => layer(kycport, PostgresStore::new(pool.clone()))
                .claims(PostgresReplayStore::new(pool.clone())),
        }
    }

    fn replay(&self, receiver: WebhookReceiverBuilder) -> WebhookReceiverBuilder {
        match self {
            Self::Memory(_) => receiver,
            Self::Redis(pool) => receiver.replay_store(RedisReplayStore::new(pool.clone())),
            Self::Postgres(pool) => receiver.replay_store(PostgresReplayStore::new(pool.clone())),
        }
    }
}

fn layer(kycport: &RelyingParty, store: impl SessionStore + Clone) -> SessionLayer {
    match SealingKeys::from_env() {
        Ok(keys) => kycport.session_layer(SealedStore::new(store, keys)),
        Err(_) => kycport.session_layer(store),
    }
}

/// As the manual sets it up. Who finds no server does not start, and is started again.
async fn redis(port: u16) -> Pool {
    let url = format!("redis://:{}@127.0.0.1:{port}", Server::PASSWORD);
    let config = fred::types::config::Config::from_url(&url);
    let pool = Builder::from_config(config.unwrap())
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 2_000, 2))
        .with_performance_config(|config| {
            config.default_command_timeout = Duration::from_secs(2);
        })
        .build_pool(CONNECTIONS)
        .unwrap();
    match tokio::time::timeout(START, pool.init()).await {
        Ok(Ok(_)) => pool,
        Ok(Err(_)) | Err(_) => std::process::exit(1),
    }
}

async fn postgres(port: u16) -> PgPool {
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    match PgPool::connect(&url).await {
        Ok(pool) => pool,
        Err(_) => std::process::exit(1),
    }
}

async fn app(kept: Kept, clock: &TestClock) -> Router {
    let engine = Engine::open(kept, clock).await;
    let mut config = Config::builder_from_env().unwrap().clock(clock.clone());
    if std::env::var("APP_CACHE").as_deref() == Ok("Shared") {
        config = engine.cache(config);
    }
    if clock.is_frozen() {
        // As long as a login is remembered, so that all of its records end in the same second.
        let lifetime = Duration::from_secs(1200);
        config = config.session_limits(lifetime, lifetime);
    }
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let layer = engine.layer(&kycport);
    let webhooks = engine.replay(kycport.webhooks(async |_| Ok::<(), std::io::Error>(())));
    let subject = async |person: SignedIn| person.subject().to_owned();
    let tier = kycport.require(KycTier::T2);
    let app = Router::new()
        .route("/", get(async || "home"))
        .route("/hello", get(subject))
        .route("/guarded", get(subject).route_layer(tier.clone()))
        .route("/sensitive", get(subject).route_layer(tier.fresh()))
        .merge(kycport.router())
        .layer(layer.clone())
        .route("/people/{subject}/end", post(end_all))
        .with_state(layer.sessions())
        .route_service("/webhooks/kycport", webhooks.build().unwrap());
    let clock = clock.clone();
    let app = app.route(
        "/clock/{seconds}",
        post(async move |Path(seconds): Path<u64>| clock.advance(Duration::from_secs(seconds))),
    );
    match engine {
        Engine::Memory(store) => app.route("/records", get(async move || store.len().to_string())),
        _ => app,
    }
}

/// As a page for support would.
async fn end_all(State(sessions): State<Sessions>, Path(subject): Path<String>) -> Response {
    match sessions.end_all(&subject).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")]).into_response(),
    }
}
