//! Sources of secrets.

use std::{
    fmt::{self, Debug},
    future::Future,
    io,
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;

use super::{invalid::InvalidSecret, kind::SecretKind};
use crate::secret::Secret;

/// Source of the current secrets. Each reload calls the provider once.
///
/// The provider [`SecretFiles`](super::SecretFiles) reads mounted files. For your own secret store,
/// pass an async closure:
///
/// ```
/// use kycport::{Config, secrets::Secrets};
///
/// let vault = async || -> Result<Secrets, std::io::Error> {
/// // Read your secret store here, and log its errors: kycport discards them.
///     Ok(Secrets::new().client_secret("from your store"))
/// };
/// let config = Config::builder("my-client", "https://app.example.com/auth/callback")
///     .secrets(vault)
///     .build()?;
/// # Ok::<(), kycport::ConfigError>(())
/// ```
#[async_trait]
pub trait SecretProvider: Send + Sync + 'static {
    /// Returns the current secrets. Deadline: 30 s. A secret that the provider does not return
    /// keeps its value.
    async fn secrets(&self) -> Result<Secrets, SecretsUnavailable>;
}

#[async_trait]
impl<F, Fut, E> SecretProvider for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Secrets, E>> + Send,
{
    async fn secrets(&self) -> Result<Secrets, SecretsUnavailable> {
        // Discard the app's error, because it may contain secrets. The app must log its error.
        self().await.map_err(|_| SecretsUnavailable::Failed)
    }
}

/// Secrets that a provider returns. An absent secret keeps its value, so a missing file never
/// removes a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secrets {
    /// Value of `KYCPORT_CLIENT_SECRET`.
    pub client_secret: Option<Secret>,
    /// Value of `KYCPORT_TENANT_API_KEY`.
    pub tenant_api_key: Option<Secret>,
    /// Value of `KYCPORT_WEBHOOK_SECRET`.
    pub webhook_secret: Option<Secret>,
    /// Value of `KYCPORT_WEBHOOK_SECRET_PREVIOUS`. The SDK accepts this secret without a time limit
    /// while the provider returns it.
    ///
    /// If the provider stops returning this secret, the SDK accepts it until a restart or a call
    /// of [`remove_previous_webhook_secrets`](crate::RelyingParty::remove_previous_webhook_secrets).
    /// If the provider returns another value, the old value expires like a replaced webhook secret.
    pub previous_webhook_secret: Option<Secret>,
}

impl Secrets {
    /// Creates an empty set of secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the client secret.
    #[must_use]
    pub fn client_secret(self, secret: impl Into<Secret>) -> Self {
        self.with(SecretKind::ClientSecret, secret.into())
    }

    /// Sets the tenant key.
    #[must_use]
    pub fn tenant_api_key(self, key: impl Into<Secret>) -> Self {
        self.with(SecretKind::TenantApiKey, key.into())
    }

    /// Sets the webhook secret.
    #[must_use]
    pub fn webhook_secret(self, secret: impl Into<Secret>) -> Self {
        self.with(SecretKind::WebhookSecret, secret.into())
    }

    /// Sets the previous webhook secret.
    #[must_use]
    pub fn previous_webhook_secret(self, secret: impl Into<Secret>) -> Self {
        self.with(SecretKind::PreviousWebhookSecret, secret.into())
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

    /// Returns the first secret that is invalid.
    pub(crate) fn first_invalid(&self) -> Option<(SecretKind, InvalidSecret)> {
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
            let problem = InvalidSecret::in_secret(kind, secret.as_ref()?.expose())?;
            Some((kind, problem))
        })
    }
}

/// Error for a secret provider that could not return the secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsUnavailable {
    /// The provider failed. The provider must log the reason itself, because kycport discards the
    /// error.
    #[error("the secret provider failed; see the log of the app for the reason")]
    Failed,
    /// The provider did not return within 30 s.
    #[error("the secret provider did not answer within 30 s")]
    Late,
    /// A file could not be read.
    #[error("cannot read {} ({kind})", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error kind that the operating system reported.
        kind: io::ErrorKind,
    },
    /// A file does not contain a valid secret.
    #[error("{}: the secret {problem}", path.display())]
    InvalidSecret {
        /// Path of the file.
        path: PathBuf,
        /// Reason why the contents are invalid.
        problem: InvalidSecret,
    },
}

/// Provider in a configuration. `Debug` shows no details.
#[derive(Clone)]
pub(crate) struct SharedProvider(pub(crate) Arc<dyn SecretProvider>);

impl Debug for SharedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretProvider(…)")
    }
}
