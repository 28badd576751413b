//! News that the assurance cache does not take is not acknowledged: what it held before would be
//! believed for as long as it is not too old.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use kycport::{
    Assurance, Config, ConfigBuilder, KycTier, MemoryStore, RelyingParty,
    kyc::{AssuranceCache, CacheUnavailable, MemoryCache, PersonKey},
    mock::{Endpoint, MockIssuer},
};

use crate::{
    desk::{SECRET, answer, deliver, event},
    support::tenant_app_of,
};

/// What is the matter with a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It can be read alone.
    ReadOnly,
    /// It takes nothing, and can forget: a Redis at `maxmemory`.
    Full,
    /// It never answers a write.
    Hangs,
}

/// A cache that is in trouble for a while.
#[derive(Debug, Clone)]
struct Troubled {
    inner: MemoryCache,
    trouble: Trouble,
    is_now: Arc<AtomicBool>,
}

impl Troubled {
    async fn writable(&self) -> Result<(), CacheUnavailable> {
        if !self.is_now.load(Ordering::SeqCst) {
            return Ok(());
        }
        match self.trouble {
            Trouble::ReadOnly | Trouble::Full => Err(CacheUnavailable),
            Trouble::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl AssuranceCache for Troubled {
    async fn get(&self, person: &PersonKey) -> Result<Option<Assurance>, CacheUnavailable> {
        self.inner.get(person).await
    }

    async fn put(&self, person: &PersonKey, assurance: Assurance) -> Result<(), CacheUnavailable> {
        self.writable().await?;
        self.inner.put(person, assurance).await
    }

    async fn forget(&self, person: &PersonKey) -> Result<(), CacheUnavailable> {
        if self.trouble != Trouble::Full {
            self.writable().await?;
        }
        self.inner.forget(person).await
    }
}

/// What KYCPort says when it is asked about the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Answers,
    Refuses,
    /// There is no key to ask with.
    NoKey,
}

fn without_key(kyc: &MockIssuer, config: ConfigBuilder) -> ConfigBuilder {
    let redirect_uri = config.build().unwrap().redirect_uri().to_string();
    let client = kyc.client();
    Config::builder(client.id(), redirect_uri)
        .client_secret(client.secret().unwrap())
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url())
        .clock(kyc.clock().clone())
}

async fn a_rejection_that_is_not_kept(asked: Asked, trouble: Trouble) {
    let kyc = MockIssuer::start().await;
    let cache = Troubled {
        inner: MemoryCache::default(),
        trouble,
        is_now: Arc::default(),
    };
    let (own, kept_in) = (kyc.clone(), cache.clone());
    let store = MemoryStore::new(1000, Arc::new(kyc.clock().clone()));
    let app = kyc.serve(move |config| {
        let config = match asked {
            Asked::NoKey => without_key(&own, config),
            Asked::Answers | Asked::Refuses => config,
        };
        let config = config.webhook_secret(SECRET).assurance_cache(kept_in);
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let webhooks = kycport.webhooks(async |_| Ok::<(), std::io::Error>(()));
        tenant_app_of(&kycport, kycport.session_layer(store))
            .route_service("/webhooks/kycport", webhooks.build().unwrap())
    });
    let app = app.await.unwrap();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    browser.get(app.url("/")).await.unwrap();
    let guarded = async || {
        let page = browser.fetch(app.url("/guarded")).await.unwrap();
        page.status()
    };
    assert_eq!(guarded().await, 200);

    let _no = (asked == Asked::Refuses).then(|| kyc.on(Endpoint::Status).fail(403).always());
    ada.reject();
    let rejected = event(&kyc, "evt_1", &ada, "rejected");
    let url = app.url("/webhooks/kycport");
    let delivered = async || answer(deliver(&url, &rejected).await).await;
    cache.is_now.store(true, Ordering::SeqCst);
    let unavailable = (503, "store_unavailable".to_owned());
    assert_eq!(delivered().await, unavailable, "{asked:?} {trouble:?}");
    // That is why.
    if trouble != Trouble::Full {
        assert_eq!(guarded().await, 200, "{asked:?} {trouble:?}");
    }

    cache.is_now.store(false, Ordering::SeqCst);
    assert_eq!(delivered().await.0, 200, "{asked:?}");
    assert_ne!(guarded().await, 200, "{asked:?}");
}

#[tokio::test]
async fn a_rejection_that_could_not_be_kept_comes_again() {
    // case 95
    for asked in [Asked::Answers, Asked::Refuses, Asked::NoKey] {
        a_rejection_that_is_not_kept(asked, Trouble::ReadOnly).await;
        a_rejection_that_is_not_kept(asked, Trouble::Full).await;
    }
    // Within the time that a handler has, and none of the handler's doing.
    a_rejection_that_is_not_kept(Asked::NoKey, Trouble::Hangs).await;
}
