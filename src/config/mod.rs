//! Configuration of a relying party. A [`Config`] is always valid.

mod builder;
mod error;
mod judge;
mod names;
mod rules;
mod variables;

pub use builder::ConfigBuilder;
pub use error::ConfigError;

use std::{fmt, sync::Arc};

use url::Url;

use crate::{
    cases,
    clock::Clock,
    http::{Deadlines, RetryPolicy, Trust},
    kyc::StatusPersonId,
    oidc,
    secret::Secret,
    secrets::{LiveSecrets, SharedProvider},
};

/// Validated configuration of a [`RelyingParty`](crate::RelyingParty).
///
/// ```
/// use kycport::Config;
///
/// let config = Config::builder("my-client", "https://app.example.com/auth/callback")
///     .client_secret("from your secret store")
///     .scopes(["openid", "email", "kyc"])
///     .build()?;
/// # Ok::<(), kycport::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) oidc: oidc::Settings,
    #[cfg(feature = "web")]
    pub(crate) web: crate::web::Settings,
    pub(crate) deadlines: Deadlines,
    pub(crate) trust: Trust,
    pub(crate) retry: RetryPolicy,
    pub(crate) status_person_id: StatusPersonId,
    pub(crate) cases: cases::Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secrets: Option<SharedProvider>,
    redirect_url: Url,
    api_base_url: Url,
    client_secret: Option<Secret>,
    tenant_api_key: Option<Secret>,
    webhook_secret: Option<Secret>,
    previous_webhook_secret: Option<Secret>,
}

impl Config {
    /// Creates a builder with the two required settings: the client id, and the redirect URI as
    /// registered.
    pub fn builder(client_id: impl Into<String>, redirect_uri: impl Into<String>) -> ConfigBuilder {
        ConfigBuilder::new(client_id, redirect_uri)
    }

    /// Reads the configuration from the environment. The following variables are required:
    ///
    /// - `KYCPORT_CLIENT_ID`
    /// - `KYCPORT_REDIRECT_URI`
    ///
    /// The following variables are optional:
    ///
    /// - `KYCPORT_CLIENT_SECRET`, `KYCPORT_SCOPES`, `KYCPORT_ISSUER`, `KYCPORT_DISCOVERY_URL`,
    ///   `KYCPORT_API_BASE_URL`, `KYCPORT_TENANT_API_KEY`, `KYCPORT_WEBHOOK_SECRET` and
    ///   `KYCPORT_WEBHOOK_SECRET_PREVIOUS`
    /// - with the feature `web`: `KYCPORT_STORE`, `KYCPORT_SESSION_KEYS` and `KYCPORT_LOG_KEY`
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a variable is missing, blank, surrounded by white space, or
    /// invalid.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder_from_env()?.build()
    }

    /// Reads the environment like [`from_env`](Self::from_env), and returns a builder for further
    /// settings.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a variable is missing, blank, or surrounded by white space.
    pub fn builder_from_env() -> Result<ConfigBuilder, ConfigError> {
        variables::from_variables(|name| std::env::var(name).ok())
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> &str {
        &self.oidc.issuer
    }

    /// Returns the origin of the issuer, such as `https://www.kycport.com`, for `form-action` in
    /// the Content Security Policy of your pages.
    ///
    /// If a form posts to a guarded route, the response can redirect the browser to KYCPort.
    /// Chromium also applies `form-action` to this redirect.
    pub fn issuer_origin(&self) -> String {
        let issuer = Url::parse(&self.oidc.issuer);
        issuer.map_or_else(|_| String::new(), |it| it.origin().ascii_serialization())
    }

    /// Returns the client id.
    pub fn client_id(&self) -> &str {
        &self.oidc.client_id
    }

    /// Returns the redirect URI.
    pub fn redirect_uri(&self) -> &Url {
        &self.redirect_url
    }

    /// Returns the scopes that logins request.
    pub fn scopes(&self) -> &[String] {
        &self.oidc.scopes
    }

    /// Returns the base URL of the tenant API.
    pub fn api_base_url(&self) -> &Url {
        &self.api_base_url
    }

    /// Returns the configured tenant key. A reload may have replaced this key.
    pub fn tenant_api_key(&self) -> Option<&Secret> {
        self.tenant_api_key.as_ref()
    }

    /// Returns the configured secret with which KYCPort signs webhook deliveries.
    pub fn webhook_secret(&self) -> Option<&Secret> {
        self.webhook_secret.as_ref()
    }

    /// Returns the configured secret with which KYCPort signed webhook deliveries before the
    /// rotation.
    pub fn previous_webhook_secret(&self) -> Option<&Secret> {
        self.previous_webhook_secret.as_ref()
    }
}

impl Config {
    /// Returns the configured secrets as the first secrets in use.
    pub(crate) fn live_secrets(&self) -> LiveSecrets {
        LiveSecrets::new(
            self.client_secret.clone(),
            self.tenant_api_key.clone(),
            self.webhook_secret.clone(),
            self.previous_webhook_secret.clone(),
        )
    }
}

/// `Debug` shows no secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("issuer", &self.issuer())
            .field("client_id", &self.client_id())
            .field("redirect_uri", &self.redirect_uri().as_str())
            .field("scopes", &self.scopes())
            .field("api_base_url", &self.api_base_url().as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
