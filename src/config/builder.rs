//! Builder for the configuration. [`build`](ConfigBuilder::build) validates all settings together.

use std::{sync::Arc, time::Duration};

use crate::{
    cases,
    clock::{Clock, SystemClock},
    http::{Deadlines, RetryPolicy},
    kyc::StatusPersonId,
    oidc::{AccessTokenProfile, AlgorithmNames, ResponseIssuer, UndeclaredCapabilities},
    secret::Secret,
    secrets::{SecretProvider, SharedProvider},
    wire::{authorize, kyc::KycStatus},
};
#[cfg(feature = "web")]
use crate::{
    store::Store,
    web::{self, SealingKeys, SignedOutMe, StepUpHint},
};

/// Builder for a [`Config`](super::Config).
#[derive(Debug, Clone)]
#[must_use = "call `build` to create the configuration"]
pub struct ConfigBuilder {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) issuer: Option<String>,
    pub(super) discovery_url: Option<String>,
    pub(super) api_base_url: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) tenant_api_key: Option<Secret>,
    pub(super) webhook_secret: Option<Secret>,
    pub(super) previous_webhook_secret: Option<Secret>,
    pub(super) secrets: Option<SharedProvider>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) endpoint_origins: Vec<String>,
    pub(super) tier_parameter: String,
    pub(super) extra_parameters: Vec<(String, String)>,
    pub(super) retry: RetryPolicy,
    pub(super) cases: cases::Settings,
    pub(super) skew: Duration,
    pub(super) deadlines: Deadlines,
    pub(super) roots_pem: Option<String>,
    pub(super) login_lifetime: Duration,
    pub(super) algorithm_names: AlgorithmNames,
    pub(super) access_token_profile: AccessTokenProfile,
    pub(super) response_issuer: ResponseIssuer,
    pub(super) undeclared: UndeclaredCapabilities,
    pub(super) status_person_id: StatusPersonId,
    pub(super) userinfo_member: Option<String>,
    pub(super) status_aliases: Vec<(String, KycStatus)>,
    pub(super) clock: Arc<dyn Clock>,
    #[cfg(feature = "web")]
    pub(super) web: WebSettings,
}

#[cfg(feature = "web")]
#[derive(Debug, Clone)]
pub(super) struct WebSettings {
    pub(super) app_origins: Vec<String>,
    pub(super) prefix: String,
    pub(super) callback_path: Option<String>,
    pub(super) cookie_name: Option<String>,
    pub(super) limits: web::SessionLimits,
    pub(super) signed_out_me: SignedOutMe,
    pub(super) step_up_hint: StepUpHint,
    pub(super) me_shows_aml: bool,
    pub(super) assurance_max_age: Duration,
    pub(super) step_up_lifetime: Duration,
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) store_url: Option<String>,
    pub(super) sealing_keys: Option<Arc<SealingKeys>>,
    pub(super) sealing_keys_text: Option<Secret>,
    pub(super) log_key: Option<Secret>,
}

impl ConfigBuilder {
    pub(super) fn new(client_id: impl Into<String>, redirect_uri: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            redirect_uri: redirect_uri.into(),
            issuer: None,
            discovery_url: None,
            api_base_url: None,
            client_secret: None,
            tenant_api_key: None,
            webhook_secret: None,
            previous_webhook_secret: None,
            secrets: None,
            scopes: None,
            endpoint_origins: Vec::new(),
            tier_parameter: authorize::ACR_VALUES.to_owned(),
            extra_parameters: Vec::new(),
            retry: RetryPolicy::DEFAULT,
            cases: cases::Settings::DEFAULT,
            skew: Duration::from_secs(60),
            deadlines: Deadlines {
                connect: Duration::from_secs(3),
                total: Duration::from_secs(10),
            },
            roots_pem: None,
            login_lifetime: Duration::from_secs(600),
            algorithm_names: AlgorithmNames::default(),
            access_token_profile: AccessTokenProfile::default(),
            response_issuer: ResponseIssuer::default(),
            undeclared: UndeclaredCapabilities::default(),
            status_person_id: StatusPersonId::default(),
            userinfo_member: None,
            status_aliases: Vec::new(),
            clock: Arc::new(SystemClock::new()),
            #[cfg(feature = "web")]
            web: WebSettings {
                app_origins: Vec::new(),
                prefix: "/auth".to_owned(),
                callback_path: None,
                cookie_name: None,
                limits: web::SessionLimits {
                    idle: Duration::from_secs(30 * 60),
                    absolute: Duration::from_secs(12 * 3600),
                },
                signed_out_me: SignedOutMe::default(),
                step_up_hint: StepUpHint::default(),
                me_shows_aml: false,
                assurance_max_age: Duration::from_secs(600),
                step_up_lifetime: Duration::from_secs(3600),
                store: None,
                store_url: None,
                sealing_keys: None,
                sealing_keys_text: None,
                log_key: None,
            },
        }
    }

    /// Sets the issuer (`KYCPORT_ISSUER`), byte for byte as in the tokens. Default: KYCPort's
    /// production issuer.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets the URL of the discovery document (`KYCPORT_DISCOVERY_URL`). If you set the issuer,
    /// also set this URL, because the SDK cannot derive the URL from the issuer. Default: KYCPort's
    /// production URL.
    pub fn discovery_url(mut self, url: impl Into<String>) -> Self {
        self.discovery_url = Some(url.into());
        self
    }

    /// Sets the base URL of the tenant API (`KYCPORT_API_BASE_URL`). Default: the origin of the
    /// discovery document.
    pub fn api_base_url(mut self, url: impl Into<String>) -> Self {
        self.api_base_url = Some(url.into());
        self
    }

    /// Sets the client secret (`KYCPORT_CLIENT_SECRET`). Required for confidential clients.
    pub fn client_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.client_secret = Some(secret.into());
        self
    }

    /// Sets the API key of the tenant (`KYCPORT_TENANT_API_KEY`), for requests from your server to
    /// KYCPort.
    pub fn tenant_api_key(mut self, key: impl Into<Secret>) -> Self {
        self.tenant_api_key = Some(key.into());
        self
    }

    /// Sets the secret with which KYCPort signs webhook deliveries (`KYCPORT_WEBHOOK_SECRET`).
    pub fn webhook_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.webhook_secret = Some(secret.into());
        self
    }

    /// Sets the secret with which KYCPort signed webhook deliveries before the rotation
    /// (`KYCPORT_WEBHOOK_SECRET_PREVIOUS`). During a rotation, the receiver accepts the signatures
    /// of both secrets.
    pub fn previous_webhook_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.previous_webhook_secret = Some(secret.into());
        self
    }

    /// Sets the provider from which [`reload_secrets`](crate::RelyingParty::reload_secrets) fetches
    /// the secrets, such as [`SecretFiles`](crate::secrets::SecretFiles). Until the first reload,
    /// the SDK uses the secrets of this builder.
    pub fn secrets(mut self, provider: impl SecretProvider) -> Self {
        self.secrets = Some(SharedProvider(Arc::new(provider)));
        self
    }

    /// Sets the scopes to request (`KYCPORT_SCOPES`, separated by spaces). Default: `openid kyc`.
    pub fn scopes<I: IntoIterator<Item: Into<String>>>(mut self, scopes: I) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Allows endpoints of the discovery document on a further origin, such as
    /// `https://id.example.com`. The origins of the document and of the issuer are always allowed.
    pub fn allow_endpoint_origin(mut self, origin: impl Into<String>) -> Self {
        self.endpoint_origins.push(origin.into());
        self
    }

    /// Sets the name of the parameter that requests a tier. Default: `acr_values` (K15 does not
    /// specify it).
    pub fn tier_parameter(mut self, name: impl Into<String>) -> Self {
        self.tier_parameter = name.into();
        self
    }

    /// Sets the maximum number of attempts for an idempotent API request. Default: 3. Maximum: 10.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts;
        self
    }

    /// Sets the pause before the first retry of an API request. The pause doubles after each retry,
    /// up to 5 s. Each pause is shorter by a random part. Default: 200 ms.
    pub fn retry_pause(mut self, pause: Duration) -> Self {
        self.retry.first_pause = pause;
        self
    }

    /// Sets the deadline for an API request with all its retries. Default: 20 s. Maximum: 1 h.
    pub fn retry_deadline(mut self, deadline: Duration) -> Self {
        self.retry.total = deadline;
        self
    }

    /// Adds a parameter to every authorization request, such as `response_mode` (K16).
    pub fn authorize_parameter(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.extra_parameters.push((name.into(), value.into()));
        self
    }

    /// Sets the maximum difference between KYCPort's clock and this machine's clock. Default: 60 s.
    /// Maximum: 5 min.
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// Sets the time limit for establishing a connection to KYCPort. Default: 3 s. Maximum: 1 h.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.deadlines.connect = limit;
        self
    }

    /// Sets the time limit for a request to KYCPort, from the start of the request to the last byte
    /// of the response. Default: 10 s. Maximum: 1 h.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.deadlines.total = limit;
        self
    }

    /// Trusts only the certificate authorities in this PEM text, and not the authorities of the
    /// operating system. Use this setting for a private authority, for example of a gateway, and
    /// for a mock with TLS. Default: the authorities of the operating system.
    ///
    /// No setting adds an authority to the authorities of the operating system, because each
    /// authority could issue a certificate for KYCPort.
    pub fn trust_only(mut self, roots_pem: impl Into<String>) -> Self {
        self.roots_pem = Some(roots_pem.into());
        self
    }

    /// Sets the maximum size of an uploaded file, in bytes. Default: 20 MiB. KYCPort does not
    /// document a limit (K58).
    pub fn max_upload_file_bytes(mut self, limit: u64) -> Self {
        self.cases.max_file_bytes = limit;
        self
    }

    /// Sets the maximum duration of an upload, including the last byte of the response. Default:
    /// 120 s. Maximum: 1 h.
    pub fn upload_timeout(mut self, deadline: Duration) -> Self {
        self.cases.upload_deadline = deadline;
        self
    }

    /// Sets the first polling interval
    /// of [`wait_until_decided`](crate::cases::CaseClient::wait_until_decided). The interval
    /// doubles after each read, up to [`max_case_poll_interval`](Self::max_case_poll_interval).
    /// Default: 1 s.
    pub fn case_poll_interval(mut self, interval: Duration) -> Self {
        self.cases.first_pause = interval;
        self
    }

    /// Sets the maximum polling interval
    /// of [`wait_until_decided`](crate::cases::CaseClient::wait_until_decided). Default: 10 s.
    /// Maximum: 1 h.
    pub fn max_case_poll_interval(mut self, interval: Duration) -> Self {
        self.cases.max_pause = interval;
        self
    }

    /// Sets the maximum duration of a login, from the login route to the callback. Default: 10 min.
    /// Maximum: 1 h.
    pub fn login_lifetime(mut self, lifetime: Duration) -> Self {
        self.login_lifetime = lifetime;
        self
    }

    /// Sets the accepted names of the signature algorithm. Default: `EdDSA`.
    pub fn algorithm_names(mut self, names: AlgorithmNames) -> Self {
        self.algorithm_names = names;
        self
    }

    /// Sets the claims that an access token must have. Default: the claims that KYCPort documents.
    pub fn access_token_profile(mut self, profile: AccessTokenProfile) -> Self {
        self.access_token_profile = profile;
        self
    }

    /// Sets when an authorization response must contain `iss`. Default: `iss` is required if the
    /// discovery document announces it.
    pub fn response_issuer(mut self, when: ResponseIssuer) -> Self {
        self.response_issuer = when;
        self
    }

    /// Sets the meaning of a discovery document that omits a capability. Default: the capability is
    /// missing.
    pub fn undeclared_capabilities(mut self, meaning: UndeclaredCapabilities) -> Self {
        self.undeclared = meaning;
        self
    }

    /// Sets whether a response of the status endpoint must contain `person_id`.
    /// Default: [`StatusPersonId::Optional`], because KYCPort documents a response without
    /// `person_id`.
    pub fn status_person_id(mut self, when: StatusPersonId) -> Self {
        self.status_person_id = when;
        self
    }

    /// Sets the member of the userinfo response that contains the claims, such as `user`, `profile`
    /// or `data`. Default: none, because KYCPort documents claims at the top level. Maximum length:
    /// 64 bytes.
    ///
    /// With this setting, the response must contain an object in this member, and `sub` is read
    /// from this object. A `sub` at the top level must be equal.
    pub fn userinfo_member(mut self, name: impl Into<String>) -> Self {
        self.userinfo_member = Some(name.into());
        self
    }

    /// Treats an unknown status of KYCPort as a known one. Default: an unknown status satisfies no
    /// requirement. Maximum: 16 aliases.
    ///
    /// `word` is in lower case, and the comparison ignores case. An alias applies to ID tokens,
    /// userinfo, the status endpoint and webhooks. An alias never changes a status that KYCPort
    /// documents (K41). With an alias for [`KycStatus::Verified`], guards accept people with this
    /// status, and the doctor warns.
    pub fn status_alias(mut self, word: impl Into<String>, status: KycStatus) -> Self {
        self.status_aliases.push((word.into(), status));
        self
    }

    /// Sets the clock. Default: the clock of the operating system.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

/// Settings of the axum integration.
#[cfg(feature = "web")]
impl ConfigBuilder {
    /// Sets the path prefix of the routes. Default: `/auth`. This prefix does not apply to the
    /// callback, whose path comes from the redirect URI.
    pub fn auth_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.web.prefix = prefix.into();
        self
    }

    /// Sets the path at which the callback reaches this app. Set the path if a proxy rewrites
    /// paths. Default: the path of the redirect URI.
    pub fn callback_path(mut self, path: impl Into<String>) -> Self {
        self.web.callback_path = Some(path.into());
        self
    }

    /// Allows state-changing requests from a further origin of this app's pages. The origin of the
    /// redirect URI is always allowed.
    pub fn allow_app_origin(mut self, origin: impl Into<String>) -> Self {
        self.web.app_origins.push(origin.into());
        self
    }

    /// Sets the name of the session cookie, without the prefix `__Host-`.
    ///
    /// Default: `kycport-` and four characters that are derived from the issuer and the client id.
    /// Two apps on one host therefore do not overwrite each other's cookies. A name must not
    /// contain `-login-`, which marks the cookies of pending logins.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.web.cookie_name = Some(name.into());
        self
    }

    /// Sets the idle timeout: the time without use after which a session ends. Default: 30 min.
    /// Minimum: 60 s. Maximum: [`session_lifetime`](Self::session_lifetime).
    pub fn session_idle_timeout(mut self, limit: Duration) -> Self {
        self.web.limits.idle = limit;
        self
    }

    /// Sets the maximum lifetime of a session. After this time, a session ends even if it is in
    /// use. Default: 12 h. Minimum: 60 s. Maximum: 30 days.
    pub fn session_lifetime(mut self, limit: Duration) -> Self {
        self.web.limits.absolute = limit;
        self
    }

    /// Sets the response of `GET /auth/me` without a session. Default: 401.
    pub fn signed_out_me(mut self, answer: SignedOutMe) -> Self {
        self.web.signed_out_me = answer;
        self
    }

    /// Sets the hint at the signed-in person that a step-up sends to KYCPort. Default: the subject.
    pub fn step_up_hint(mut self, hint: StepUpHint) -> Self {
        self.web.step_up_hint = hint;
        self
    }

    /// Sets whether the response of `GET /auth/me` contains `aml_clear`. Default: false.
    ///
    /// The browser of the person can read this response. In many countries, a business must not
    /// tell a person that an AML screening has found something ("tipping off").
    pub fn me_shows_aml(mut self, shows: bool) -> Self {
        self.web.me_shows_aml = shows;
        self
    }

    /// Sets the key for the pseudonyms of people, sessions and events in logs (`KYCPORT_LOG_KEY`).
    /// Minimum: 32 bytes. Default: a random key per process.
    ///
    /// Instances with equal keys use equal pseudonyms. Without the key, a pseudonym does not reveal
    /// who a person is. See [operations](crate::guide::operations).
    pub fn log_key(mut self, key: impl Into<Secret>) -> Self {
        self.web.log_key = Some(key.into());
        self
    }

    /// Sets the time for which a guard uses a person's status without a new request to KYCPort.
    /// Default: 10 min. Maximum: 24 h. A guard with [`fresh`](crate::web::Guard::fresh) always
    /// reads the status again.
    pub fn assurance_max_age(mut self, age: Duration) -> Self {
        self.web.assurance_max_age = age;
        self
    }

    /// Sets the maximum duration of a step-up, from its start to the callback. Default: 60 min.
    /// Minimum: 60 s. Maximum: 24 h.
    ///
    /// A verification at KYCPort can take longer than a login. If a step-up returns too late, the
    /// callback starts one new step-up by itself.
    pub fn step_up_lifetime(mut self, lifetime: Duration) -> Self {
        self.web.step_up_lifetime = lifetime;
        self
    }

    /// Sets the store for all data: sessions, leases, events and verification results. Default: the
    /// memory store, which serves one process and loses its data when the process ends. See
    /// [`store`](crate::store) for the engines.
    pub fn store(mut self, store: impl Store) -> Self {
        self.web.store = Some(Arc::new(store));
        self
    }

    /// Sets the URL of the store (`KYCPORT_STORE`), such as `redis://…`, `postgres://…`,
    /// `sqlite:///var/lib/app/kycport.db` or `memory:`.
    ///
    /// The store opens the connection on first use, and then creates missing tables. A store set
    /// by [`store`](Self::store) takes precedence.
    pub fn store_url(mut self, url: impl Into<String>) -> Self {
        self.web.store_url = Some(url.into());
        self
    }

    /// Sets the keys that encrypt stored data (`KYCPORT_SESSION_KEYS`). Default: no encryption.
    pub fn session_keys(mut self, keys: SealingKeys) -> Self {
        self.web.sealing_keys = Some(Arc::new(keys));
        self
    }
}
