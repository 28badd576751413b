//! Where secrets come from.

use std::{
    fmt::{self, Debug},
    future::Future,
    io,
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;

use super::{flaw::SecretFlaw, kind::SecretKind};
use crate::secret::Secret;

/// Says what the secrets are now: asked once for each reload, and by nobody else.
///
/// [`SecretFiles`](super::SecretFiles) reads what is mounted. Any async closure is one too, for a
/// secret store of your own:
///
/// ```
/// use kycport::{Config, secrets::Secrets};
///
/// let vault = async || -> Result<Secrets, std::io::Error> {
///     // Ask your store here, and log what goes wrong: the error itself goes no further.
///     Ok(Secrets::new().client_secret("from your store"))
/// };
/// let config = Config::builder("my-client", "https://app.example.com/auth/callback")
///     .secrets(vault)
///     .build()?;
/// # Ok::<(), kycport::ConfigError>(())
/// ```
#[async_trait]
pub trait SecretProvider: Send + Sync + 'static {
    /// The secrets as they are now, within 30 s. What is left out stays as it is.
    async fn secrets(&self) -> Result<Secrets, SecretsUnavailable>;
}

#[async_trait]
impl<F, Told, E> SecretProvider for F
where
    F: Fn() -> Told + Send + Sync + 'static,
    Told: Future<Output = Result<Secrets, E>> + Send,
{
    async fn secrets(&self) -> Result<Secrets, SecretsUnavailable> {
        // The error may hold anything: it is the app's to log.
        self().await.map_err(|_| SecretsUnavailable::Failed)
    }
}

/// The secrets that a provider knows. One that is left out stays as it is: there is no way to lose
/// a secret by a file that is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secrets {
    /// `KYCPORT_CLIENT_SECRET`.
    pub client_secret: Option<Secret>,
    /// `KYCPORT_TENANT_API_KEY`.
    pub tenant_api_key: Option<Secret>,
    /// `KYCPORT_WEBHOOK_SECRET`.
    pub webhook_secret: Option<Secret>,
    /// `KYCPORT_WEBHOOK_SECRET_PREVIOUS`: believed without end while it is named. Left out, it stays
    /// until a restart or
    /// [`remove_previous_webhook_secrets`](crate::RelyingParty::remove_previous_webhook_secrets); once another
    /// secret is named, it goes as what is replaced does.
    pub previous_webhook_secret: Option<Secret>,
}

impl Secrets {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this client secret.
    #[must_use]
    pub fn client_secret(self, secret: impl Into<String>) -> Self {
        self.with(SecretKind::ClientSecret, Secret::new(secret))
    }

    /// With this tenant key.
    #[must_use]
    pub fn tenant_api_key(self, key: impl Into<String>) -> Self {
        self.with(SecretKind::TenantApiKey, Secret::new(key))
    }

    /// With this webhook secret.
    #[must_use]
    pub fn webhook_secret(self, secret: impl Into<String>) -> Self {
        self.with(SecretKind::WebhookSecret, Secret::new(secret))
    }

    /// With this webhook secret besides.
    #[must_use]
    pub fn previous_webhook_secret(self, secret: impl Into<String>) -> Self {
        self.with(SecretKind::PreviousWebhookSecret, Secret::new(secret))
    }

    pub(super) fn with(mut self, kind: SecretKind, secret: Secret) -> Self {
        let place = match kind {
            SecretKind::ClientSecret => &mut self.client_secret,
            SecretKind::TenantApiKey => &mut self.tenant_api_key,
            SecretKind::WebhookSecret => &mut self.webhook_secret,
            SecretKind::PreviousWebhookSecret => &mut self.previous_webhook_secret,
        };
        *place = Some(secret);
        self
    }

    /// The first that cannot be one.
    pub(crate) fn flaw(&self) -> Option<(SecretKind, SecretFlaw)> {
        [
            (SecretKind::ClientSecret, &self.client_secret),
            (SecretKind::TenantApiKey, &self.tenant_api_key),
            (SecretKind::WebhookSecret, &self.webhook_secret),
            (
                SecretKind::PreviousWebhookSecret,
                &self.previous_webhook_secret,
            ),
        ]
        .into_iter()
        .find_map(|(kind, secret)| {
            let flaw = SecretFlaw::of(kind, secret.as_ref()?.expose())?;
            Some((kind, flaw))
        })
    }
}

/// The provider could not say what the secrets are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsUnavailable {
    /// It failed. Why, the provider itself has to log.
    #[error("the provider of secrets failed")]
    Failed,
    /// It did not answer in 30 s.
    #[error("the provider of secrets did not answer in time")]
    Late,
    /// A file cannot be read.
    #[error("{} cannot be read ({kind})", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// What is in a file is no secret.
    #[error("{}: {flaw}", path.display())]
    Flaw {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: SecretFlaw,
    },
}

/// A provider that a configuration holds. Debug shows nothing of it.
#[derive(Clone)]
pub(crate) struct SharedProvider(pub(crate) Arc<dyn SecretProvider>);

impl Debug for SharedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretProvider(…)")
    }
}
