//! The one place that puts the parts together.

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

/// One tenant's client of KYCPort, and everything it can do. Cheap to clone.
///
/// Making one asks nobody: the app starts while KYCPort is down, and signs people in as soon as it
/// is back.
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

/// Why a [`RelyingParty`] could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// TLS could not be set up.
    #[error("the HTTP client could not be made: {0}")]
    Http(#[from] TransportError),
}

impl RelyingParty {
    /// Puts the parts together. No network here.
    ///
    /// # Errors
    /// [`SetupError::Http`] if TLS cannot be set up on this machine.
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

    /// What it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The OpenID Connect client: to sign people in without axum, and to verify tokens.
    pub fn oidc(&self) -> &OidcClient {
        &self.oidc
    }
}

impl RelyingParty {
    /// The status client: asks how well a person is verified, with the tenant key. For batch jobs,
    /// and for frameworks other than axum.
    pub fn status(&self) -> &StatusClient {
        &self.status
    }

    /// The case client: to host your own capture. See [`cases`](crate::cases).
    pub fn cases(&self) -> &CaseClient {
        &self.cases
    }
}

impl RelyingParty {
    /// Checks the configuration and what it leads to: KYCPort's discovery document, issuer and keys as
    /// they are at this moment, this machine's clock against KYCPort's, the tenant key by asking for
    /// a person who does not exist, the webhook secret, the redirect URI, and the store. It is for
    /// the first minute of a deployment, and for finding out why sign-in fails. It takes no longer
    /// than the time limits of the configuration: 20 s by default.
    ///
    /// Nothing secret is in the report.
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

/// Secrets that change while the app runs.
impl RelyingParty {
    /// Asks the [provider](crate::ConfigBuilder::secrets) what the secrets are now, and takes up
    /// what is new: a client secret or a tenant key once KYCPort has accepted it, a webhook secret
    /// at once, beside the old one. What is not accepted, or cannot be tried because KYCPort does
    /// not answer, waits: the old one serves and, should that be refused to a live request, the new
    /// one is tried for that very request. Call it on a signal, on a timer, when a file changes; it
    /// sends nothing if nothing is new, and does not soon try again what KYCPort has refused.
    /// Reloads that come together take turns.
    ///
    /// ```
    /// # use kycport::{Config, RelyingParty, secrets::SecretFiles};
    /// # async fn app() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::builder_from_env()?.secrets(SecretFiles::in_directory("/run/secrets"));
    /// let kycport = RelyingParty::new(config.build()?)?;
    /// let report = kycport.reload_secrets().await?;
    /// println!("{report:?}"); // says which is in use and which waits, and nothing of any
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RotationError`] if there is no provider, if it fails, or if what it gives cannot be a
    /// secret. Nothing is changed then.
    pub async fn reload_secrets(&self) -> Result<RotationReport, RotationError> {
        let Some(provider) = &self.config.secrets else {
            return Err(RotationError::NoProvider);
        };
        let clock = &self.config.clock;
        reload::reload(&*provider.0, &self.secrets, &self.oidc, &self.api, &**clock).await
    }

    /// Believes the newest webhook secret alone, from this moment: for an old one that has leaked.
    /// Gives how many were forgotten; a reload does not bring them back, a restart does if they are
    /// still named. Deliveries that KYCPort signed with them are refused from here, be the newest
    /// one proven or not.
    pub fn remove_previous_webhook_secrets(&self) -> usize {
        self.secrets.webhook.remove_previous()
    }

    /// Begins a verifier that believes the webhook secrets as they are at each delivery: for
    /// another scheme, or without axum.
    pub fn webhook_verifier(&self) -> WebhookVerifierBuilder {
        WebhookVerifier::builder()
            .clock(Arc::clone(&self.config.clock))
            .live(Arc::clone(&self.secrets.webhook))
    }
}

/// What axum apps mount.
#[cfg(feature = "web")]
impl RelyingParty {
    /// The routes: `GET /auth/login?return_to=`, the callback (at the path of the redirect URI),
    /// `POST /auth/logout` and `GET /auth/me`. They need [`session_layer`](Self::session_layer)
    /// around them.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        self.web.router()
    }

    /// The layer that lets handlers see who is signed in. Add it after the last route that needs it,
    /// this crate's router included. Sessions are kept in the
    /// [store](crate::ConfigBuilder::store) of the configuration.
    pub fn session_layer(&self) -> crate::web::SessionLayer {
        self.web.session_layer()
    }

    /// The administration of people's sessions: ends and lists them.
    pub fn sessions(&self) -> crate::web::Sessions {
        self.web.sessions()
    }

    /// A route for the probe that decides whether this instance receives requests. Put it where only
    /// that probe comes: 200 if the store takes and returns records, 503 if not, with JSON that says
    /// which. KYCPort being down does not make an instance unready; it is in the JSON. The store is
    /// checked at most once a second.
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

    /// The readiness of this instance, for an app that answers its probe itself.
    pub async fn readiness(&self) -> crate::web::Readiness {
        self.web.readiness().await
    }

    /// A requirement on a route, for `route_layer`: who is not verified at `tier` or above does not
    /// reach the handler. See [`Guard`](crate::web::Guard) for what happens to them instead.
    pub fn require(&self, tier: crate::KycTier) -> crate::web::Guard {
        crate::web::Web::require(tier)
    }

    /// Receives KYCPort's webhooks, as a service for `Router::route_service`. Each event reaches
    /// `handler` with its signature verified, once, whatever is delivered how often and in which
    /// order; before that KYCPort is asked where the person stands, and their live sessions go by
    /// the answer. The secrets are those of the configuration, and what replaces them.
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
    /// What the handler's error says is the app's to log: it may be about a person. See
    /// [`WebhookReceiver`](crate::web::WebhookReceiver) for what KYCPort is answered.
    pub fn webhooks<H, F, E>(&self, handler: H) -> crate::web::WebhookReceiverBuilder
    where
        H: Fn(crate::web::Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let verifier = self.webhook_verifier();
        self.web.webhooks(verifier, self.cases.clone(), handler)
    }

    /// The layer for routes that take a [`BearerToken`](crate::web::BearerToken) instead of a
    /// cookie.
    pub fn bearer_layer(&self) -> crate::web::BearerLayer {
        self.web.bearer_layer()
    }
}
