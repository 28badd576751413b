//! The builder: settings as they come, judged together at the end.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::{
    Config,
    error::{ConfigError, Setting},
    rules,
};
use crate::{
    clock::{Clock, SystemClock},
    http::{Deadlines, Origin, RetryPolicy},
    oidc::{
        self, AccessTokenProfile, AlgorithmNames, MetadataPolicy, ResponseIssuer,
        UndeclaredCapabilities,
    },
    wire::authorize,
};
#[cfg(feature = "web")]
use crate::{
    kyc::{AssuranceCache, MemoryCache},
    web::{self, SignedOutMe},
};

/// KYCPort's issuer (K2).
const PRODUCTION_ISSUER: &str = "https://www.kycport.com";
/// KYCPort's discovery document (K1), which does not lie below the issuer.
const PRODUCTION_DISCOVERY_URL: &str =
    "https://www.kycport.com/api/oidc/.well-known/openid-configuration";
/// What is asked for if nothing else is said: who it is, and how well they are known.
const DEFAULT_SCOPES: [&str; 2] = ["openid", "kyc"];
/// The largest difference of clocks that is forgiven.
const MOST_SKEW: Duration = Duration::from_secs(300);
/// A limit that is longer is no limit.
#[cfg(feature = "web")]
const LONGEST_SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

const ISSUER: Setting = Setting::with_variable("issuer", "KYCPORT_ISSUER");
const DISCOVERY_URL: Setting = Setting::with_variable("discovery_url", "KYCPORT_DISCOVERY_URL");
const CLIENT_ID: Setting = Setting::with_variable("client_id", "KYCPORT_CLIENT_ID");
const CLIENT_SECRET: Setting = Setting::with_variable("client_secret", "KYCPORT_CLIENT_SECRET");
const REDIRECT_URI: Setting = Setting::with_variable("redirect_uri", "KYCPORT_REDIRECT_URI");
const SCOPES: Setting = Setting::with_variable("scopes", "KYCPORT_SCOPES");
const API_BASE_URL: Setting = Setting::with_variable("api_base_url", "KYCPORT_API_BASE_URL");
const TENANT_API_KEY: Setting = Setting::with_variable("tenant_api_key", "KYCPORT_TENANT_API_KEY");
const WEBHOOK_SECRET: Setting = Setting::with_variable("webhook_secret", "KYCPORT_WEBHOOK_SECRET");
const ENDPOINT_ORIGIN: Setting = Setting::named("allow_endpoint_origin");
const EXTRA_PARAMETER: Setting = Setting::named("authorize_parameter");
const TIER_PARAMETER: Setting = Setting::named("tier_parameter");
const RETRIES: Setting = Setting::named("retries");
const CLOCK_SKEW: Setting = Setting::named("clock_skew");
const TIMEOUTS: Setting = Setting::named("timeouts");
const LOGIN_LIFETIME: Setting = Setting::named("login_lifetime");
#[cfg(feature = "web")]
const APP_ORIGIN: Setting = Setting::named("allow_app_origin");
#[cfg(feature = "web")]
const AUTH_PREFIX: Setting = Setting::named("auth_prefix");
#[cfg(feature = "web")]
const CALLBACK_PATH: Setting = Setting::named("callback_path");
#[cfg(feature = "web")]
const COOKIE_NAME: Setting = Setting::named("cookie_name");
#[cfg(feature = "web")]
const ASSURANCE_MAX_AGE: Setting = Setting::named("assurance_max_age");
#[cfg(feature = "web")]
const SESSION_LIMITS: Setting = Setting::named("session_limits");

/// Settings on their way to a [`Config`].
#[derive(Debug, Clone)]
#[must_use = "nothing comes of it before `build`"]
pub struct ConfigBuilder {
    client_id: String,
    redirect_uri: String,
    issuer: Option<String>,
    discovery_url: Option<String>,
    api_base_url: Option<String>,
    client_secret: Option<crate::Secret>,
    tenant_api_key: Option<crate::Secret>,
    webhook_secret: Option<crate::Secret>,
    scopes: Option<Vec<String>>,
    endpoint_origins: Vec<String>,
    tier_parameter: String,
    extra_parameters: Vec<(String, String)>,
    retry: RetryPolicy,
    skew: Duration,
    deadlines: Deadlines,
    login_lifetime: Duration,
    algorithm_names: AlgorithmNames,
    access_token_profile: AccessTokenProfile,
    response_issuer: ResponseIssuer,
    undeclared: UndeclaredCapabilities,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "web")]
    web: WebSettings,
}

#[cfg(feature = "web")]
#[derive(Debug, Clone)]
struct WebSettings {
    app_origins: Vec<String>,
    prefix: String,
    callback_path: Option<String>,
    cookie_name: String,
    limits: web::SessionLimits,
    signed_out_me: SignedOutMe,
    assurance_max_age: Duration,
    cache: Arc<dyn AssuranceCache>,
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
            scopes: None,
            endpoint_origins: Vec::new(),
            tier_parameter: authorize::ACR_VALUES.to_owned(),
            extra_parameters: Vec::new(),
            retry: RetryPolicy::DEFAULT,
            skew: Duration::from_secs(60),
            deadlines: Deadlines {
                connect: Duration::from_secs(3),
                total: Duration::from_secs(10),
            },
            login_lifetime: Duration::from_secs(600),
            algorithm_names: AlgorithmNames::default(),
            access_token_profile: AccessTokenProfile::default(),
            response_issuer: ResponseIssuer::default(),
            undeclared: UndeclaredCapabilities::default(),
            clock: Arc::new(SystemClock::new()),
            #[cfg(feature = "web")]
            web: WebSettings {
                app_origins: Vec::new(),
                prefix: "/auth".to_owned(),
                callback_path: None,
                cookie_name: "kycport".to_owned(),
                limits: web::SessionLimits {
                    idle: Duration::from_secs(30 * 60),
                    absolute: Duration::from_secs(12 * 3600),
                },
                signed_out_me: SignedOutMe::default(),
                assurance_max_age: Duration::from_secs(600),
                cache: Arc::new(MemoryCache::default()),
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
        self.client_secret = Some(crate::Secret::new(secret));
        self
    }

    /// `KYCPORT_TENANT_API_KEY`: for calls from server to server.
    pub fn tenant_api_key(mut self, key: impl Into<String>) -> Self {
        self.tenant_api_key = Some(crate::Secret::new(key));
        self
    }

    /// `KYCPORT_WEBHOOK_SECRET`: with which KYCPort signs its deliveries.
    pub fn webhook_secret(mut self, secret: impl Into<String>) -> Self {
        self.webhook_secret = Some(crate::Secret::new(secret));
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

    /// How questions to the API are asked again: attempts in all (3), the longest first pause
    /// (200 ms, doubling up to 5 s, cut at random), and a limit for all of it together (20 s).
    pub fn retries(mut self, attempts: u32, first_pause: Duration, total: Duration) -> Self {
        self.retry = RetryPolicy {
            attempts,
            first_pause,
            total,
            ..RetryPolicy::DEFAULT
        };
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

    /// Time limits for each request to KYCPort: for the connection (3 s), and for the whole of it
    /// up to the answer's last byte (10 s).
    pub fn timeouts(mut self, connect: Duration, total: Duration) -> Self {
        self.deadlines = Deadlines { connect, total };
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

    /// The clock: the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Judges the settings.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn build(self) -> Result<Config, ConfigError> {
        let client_id = rules::client_id(CLIENT_ID, &self.client_id)?;
        let redirect_url = rules::redirect_uri(REDIRECT_URI, &self.redirect_uri)?;
        let issuer = match &self.issuer {
            Some(issuer) => rules::issuer(ISSUER, issuer)?,
            None => PRODUCTION_ISSUER.to_owned(),
        };
        let discovery_url = match &self.discovery_url {
            Some(url) => rules::address(DISCOVERY_URL, url)?,
            None if issuer == PRODUCTION_ISSUER => {
                rules::address(DISCOVERY_URL, PRODUCTION_DISCOVERY_URL)?
            }
            None => {
                return Err(DISCOVERY_URL.refuse(
                    "it is not set, but the issuer is",
                    "Set it too: it cannot be derived from the issuer",
                ));
            }
        };
        let api_base_url = match &self.api_base_url {
            Some(url) => rules::address(API_BASE_URL, url)?,
            None => origin_root(&discovery_url),
        };
        for (setting, secret) in [
            (CLIENT_SECRET, &self.client_secret),
            (TENANT_API_KEY, &self.tenant_api_key),
            (WEBHOOK_SECRET, &self.webhook_secret),
        ] {
            if let Some(secret) = secret {
                rules::secret(setting, secret.expose())?;
            }
        }
        for (name, _) in &self.extra_parameters {
            rules::extra_parameter(EXTRA_PARAMETER, name)?;
        }
        if self.tier_parameter != authorize::ACR_VALUES {
            rules::extra_parameter(TIER_PARAMETER, &self.tier_parameter)?;
        }
        if !(1..=10).contains(&self.retry.attempts) {
            return Err(RETRIES.refuse(
                format!("{} attempts", self.retry.attempts),
                "Give a number from 1 to 10",
            ));
        }
        within(CLOCK_SKEW, self.skew, Duration::ZERO, MOST_SKEW)?;
        let an_hour = Duration::from_secs(3600);
        within(RETRIES, self.retry.total, Duration::from_millis(1), an_hour)?;
        within(
            TIMEOUTS,
            self.deadlines.connect,
            Duration::from_millis(1),
            an_hour,
        )?;
        within(
            TIMEOUTS,
            self.deadlines.total,
            Duration::from_millis(1),
            an_hour,
        )?;
        within(
            LOGIN_LIFETIME,
            self.login_lifetime,
            Duration::from_secs(60),
            an_hour,
        )?;
        let scopes = self
            .scopes
            .clone()
            .unwrap_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec());
        let allowed_origins = origins(ENDPOINT_ORIGIN, &self.endpoint_origins)?;
        Ok(Config {
            #[cfg(feature = "web")]
            web: self.web_settings(&redirect_url)?,
            oidc: oidc::Settings {
                metadata: MetadataPolicy {
                    issuer: issuer.clone(),
                    discovery_url,
                    allowed_origins,
                    undeclared: self.undeclared,
                },
                issuer,
                client_id,
                client_secret: self.client_secret,
                redirect_uri: self.redirect_uri,
                scopes: rules::scopes(SCOPES, &scopes)?,
                tier_parameter: self.tier_parameter,
                extra_parameters: self.extra_parameters,
                transaction_lifetime: self.login_lifetime,
                skew: self.skew,
                algorithm_names: self.algorithm_names,
                access_token_profile: self.access_token_profile,
                response_issuer: self.response_issuer,
            },
            redirect_url,
            api_base_url,
            tenant_api_key: self.tenant_api_key,
            webhook_secret: self.webhook_secret,
            deadlines: self.deadlines,
            retry: self.retry,
            clock: self.clock,
        })
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

    /// The cookie's name, less the prefix `__Host-`: `kycport`. Two apps on one host need two.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.web.cookie_name = name.into();
        self
    }

    /// How long a session lives: without use (30 min), and in all (12 h; 30 days at most).
    pub fn session_limits(mut self, idle: Duration, absolute: Duration) -> Self {
        self.web.limits = web::SessionLimits { idle, absolute };
        self
    }

    /// What `GET /auth/me` answers when nobody is signed in: 401.
    pub fn signed_out_me(mut self, answer: SignedOutMe) -> Self {
        self.web.signed_out_me = answer;
        self
    }

    /// How long what KYCPort said of a person is acted on without asking again: 10 min, 24 h at
    /// most. A guard that says [`fresh`](crate::web::Guard::fresh) always asks.
    pub fn assurance_max_age(mut self, age: Duration) -> Self {
        self.web.assurance_max_age = age;
        self
    }

    /// Where assurances are kept: in memory. Instances that share a cache share what they know.
    pub fn assurance_cache(mut self, cache: impl AssuranceCache) -> Self {
        self.web.cache = Arc::new(cache);
        self
    }

    fn web_settings(&self, redirect_url: &Url) -> Result<web::Settings, ConfigError> {
        let limits = self.web.limits;
        within(
            SESSION_LIMITS,
            limits.absolute,
            Duration::from_secs(60),
            LONGEST_SESSION,
        )?;
        within(
            SESSION_LIMITS,
            limits.idle,
            Duration::from_secs(60),
            limits.absolute,
        )?;
        within(
            ASSURANCE_MAX_AGE,
            self.web.assurance_max_age,
            Duration::ZERO,
            Duration::from_secs(24 * 3600),
        )?;
        let mut own_origins = origins(APP_ORIGIN, &self.web.app_origins)?;
        own_origins.extend(Origin::of(redirect_url));
        let prefix = rules::prefix(AUTH_PREFIX, &self.web.prefix)?;
        let callback_path = match &self.web.callback_path {
            Some(path) => rules::prefix(CALLBACK_PATH, path)?,
            None => rules::prefix(REDIRECT_URI, redirect_url.path())?,
        };
        let taken = ["login", "logout", "me", "step-up"].map(|name| format!("{prefix}/{name}"));
        if taken.contains(&callback_path) {
            return Err(CALLBACK_PATH.refuse(
                format!("{callback_path} is another of the routes"),
                "Give the callback a path of its own, like /auth/callback",
            ));
        }
        Ok(web::Settings {
            prefix,
            callback_path,
            own_origins,
            cookies: web::CookieNames::new(&rules::cookie_name(
                COOKIE_NAME,
                &self.web.cookie_name,
            )?),
            limits,
            signed_out_me: self.web.signed_out_me,
            assurance_max_age: self.web.assurance_max_age,
            cache: Arc::clone(&self.web.cache),
            transaction_lifetime: self.login_lifetime,
        })
    }
}

/// Reads the settings that have a variable, by way of `read`: of all that is found there, what is
/// blank or has white space around it is refused.
pub(super) fn from_variables(
    read: impl Fn(&'static str) -> Option<String>,
) -> Result<ConfigBuilder, ConfigError> {
    let get = |setting: Setting| -> Result<Option<String>, ConfigError> {
        let value = setting.variable.and_then(&read);
        if let Some(value) = &value {
            rules::clean(setting, value)?;
        }
        Ok(value)
    };
    let require = |setting: Setting, example: &'static str| {
        get(setting)?.ok_or_else(|| setting.refuse("it is not set", example))
    };
    let mut builder = ConfigBuilder::new(
        require(CLIENT_ID, "Set it to the id that KYCPort gave your client")?,
        require(
            REDIRECT_URI,
            "Set it to what you registered, like https://app.example.com/auth/callback",
        )?,
    );
    builder.issuer = get(ISSUER)?;
    builder.discovery_url = get(DISCOVERY_URL)?;
    builder.api_base_url = get(API_BASE_URL)?;
    builder.client_secret = get(CLIENT_SECRET)?.map(crate::Secret::new);
    builder.tenant_api_key = get(TENANT_API_KEY)?.map(crate::Secret::new);
    builder.webhook_secret = get(WEBHOOK_SECRET)?.map(crate::Secret::new);
    builder.scopes =
        get(SCOPES)?.map(|scopes| scopes.split_whitespace().map(str::to_owned).collect());
    Ok(builder)
}

fn origins(setting: Setting, texts: &[String]) -> Result<Vec<Origin>, ConfigError> {
    texts
        .iter()
        .map(|text| rules::origin(setting, text))
        .collect()
}

fn origin_root(url: &Url) -> Url {
    let mut root = url.clone();
    root.set_path("/");
    root.set_query(None);
    root
}

fn within(
    setting: Setting,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(setting.refuse(
            format!("{value:?}"),
            format!("Give a time from {least:?} to {most:?}"),
        ))
    }
}
