//! The builder: settings as they come, judged together at the end.

use std::{sync::Arc, time::Duration};

use crate::{
    cases,
    clock::{Clock, SystemClock},
    http::{Deadlines, RetryPolicy},
    kyc::StatusPersonId,
    oidc::{AccessTokenProfile, AlgorithmNames, ResponseIssuer, UndeclaredCapabilities},
    secret::Secret,
    secrets::{SecretProvider, SharedProvider},
    wire::authorize,
};
#[cfg(feature = "web")]
use crate::{
    store::Store,
    web::{self, SealingKeys, SignedOutMe},
};

/// Settings on their way to a [`Config`](super::Config).
#[derive(Debug, Clone)]
#[must_use = "nothing comes of it before `build`"]
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
    pub(super) assurance_max_age: Duration,
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
                assurance_max_age: Duration::from_secs(600),
                store: None,
                store_url: None,
                sealing_keys: None,
                sealing_keys_text: None,
                log_key: None,
            },
        }
    }

    /// `KYCPORT_ISSUER`: the issuer, byte for byte as it stands in the tokens. KYCPort's own if
    /// left out.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// `KYCPORT_DISCOVERY_URL`: where the discovery document is. It cannot be derived from the
    /// issuer; with another issuer than KYCPort's it must be given.
    pub fn discovery_url(mut self, url: impl Into<String>) -> Self {
        self.discovery_url = Some(url.into());
        self
    }

    /// `KYCPORT_API_BASE_URL`: where the API is that takes the tenant key. The origin of the
    /// discovery document if left out.
    pub fn api_base_url(mut self, url: impl Into<String>) -> Self {
        self.api_base_url = Some(url.into());
        self
    }

    /// `KYCPORT_CLIENT_SECRET`: for confidential clients.
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = Some(Secret::new(secret));
        self
    }

    /// `KYCPORT_TENANT_API_KEY`: for calls from server to server.
    pub fn tenant_api_key(mut self, key: impl Into<String>) -> Self {
        self.tenant_api_key = Some(Secret::new(key));
        self
    }

    /// `KYCPORT_WEBHOOK_SECRET`: with which KYCPort signs its deliveries.
    pub fn webhook_secret(mut self, secret: impl Into<String>) -> Self {
        self.webhook_secret = Some(Secret::new(secret));
        self
    }

    /// `KYCPORT_WEBHOOK_SECRET_PREVIOUS`: with which KYCPort signed until lately. While one secret
    /// replaces another, what is signed with either is believed.
    pub fn previous_webhook_secret(mut self, secret: impl Into<String>) -> Self {
        self.previous_webhook_secret = Some(Secret::new(secret));
        self
    }

    /// Whom [`reload_secrets`](crate::RelyingParty::reload_secrets) asks what the secrets are by
    /// then, such as [`SecretFiles`](crate::secrets::SecretFiles). Those that are set here serve
    /// until a reload; nobody is asked before.
    pub fn secrets(mut self, provider: impl SecretProvider) -> Self {
        self.secrets = Some(SharedProvider(Arc::new(provider)));
        self
    }

    /// `KYCPORT_SCOPES` (separated by spaces there): what is asked for. `openid kyc` if left out.
    pub fn scopes<I: IntoIterator<Item: Into<String>>>(mut self, scopes: I) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Permits a further origin, like `https://id.example.com`, for the endpoints that the
    /// discovery document names. Those of the document's own and the issuer's are permitted.
    pub fn allow_endpoint_origin(mut self, origin: impl Into<String>) -> Self {
        self.endpoint_origins.push(origin.into());
        self
    }

    /// What carries the tier that a step-up asks for: `acr_values` (K15 does not name it).
    pub fn tier_parameter(mut self, name: impl Into<String>) -> Self {
        self.tier_parameter = name.into();
        self
    }

    /// Sets the maximum number of attempts of an idempotent API request. Default: 3. Maximum: 10.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts;
        self
    }

    /// Sets the pause before the first retry of an API request. The pause doubles up to 5 s, and a
    /// random part of it is left out. Default: 200 ms.
    pub fn retry_pause(mut self, pause: Duration) -> Self {
        self.retry.first_pause = pause;
        self
    }

    /// Sets the deadline for an API request with all its retries. Default: 20 s. Maximum: 1 h.
    pub fn retry_deadline(mut self, deadline: Duration) -> Self {
        self.retry.total = deadline;
        self
    }

    /// Sends a further parameter to the authorization endpoint with every login, such as
    /// `response_mode` (K16) or whatever names the requested tier (K15).
    pub fn authorize_parameter(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.extra_parameters.push((name.into(), value.into()));
        self
    }

    /// How far KYCPort's clock and this machine's may be apart: 60 s, 5 min at most.
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// Sets the time limit for establishing a connection to KYCPort. Default: 3 s. Maximum: 1 h.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.deadlines.connect = limit;
        self
    }

    /// Sets the time limit for a request to KYCPort, from its start to the last byte of the
    /// response. Default: 10 s. Maximum: 1 h.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.deadlines.total = limit;
        self
    }

    /// Believes the certificate authorities of this PEM text, and none of the machine's: for a
    /// private authority, as that of a gateway on the way to KYCPort, and for a mock under TLS.
    /// Those of the machine if left out. There is no way to add one to them, for each could vouch
    /// for KYCPort.
    pub fn trust_only(mut self, roots_pem: impl Into<String>) -> Self {
        self.roots_pem = Some(roots_pem.into());
        self
    }

    /// The largest file that is uploaded to a case, in bytes: 20 MiB, which KYCPort does not
    /// document (K58).
    pub fn max_upload_file_bytes(mut self, limit: u64) -> Self {
        self.cases.max_file_bytes = limit;
        self
    }

    /// How long an upload to a case may take, up to the answer's last byte: 120 s, 1 h at most.
    pub fn upload_timeout(mut self, deadline: Duration) -> Self {
        self.cases.upload_deadline = deadline;
        self
    }

    /// Sets the first polling interval of
    /// [`wait_until_decided`](crate::cases::CaseClient::wait_until_decided). The interval doubles up
    /// to [`max_case_poll_interval`](Self::max_case_poll_interval). Default: 1 s.
    pub fn case_poll_interval(mut self, interval: Duration) -> Self {
        self.cases.first_pause = interval;
        self
    }

    /// Sets the longest polling interval of
    /// [`wait_until_decided`](crate::cases::CaseClient::wait_until_decided). Default: 10 s. Maximum:
    /// 1 h.
    pub fn max_case_poll_interval(mut self, interval: Duration) -> Self {
        self.cases.longest_pause = interval;
        self
    }

    /// How long a login may take, from the click to the return: 10 min, 1 h at most.
    pub fn login_lifetime(mut self, lifetime: Duration) -> Self {
        self.login_lifetime = lifetime;
        self
    }

    /// By which names tokens may call the one algorithm: `EdDSA`.
    pub fn algorithm_names(mut self, names: AlgorithmNames) -> Self {
        self.algorithm_names = names;
        self
    }

    /// Which claims an access token must have: those that KYCPort documents.
    pub fn access_token_profile(mut self, profile: AccessTokenProfile) -> Self {
        self.access_token_profile = profile;
        self
    }

    /// When an authorization response must carry `iss`: when the discovery document promises it.
    pub fn response_issuer(mut self, when: ResponseIssuer) -> Self {
        self.response_issuer = when;
        self
    }

    /// What a discovery document that leaves a capability out is taken to mean: that it lacks it.
    pub fn undeclared_capabilities(mut self, meaning: UndeclaredCapabilities) -> Self {
        self.undeclared = meaning;
        self
    }

    /// When a response of the status endpoint must contain `person_id`. Default:
    /// [`StatusPersonId::Optional`], because KYCPort documents a response without it.
    pub fn status_person_id(mut self, when: StatusPersonId) -> Self {
        self.status_person_id = when;
        self
    }

    /// The clock: the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

/// What the axum floor can be told.
#[cfg(feature = "web")]
impl ConfigBuilder {
    /// Where the routes lie: `/auth`. The callback alone follows the redirect URI.
    pub fn auth_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.web.prefix = prefix.into();
        self
    }

    /// The path at which the callback reaches this app, if a proxy on the way changes it. The path
    /// of the redirect URI if left out.
    pub fn callback_path(mut self, path: impl Into<String>) -> Self {
        self.web.callback_path = Some(path.into());
        self
    }

    /// A further origin that this app's own pages have, besides the redirect URI's: requests from
    /// there may change things.
    pub fn allow_app_origin(mut self, origin: impl Into<String>) -> Self {
        self.web.app_origins.push(origin.into());
        self
    }

    /// Name of the session cookie, without the prefix `__Host-`. Default: `kycport-` and four
    /// characters that are derived from the issuer and the client id, so that two apps on one host do
    /// not overwrite each other's cookies. A name with `-login-` is rejected: it marks the cookies of
    /// pending logins.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.web.cookie_name = Some(name.into());
        self
    }

    /// Sets the time without use after which a session ends. Default: 30 min. Minimum: 60 s.
    /// Maximum: [`session_lifetime`](Self::session_lifetime).
    pub fn session_idle_timeout(mut self, limit: Duration) -> Self {
        self.web.limits.idle = limit;
        self
    }

    /// Sets the time after which a session ends, even if it is in use. Default: 12 h. Minimum: 60 s.
    /// Maximum: 30 days.
    pub fn session_lifetime(mut self, limit: Duration) -> Self {
        self.web.limits.absolute = limit;
        self
    }

    /// What `GET /auth/me` answers when nobody is signed in: 401.
    pub fn signed_out_me(mut self, answer: SignedOutMe) -> Self {
        self.web.signed_out_me = answer;
        self
    }

    /// `KYCPORT_LOG_KEY`: under which the log names people, sessions and events, 32 bytes or more.
    /// Instances that share it name them alike; without it each process has a key of its own. It
    /// keeps who they are from whoever reads the log: see [operations](crate::guide::operations).
    pub fn log_key(mut self, key: impl Into<String>) -> Self {
        self.web.log_key = Some(Secret::new(key));
        self
    }

    /// How long what KYCPort said of a person is acted on without asking again: 10 min, 24 h at
    /// most. A guard that says [`fresh`](crate::web::Guard::fresh) always asks.
    pub fn assurance_max_age(mut self, age: Duration) -> Self {
        self.web.assurance_max_age = age;
        self
    }

    /// Stores everything that is kept: sessions, leases, events and assurances. Default: memory,
    /// which serves one process and ends with it. See [`store`](crate::store) for the engines.
    pub fn store(mut self, store: impl Store) -> Self {
        self.web.store = Some(Arc::new(store));
        self
    }

    /// `KYCPORT_STORE`: URL of the store, such as `redis://…`, `postgres://…`,
    /// `sqlite:///var/lib/app/kycport.db` or `memory:`. The connection is made at first use. Tables
    /// that are missing are created then. A store that is given by [`store`](Self::store) takes
    /// precedence.
    pub fn store_url(mut self, url: impl Into<String>) -> Self {
        self.web.store_url = Some(url.into());
        self
    }

    /// `KYCPORT_SESSION_KEYS`: seals what is stored. Default: not sealed.
    pub fn session_keys(mut self, keys: SealingKeys) -> Self {
        self.web.sealing_keys = Some(Arc::new(keys));
        self
    }
}
