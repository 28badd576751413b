//! What instances of one app share, on each engine there is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::Request};
use kycport::{
    ConfigBuilder, MemoryStore, RelyingParty, RunningApp,
    kyc::{MemoryCache, PostgresAssuranceCache, RedisAssuranceCache},
    mock::MockIssuer,
    web::{SealedStore, SealingKeys, SessionLayer, SessionStore, Sessions, WebhookReceiverBuilder},
    webhook::{MemoryReplayStore, PostgresReplayStore, RedisReplayStore},
};
use sqlx::PgPool;
use tokio::sync::OnceCell;
use tower_service::Service as _;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_sqlx_store::PostgresStore;

use crate::{faulty_store::FaultyStore, servers, support::tenant_app_of};

pub(crate) const FIRST_KEY: &str = "first:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const SECOND_KEY: &str = "second:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// Where the instances keep their sessions, and claim their logins.
#[derive(Clone)]
pub(crate) struct Engine {
    kept: Kept,
    /// The keys that the sessions are sealed with, if they are.
    sealing: Option<String>,
}

#[derive(Clone)]
enum Kept {
    Memory(MemoryStore, MemoryCache, MemoryReplayStore),
    Redis(fred::clients::Pool),
    Postgres(PgPool),
}

impl Engine {
    /// Every engine that is installed here, each open and sealed, with connections of its own.
    pub(crate) async fn all(kyc: &MockIssuer) -> Vec<Self> {
        let mut all = vec![Self::memory(kyc)];
        all.extend(Self::redis().await);
        all.extend(Self::postgres().await);
        let sealed: Vec<_> = all.iter().map(Self::sealed).collect();
        all.extend(sealed);
        all
    }

    pub(crate) fn memory(kyc: &MockIssuer) -> Self {
        let store = MemoryStore::new(100_000, Arc::new(kyc.clock().clone()));
        let cache = MemoryCache::default();
        Self::open(Kept::Memory(store, cache, MemoryReplayStore::default()))
    }

    /// The same for another mock: memory ages with the clock of its own.
    pub(crate) fn aging_with(&self, kyc: &MockIssuer) -> Self {
        let mut own = self.clone();
        if let Kept::Memory(..) = own.kept {
            own.kept = Self::memory(kyc).kept;
        }
        own
    }

    pub(crate) async fn redis() -> Option<Self> {
        Some(Self::on_redis(servers::redis()?.redis_pool().await))
    }

    pub(crate) async fn postgres() -> Option<Self> {
        Some(Self::on_postgres(postgres().await?))
    }

    pub(crate) fn on_redis(pool: fred::clients::Pool) -> Self {
        Self::open(Kept::Redis(pool))
    }

    pub(crate) fn on_postgres(pool: PgPool) -> Self {
        Self::open(Kept::Postgres(pool))
    }

    fn open(kept: Kept) -> Self {
        let sealing = None;
        Self { kept, sealing }
    }

    /// The same server, where sessions are sealed.
    pub(crate) fn sealed(&self) -> Self {
        self.sealed_with(FIRST_KEY)
    }

    /// The same, with keys of the test's own.
    pub(crate) fn sealed_with(&self, keys: &str) -> Self {
        Self {
            kept: self.kept.clone(),
            sealing: Some(keys.to_owned()),
        }
    }

    /// The same server, seen as it lies there.
    pub(crate) fn opened(&self) -> Self {
        Self::open(self.kept.clone())
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealing.is_some()
    }

    /// The layer, as a tenant would build it.
    pub(crate) fn layer(&self, kycport: &RelyingParty) -> SessionLayer {
        match &self.kept {
            Kept::Memory(store, ..) => self.layer_over(kycport, store.clone()),
            Kept::Redis(pool) => self.layer_over(kycport, RedisStore::new(pool.clone())),
            Kept::Postgres(pool) => self
                .layer_over(kycport, PostgresStore::new(pool.clone()))
                .claims(PostgresReplayStore::new(pool.clone())),
        }
    }

    fn layer_over(&self, kycport: &RelyingParty, store: impl SessionStore) -> SessionLayer {
        match &self.sealing {
            Some(keys) => kycport.session_layer(sealed(store, keys)),
            None => kycport.session_layer(store),
        }
    }

    /// The store of that layer, with switches.
    pub(crate) fn faulty_store(&self) -> FaultyStore {
        match &self.kept {
            Kept::Memory(store, ..) => self.faulty_over(store.clone()),
            Kept::Redis(pool) => self.faulty_over(RedisStore::new(pool.clone())),
            Kept::Postgres(pool) => self.faulty_over(PostgresStore::new(pool.clone())),
        }
    }

    fn faulty_over(&self, store: impl SessionStore) -> FaultyStore {
        match &self.sealing {
            Some(keys) => FaultyStore::over(sealed(store, keys)),
            None => FaultyStore::over(store),
        }
    }

    /// The layer over it.
    pub(crate) fn faulty_layer(&self, kycport: &RelyingParty, store: FaultyStore) -> SessionLayer {
        let layer = kycport.session_layer(store);
        match &self.kept {
            Kept::Postgres(pool) => layer.claims(PostgresReplayStore::new(pool.clone())),
            Kept::Memory(..) | Kept::Redis(_) => layer.danger_store_claims(),
        }
    }

    /// What support has: an instance that serves nobody.
    pub(crate) fn sessions(&self, kyc: &MockIssuer) -> Sessions {
        let config = kyc.config("http://127.0.0.1:9/auth/callback");
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        self.layer(&kycport).sessions()
    }

    /// What the instances know of people.
    pub(crate) fn cache(&self, config: ConfigBuilder) -> ConfigBuilder {
        match &self.kept {
            Kept::Memory(_, cache, _) => config.assurance_cache(cache.clone()),
            Kept::Redis(pool) => config.assurance_cache(RedisAssuranceCache::new(pool.clone())),
            Kept::Postgres(pool) => {
                config.assurance_cache(PostgresAssuranceCache::new(pool.clone()))
            }
        }
    }

    /// Which events the instances have handled.
    pub(crate) fn replay(&self, receiver: WebhookReceiverBuilder) -> WebhookReceiverBuilder {
        match &self.kept {
            Kept::Memory(_, _, store) => receiver.replay_store(store.clone()),
            Kept::Redis(pool) => receiver.replay_store(RedisReplayStore::new(pool.clone())),
            Kept::Postgres(pool) => receiver.replay_store(PostgresReplayStore::new(pool.clone())),
        }
    }

    /// An instance of an app that keeps everything here.
    pub(crate) fn instance(&self, config: ConfigBuilder) -> Router {
        let config = self.cache(config).build().unwrap();
        let kycport = RelyingParty::new(config).unwrap();
        let receiver = self.replay(kycport.webhooks(async |_| Ok::<(), std::io::Error>(())));
        tenant_app_of(&kycport, self.layer(&kycport))
            .route_service("/webhooks/kycport", receiver.build().unwrap())
    }

    pub(crate) fn name(&self) -> &'static str {
        match (&self.kept, &self.sealing) {
            (Kept::Memory(..), None) => "memory",
            (Kept::Memory(..), Some(_)) => "memory, sealed",
            (Kept::Redis(_), None) => "redis",
            (Kept::Redis(_), Some(_)) => "redis, sealed",
            (Kept::Postgres(_), None) => "postgres",
            (Kept::Postgres(_), Some(_)) => "postgres, sealed",
        }
    }
}

fn sealed<S: SessionStore>(store: S, keys: &str) -> SealedStore<S> {
    SealedStore::new(store, SealingKeys::parse(keys).unwrap())
}

/// The shared Postgres, with the tables.
pub(crate) async fn postgres() -> Option<PgPool> {
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    let pool = servers::postgres()?.postgres_pool().await;
    MIGRATED.get_or_init(|| migrate(&pool)).await;
    Some(pool)
}

/// As a tenant does when deploying.
pub(crate) async fn migrate(pool: &PgPool) {
    PostgresStore::new(pool.clone()).migrate().await.unwrap();
    let (claims, cache) = (
        PostgresReplayStore::new(pool.clone()),
        PostgresAssuranceCache::new(pool.clone()),
    );
    claims.migrate().await.unwrap();
    cache.migrate().await.unwrap();
}

/// Two instances behind a load balancer.
pub(crate) async fn two_instances(
    kyc: &MockIssuer,
    layer: impl Fn(&RelyingParty) -> SessionLayer,
) -> RunningApp {
    balanced(kyc, |config| {
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        tenant_app_of(&kycport, layer(&kycport))
    })
    .await
}

/// The same, of an app of the test's own. No two requests in a row meet the same instance.
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
