//! The relying party, which assembles all parts of the crate.

use std::sync::Arc;

use crate::{
    api::Api,
    cases::CaseClient,
    config::{Config, ConfigError},
    doctor,
    http::{HttpClient, TransportError},
    kyc::StatusClient,
    oidc::OidcClient,
    reload::{self, RotationError, RotationReport},
    secrets::LiveSecrets,
    webhook::{WebhookVerifier, WebhookVerifierBuilder},
};

/// Client of KYCPort for one tenant, with all functions of this crate. The client is cheap to
/// clone.
///
/// Creating a client sends no request. The app can therefore start while KYCPort is down. Users can
/// sign in as soon as KYCPort is available again.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    config: Arc<Config>,
    secrets: LiveSecrets,
    api: Api,
    oidc: OidcClient,
    status: StatusClient,
    cases: CaseClient,
    #[cfg(feature = "web")]
    web: crate::web::Web,
}

/// Error from the creation of a [`RelyingParty`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A setting is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// TLS could not be set up on this machine.
    #[error("cannot create the HTTP client: {0}")]
    Http(#[from] TransportError),
}

impl RelyingParty {
    /// Creates a client from a configuration, without a request to KYCPort.
    ///
    /// # Errors
    /// Returns [`SetupError::Http`] if TLS cannot be set up on this machine.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        #[cfg(feature = "metrics")]
        crate::observe::describe();
        let http = HttpClient::new(config.deadlines, config.trust.clone())?;
        http.prepare(&config.oidc.metadata.discovery_url)?;
        let secrets = config.live_secrets();
        let oidc = OidcClient::new(
            config.oidc.clone(),
            Arc::clone(&secrets.client),
            http.clone(),
            Arc::clone(&config.clock),
        );
        let api = Api::new(
            http,
            config.retry,
            config.api_base_url().clone(),
            Arc::clone(&secrets.tenant_key),
            Arc::clone(&config.clock),
        );
        let status = StatusClient::new(
            api.clone(),
            config.status_person_id,
            config.oidc.status_aliases.clone(),
            Arc::clone(&config.clock),
        );
        #[cfg(feature = "web")]
        let web = crate::web::Web::new(
            oidc.clone(),
            status.clone(),
            config.web.clone(),
            Arc::clone(&config.clock),
        );
        #[cfg(feature = "web")]
        let on_decided = Some(web.on_decided());
        #[cfg(not(feature = "web"))]
        let on_decided = None;
        Ok(Self {
            cases: CaseClient::new(api.clone(), config.cases, on_decided),
            #[cfg(feature = "web")]
            web,
            secrets,
            api,
            oidc,
            status,
            config: Arc::new(config),
        })
    }

    /// Returns the configuration of the client.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the OpenID Connect client, for sign-in without axum and for token verification.
    pub fn oidc(&self) -> &OidcClient {
        &self.oidc
    }
}

impl RelyingParty {
    /// Returns the status client, which reads a person's verification status with the tenant key.
    /// Use the status client for batch jobs and for frameworks other than axum.
    pub fn status(&self) -> &StatusClient {
        &self.status
    }

    /// Returns the case client, for apps that host the document capture themselves. See the
    /// module [`cases`](crate::cases).
    pub fn cases(&self) -> &CaseClient {
        &self.cases
    }
}

impl RelyingParty {
    /// Checks the configuration and its dependencies, and returns a report:
    ///
    /// - KYCPort's discovery document, issuer and keys, fetched without a cache
    /// - this machine's clock against KYCPort's clock
    /// - the tenant key, by reading the status of a person who does not exist
    /// - the webhook secret, the redirect URI and the store
    ///
    /// Run this check after a deployment, or when sign-in fails. The time limits of the
    /// configuration apply: 20 s by default. The report contains no secrets.
    pub async fn doctor(&self) -> doctor::Report {
        doctor::examine(&doctor::Examined {
            config: &self.config,
            secrets: &self.secrets,
            oidc: &self.oidc,
            status: &self.status,
            #[cfg(feature = "web")]
            web: &self.web,
        })
        .await
    }
}

/// Rotation of secrets while the app runs.
impl RelyingParty {
    /// Fetches the secrets from the [provider](crate::ConfigBuilder::secrets), and activates new
    /// secrets:
    ///
    /// - The client activates a new client secret or tenant key after KYCPort accepts it.
    /// - The receiver accepts a new webhook secret immediately, in parallel with the old secret.
    ///
    /// If KYCPort rejects the new secret or does not respond, the secret stays pending and the old
    /// secret stays in use. If KYCPort then rejects the old secret in a live request, the client
    /// sends the request again with the pending secret.
    ///
    /// Call this method on a signal, on a timer or when a file changes. If no secret is new, the
    /// method sends no request. After KYCPort has rejected a secret, the method waits before it
    /// checks this secret again. Concurrent calls run one after the other.
    ///
    /// ```
    /// # use kycport::{Config, RelyingParty, secrets::SecretFiles};
    /// # async fn app() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::builder_from_env()?.secrets(SecretFiles::in_directory("/run/secrets"));
    /// let kycport = RelyingParty::new(config.build()?)?;
    /// let report = kycport.reload_secrets().await?;
    /// println!("{report:?}"); // Shows the outcome for each secret, but no secret.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`RotationError`] if the configuration has no provider, if the provider
    /// fails, or if a secret is invalid. After an error, all secrets are unchanged.
    pub async fn reload_secrets(&self) -> Result<RotationReport, RotationError> {
        let Some(provider) = &self.config.secrets else {
            return Err(RotationError::NoProvider);
        };
        let clock = &self.config.clock;
        reload::reload(&*provider.0, &self.secrets, &self.oidc, &self.api, &**clock).await
    }

    /// Immediately removes all webhook secrets except the newest secret. Call this method when an
    /// old secret has leaked.
    ///
    /// Returns the number of removed secrets. From now on, the receiver rejects signatures of
    /// removed secrets, even if the newest secret is not proven yet. A reload does not restore a
    /// removed secret. If the configuration still contains a removed secret, a restart restores the
    /// secret.
    pub fn remove_previous_webhook_secrets(&self) -> usize {
        self.secrets.webhook.remove_previous()
    }

    /// Returns a builder for a webhook verifier that uses the current webhook secrets at each
    /// delivery. Use the builder for other signature schemes, and in apps without axum.
    pub fn webhook_verifier(&self) -> WebhookVerifierBuilder {
        WebhookVerifier::builder()
            .clock(Arc::clone(&self.config.clock))
            .live(Arc::clone(&self.secrets.webhook))
    }
}

/// Components for axum apps.
#[cfg(feature = "web")]
impl RelyingParty {
    /// Returns the routes for sign-in: `GET /auth/login?return_to=`, the callback (at the path of
    /// the redirect URI), `POST /auth/logout` and `GET /auth/me`. Add
    /// the [`session_layer`](Self::session_layer) around these routes.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        self.web.router()
    }

    /// Returns the layer that gives handlers access to the signed-in person. Add the layer after
    /// the last route that needs a session, including the routes of [`router`](Self::router).
    /// The [store](crate::ConfigBuilder::store) of the configuration keeps the sessions.
    pub fn session_layer(&self) -> crate::web::SessionLayer {
        self.web.session_layer()
    }

    /// Returns the session administration, which lists and revokes people's sessions.
    pub fn sessions(&self) -> crate::web::Sessions {
        self.web.sessions()
    }

    /// Returns a route for a readiness probe. Make this route reachable only for the probe.
    ///
    /// The response is 200 if the store can write and read records, and 503 otherwise. The JSON
    /// body shows the state of the store and of KYCPort. During an outage of KYCPort, an instance
    /// stays ready. The route checks the store at most once per second.
    ///
    /// ```
    /// # use kycport::{Config, RelyingParty};
    /// # let config = Config::builder("c", "https://app.example.com/auth/callback").build()?;
    /// # let kycport = RelyingParty::new(config)?;
    /// let app: axum::Router = axum::Router::new().route("/ready", kycport.ready_route());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ready_route<S: Clone + Send + Sync + 'static>(&self) -> axum::routing::MethodRouter<S> {
        self.web.ready_route()
    }

    /// Returns the readiness of this instance, for apps with their own readiness route.
    pub async fn readiness(&self) -> crate::web::Readiness {
        self.web.readiness().await
    }

    /// Returns a guard for `route_layer`. Only people verified at `tier` or above reach the
    /// handler. See [`Guard`](crate::web::Guard) for the responses to all other people.
    pub fn require(&self, tier: crate::KycTier) -> crate::web::Guard {
        crate::web::Web::require(tier)
    }

    /// Returns a receiver for KYCPort's webhooks, as a service for `Router::route_service`.
    ///
    /// The receiver verifies the signature and calls `handler` once per event, even if KYCPort
    /// delivers an event several times or out of order. Before each call of `handler`, the receiver
    /// reads the person's current status and updates the person's active sessions. The receiver
    /// uses the webhook secrets of the configuration, and the secrets that replace them.
    ///
    /// ```
    /// # use kycport::{Config, RelyingParty};
    /// # let config = Config::builder("my-client", "https://app.example.com/auth/callback")
    /// #     .webhook_secret("a secret of sixteen bytes or more")
    /// #     .build()?;
    /// # let kycport = RelyingParty::new(config)?;
    /// let webhooks = kycport.webhooks(async |delivery| {
    ///     println!("{} {:?}", delivery.event().event_type(), delivery.assurance());
    ///     Ok::<(), std::io::Error>(())
    /// });
    /// let app: axum::Router = axum::Router::new()
    ///     .route_service("/webhooks/kycport", webhooks.build()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// If the handler returns an error, the receiver logs the error's `Display` text in the event
    /// `kycport.delivery.failed`. The `Display` text must therefore contain no personal data. The
    /// response to KYCPort does not contain the text. See
    /// [`WebhookReceiver`](crate::web::WebhookReceiver) for the responses to KYCPort.
    pub fn webhooks<H, F, E>(&self, handler: H) -> crate::web::WebhookReceiverBuilder
    where
        H: Fn(crate::web::Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let verifier = self.webhook_verifier();
        self.web.webhooks(verifier, self.cases.clone(), handler)
    }

    /// Returns the layer for routes that accept a [`BearerToken`](crate::web::BearerToken) instead
    /// of a cookie.
    pub fn bearer_layer(&self) -> crate::web::BearerLayer {
        self.web.bearer_layer()
    }
}
