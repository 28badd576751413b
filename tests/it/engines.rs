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
    web::{SessionLayer, WebhookReceiverBuilder},
    webhook::{MemoryReplayStore, PostgresReplayStore, RedisReplayStore},
};
use sqlx::PgPool;
use tokio::sync::OnceCell;
use tower_service::Service as _;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_sqlx_store::PostgresStore;

use crate::{servers, support::tenant_app_of};

/// Where the instances keep their sessions, and claim their logins.
#[derive(Clone)]
pub(crate) enum Engine {
    Memory(MemoryStore, MemoryCache, MemoryReplayStore),
    Redis(fred::clients::Pool),
    Postgres(PgPool),
}

impl Engine {
    /// Every engine that is installed here, each with connections of its own.
    pub(crate) async fn all(kyc: &MockIssuer) -> Vec<Self> {
        let mut all = vec![Self::memory(kyc)];
        all.extend(Self::redis().await);
        all.extend(Self::postgres().await);
        all
    }

    pub(crate) fn memory(kyc: &MockIssuer) -> Self {
        let store = MemoryStore::new(100_000, Arc::new(kyc.clock().clone()));
        Self::Memory(store, MemoryCache::default(), MemoryReplayStore::default())
    }

    pub(crate) async fn redis() -> Option<Self> {
        Some(Self::Redis(servers::redis()?.redis_pool().await))
    }

    pub(crate) async fn postgres() -> Option<Self> {
        Some(Self::Postgres(postgres().await?))
    }

    /// The layer, as a tenant would build it.
    pub(crate) fn layer(&self, kycport: &RelyingParty) -> SessionLayer {
        match self {
            Self::Memory(store, ..) => kycport.session_layer(store.clone()),
            Self::Redis(pool) => kycport.session_layer(RedisStore::new(pool.clone())),
            Self::Postgres(pool) => kycport
                .session_layer(PostgresStore::new(pool.clone()))
                .claims(PostgresReplayStore::new(pool.clone())),
        }
    }

    /// What the instances know of people.
    pub(crate) fn cache(&self, config: ConfigBuilder) -> ConfigBuilder {
        match self {
            Self::Memory(_, cache, _) => config.assurance_cache(cache.clone()),
            Self::Redis(pool) => config.assurance_cache(RedisAssuranceCache::new(pool.clone())),
            Self::Postgres(pool) => {
                config.assurance_cache(PostgresAssuranceCache::new(pool.clone()))
            }
        }
    }

    /// Which events the instances have handled.
    pub(crate) fn replay(&self, receiver: WebhookReceiverBuilder) -> WebhookReceiverBuilder {
        match self {
            Self::Memory(_, _, store) => receiver.replay_store(store.clone()),
            Self::Redis(pool) => receiver.replay_store(RedisReplayStore::new(pool.clone())),
            Self::Postgres(pool) => receiver.replay_store(PostgresReplayStore::new(pool.clone())),
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
        match self {
            Self::Memory(..) => "memory",
            Self::Redis(_) => "redis",
            Self::Postgres(_) => "postgres",
        }
    }
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
