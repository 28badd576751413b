//! What instances of one app share, on each engine there is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::Request};
use kycport::{
    ConfigBuilder, MemoryStore, RelyingParty, RunningApp, mock::MockIssuer, web::SessionLayer,
    webhook::PostgresReplayStore,
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
    Memory(MemoryStore),
    Redis(fred::clients::Pool),
    Postgres(PgPool),
}

impl Engine {
    /// Every engine that is installed here, each with connections of its own.
    pub(crate) async fn all(kyc: &MockIssuer) -> Vec<Self> {
        let memory = MemoryStore::new(100_000, Arc::new(kyc.clock().clone()));
        let mut all = vec![Self::Memory(memory)];
        if let Some(server) = servers::redis() {
            all.push(Self::Redis(server.redis_pool().await));
        }
        if servers::postgres().is_some() {
            all.push(Self::Postgres(postgres().await.unwrap()));
        }
        all
    }

    /// The layer, as a tenant would build it.
    pub(crate) fn layer(&self, kycport: &RelyingParty) -> SessionLayer {
        match self {
            Self::Memory(store) => kycport.session_layer(store.clone()),
            Self::Redis(pool) => kycport.session_layer(RedisStore::new(pool.clone())),
            Self::Postgres(pool) => kycport
                .session_layer(PostgresStore::new(pool.clone()))
                .claims(PostgresReplayStore::new(pool.clone())),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Redis(_) => "redis",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// The shared Postgres, with the tables.
pub(crate) async fn postgres() -> Option<PgPool> {
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    let pool = servers::postgres()?.postgres_pool().await;
    let migrating = async {
        PostgresStore::new(pool.clone()).migrate().await.unwrap();
        PostgresReplayStore::new(pool.clone())
            .migrate()
            .await
            .unwrap();
    };
    MIGRATED.get_or_init(|| migrating).await;
    Some(pool)
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
