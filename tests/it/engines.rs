//! Storage engines that the instances of an app share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::Request};
use kycport::{
    ConfigBuilder, MemoryStore, RelyingParty, RunningApp,
    mock::MockIssuer,
    store::{PostgresStore, RedisStore, SqliteStore, Store},
    web::{SealingKeys, Sessions},
};
use tower_service::Service as _;

use crate::{
    recording_store::RecordingStore, servers, sqlite_file::SqliteFile, support::tenant_app_of,
};

pub(crate) const FIRST_KEY: &str = "first:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const SECOND_KEY: &str = "second:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// Storage engine with its settings.
#[derive(Clone)]
pub(crate) struct Engine {
    name: &'static str,
    store: Arc<dyn Store>,
    /// SQLite file. Dropping the last engine that uses the file deletes the file.
    file: Option<Arc<SqliteFile>>,
    /// Keys that encrypt the records. `None` means that the records are not encrypted.
    sealing: Option<String>,
}

impl Engine {
    /// Returns every installed engine without and with encryption. Each engine has separate
    /// connections.
    pub(crate) async fn all(kyc: &MockIssuer) -> Vec<Self> {
        let mut all = vec![Self::memory(kyc)];
        all.push(Self::sqlite().await);
        all.extend(Self::redis().await);
        all.extend(Self::postgres().await);
        let sealed: Vec<_> = all.iter().map(Self::sealed).collect();
        all.extend(sealed);
        all
    }

    pub(crate) fn memory(kyc: &MockIssuer) -> Self {
        let store = MemoryStore::new(100_000, Arc::new(kyc.clock().clone()));
        Self::on("memory", store)
    }

    /// Returns this engine for another mock. An in-memory store uses the clock of this mock.
    pub(crate) fn aging_with(&self, kyc: &MockIssuer) -> Self {
        let mut own = self.clone();
        if own.name.starts_with("memory") {
            own.store = Self::memory(kyc).store;
        }
        own
    }

    pub(crate) async fn sqlite() -> Self {
        let file = SqliteFile::new();
        let store = SqliteStore::connect(&file.url()).await.unwrap();
        Self {
            file: Some(Arc::new(file)),
            ..Self::on("sqlite", store)
        }
    }

    pub(crate) async fn redis() -> Option<Self> {
        let store = redis_store(servers::redis()?.port()).await?;
        Some(Self::on("redis", store))
    }

    pub(crate) async fn postgres() -> Option<Self> {
        let store = PostgresStore::connect(&servers::postgres()?.url()).await;
        Some(Self::on("postgres", store.unwrap()))
    }

    /// Returns an engine for a store that the test supplies.
    pub(crate) fn on(name: &'static str, store: impl Store) -> Self {
        Self {
            name,
            store: Arc::new(store),
            file: None,
            sealing: None,
        }
    }

    /// Returns this engine with encrypted records.
    pub(crate) fn sealed(&self) -> Self {
        self.sealed_with(FIRST_KEY)
    }

    /// Returns this engine with records encrypted by these keys.
    pub(crate) fn sealed_with(&self, keys: &str) -> Self {
        Self {
            name: match self.name {
                "memory" => "memory, sealed",
                "redis" => "redis, sealed",
                "postgres" => "postgres, sealed",
                "sqlite" => "sqlite, sealed",
                other => other,
            },
            store: Arc::clone(&self.store),
            file: self.file.clone(),
            sealing: Some(keys.to_owned()),
        }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealing.is_some()
    }

    /// Configures an app to use this engine, like a tenant.
    pub(crate) fn configure(&self, config: ConfigBuilder) -> ConfigBuilder {
        self.configure_over(config, Arc::clone(&self.store))
    }

    /// Configures an app to use this engine's settings and another store.
    pub(crate) fn configure_over(&self, config: ConfigBuilder, store: impl Store) -> ConfigBuilder {
        let config = config.store(store);
        match &self.sealing {
            Some(keys) => config.session_keys(SealingKeys::parse(keys).unwrap()),
            None => config,
        }
    }

    /// Returns this engine's store, wrapped in a store whose faults the test controls.
    pub(crate) fn recording_store(&self) -> RecordingStore {
        RecordingStore::over(Arc::clone(&self.store))
    }

    /// Returns the session administration of an instance that serves no requests, like a support
    /// tool.
    pub(crate) fn sessions(&self, kyc: &MockIssuer) -> Sessions {
        let config = self.configure(kyc.config("http://127.0.0.1:9/auth/callback"));
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        kycport.sessions()
    }

    /// Starts an instance of an app on this engine.
    pub(crate) fn instance(&self, config: ConfigBuilder) -> Router {
        let config = self.configure(config).build().unwrap();
        let kycport = RelyingParty::new(config).unwrap();
        let receiver = kycport.webhooks(async |_| Ok::<(), std::io::Error>(()));
        tenant_app_of(&kycport).route_service("/webhooks/kycport", receiver.build().unwrap())
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

/// Returns a store in the Redis on this port.
pub(crate) async fn redis_store(port: u16) -> Option<Arc<dyn Store>> {
    let store = RedisStore::connect(&servers::redis_url(port)).await;
    Some(Arc::new(store.unwrap()))
}

/// Returns a Postgres store on the test's own connections. This function does not create the
/// tables.
pub(crate) fn postgres_store(pool: sqlx::PgPool) -> PostgresStore {
    PostgresStore::new(pool)
}

/// Serves two instances behind a load balancer. Consecutive requests go to different instances.
pub(crate) async fn balanced(
    kyc: &MockIssuer,
    instance: impl Fn(ConfigBuilder) -> Router,
) -> RunningApp {
    let proxy = |config: ConfigBuilder| {
        let instances = [instance(config.clone()), instance(config)];
        let turn = Arc::new(AtomicUsize::new(0));
        Router::new().fallback(move |request: Request| {
            let next = turn.fetch_add(1, Ordering::SeqCst) % instances.len();
            let mut instance = instances[next].clone();
            async move { instance.call(request).await }
        })
    };
    kyc.serve(proxy).await.unwrap()
}
