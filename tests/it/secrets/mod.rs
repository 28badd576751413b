//! Tests that the app rotates secrets without a restart. The app never replaces a valid secret by
//! an invalid secret, and no login fails.

mod app;
mod client_secret;
mod files;
mod provider;
mod shown;
mod tenant_key;
mod webhook_secret;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kycport::{
    ConfigBuilder, KycTier, RelyingParty, RotationReport,
    mock::{Endpoint, MockIssuer, Person},
    secrets::Secrets,
};

use crate::direct::relying_party_with;

/// Text in an error of the provider. The app must never log or return this text.
pub(crate) const CANARY: &str = "canary-in-the-error-of-a-provider";

/// Secret store of the tenant.
#[derive(Clone, Default)]
pub(crate) struct Vault {
    holds: Arc<Mutex<Option<Secrets>>>,
    asked: Arc<AtomicUsize>,
}

impl Vault {
    pub(crate) fn holds(&self, secrets: Secrets) {
        *self.holds.lock().unwrap() = Some(secrets);
    }

    pub(crate) fn fails(&self) {
        *self.holds.lock().unwrap() = None;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn read(&self) -> Result<Secrets, &'static str> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.holds.lock().unwrap().clone().ok_or(CANARY)
    }
}

pub(crate) struct RotationTest {
    pub(crate) kyc: MockIssuer,
    pub(crate) party: RelyingParty,
    pub(crate) ada: Person,
    pub(crate) vault: Vault,
}

impl RotationTest {
    pub(crate) async fn new() -> Self {
        Self::with(|config| config).await
    }

    pub(crate) async fn with(more: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let kyc = MockIssuer::start().await;
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        let vault = Vault::default();
        let own = vault.clone();
        let party = relying_party_with(&kyc, |config| {
            let limit = Duration::from_secs(10);
            let config = config
                .max_attempts(1)
                .retry_pause(Duration::from_millis(1))
                .retry_deadline(limit);
            more(config.secrets(move || {
                let secrets = own.read();
                async move { secrets }
            }))
        });
        Self {
            kyc,
            party,
            ada,
            vault,
        }
    }

    /// Stores these secrets in the vault, reloads the secrets, and returns the report of the
    /// reload.
    pub(crate) async fn reload(&self, secrets: Secrets) -> RotationReport {
        self.vault.holds(secrets);
        self.party.reload_secrets().await.unwrap()
    }

    /// Returns the number of requests to an endpoint since the last call of this function.
    pub(crate) fn asked(&self, endpoint: Endpoint) -> usize {
        let asked = self.kyc.requests(endpoint).count();
        self.kyc.forget_requests();
        asked
    }
}
