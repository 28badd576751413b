//! Validation of a [`ConfigBuilder`]. The validation returns a [`Config`] or the first error.

#[cfg(feature = "web")]
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{
    Config,
    builder::ConfigBuilder,
    error::{ConfigError, Setting},
    names, rules,
};
use crate::{
    http::{Origin, Trust},
    oidc::{self, MetadataPolicy},
    wire::authorize,
};
#[cfg(feature = "web")]
use crate::{
    observe::LogKey,
    state::{Namespace, SealingKeys},
    store::{self, Store},
    web,
};

/// KYCPort's issuer (K2).
const PRODUCTION_ISSUER: &str = "https://www.kycport.com";
/// KYCPort's discovery document (K1). The URL of the document does not begin with the issuer.
const PRODUCTION_DISCOVERY_URL: &str =
    "https://www.kycport.com/api/oidc/.well-known/openid-configuration";
/// Default scopes: the person's identity and verification status.
const DEFAULT_SCOPES: [&str; 2] = ["openid", "kyc"];
/// Upper limit of the setting for the clock skew.
const MOST_SKEW: Duration = Duration::from_secs(300);

impl ConfigBuilder {
    /// Validates the settings and builds the configuration.
    ///
    /// # Errors
    /// Returns [`ConfigError`] for the first invalid setting.
    pub fn build(self) -> Result<Config, ConfigError> {
        let client_id = rules::client_id(names::CLIENT_ID, &self.client_id)?;
        let redirect_url = rules::redirect_uri(names::REDIRECT_URI, &self.redirect_uri)?;
        let issuer = match &self.issuer {
            Some(issuer) => rules::issuer(names::ISSUER, issuer)?,
            None => PRODUCTION_ISSUER.to_owned(),
        };
        let discovery_url = match &self.discovery_url {
            Some(url) => rules::address(names::DISCOVERY_URL, url)?,
            None if issuer == PRODUCTION_ISSUER => {
                rules::address(names::DISCOVERY_URL, PRODUCTION_DISCOVERY_URL)?
            }
            None => {
                return Err(names::DISCOVERY_URL.refuse(
                    "the issuer is set, but the discovery URL is not",
                    "Set the discovery URL too: it cannot be derived from the issuer",
                ));
            }
        };
        let api_base_url = match &self.api_base_url {
            Some(url) => rules::api_base_url(names::API_BASE_URL, url)?,
            None => origin_root(&discovery_url),
        };
        self.judge_secrets_and_parameters()?;
        self.judge_limits()?;
        let scopes = self
            .scopes
            .clone()
            .unwrap_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec());
        let allowed_origins = origins(names::ENDPOINT_ORIGIN, &self.endpoint_origins)?;
        let trust = match &self.roots_pem {
            Some(pem) => rules::roots(names::TRUST_ONLY, pem)?,
            None => Trust::System,
        };
        Ok(Config {
            #[cfg(feature = "web")]
            web: self.web_settings(&redirect_url, &issuer, &client_id)?,
            oidc: oidc::Settings {
                metadata: MetadataPolicy {
                    issuer: issuer.clone(),
                    discovery_url,
                    allowed_origins,
                    undeclared: self.undeclared,
                },
                issuer,
                client_id,
                redirect_uri: self.redirect_uri,
                scopes: rules::scopes(names::SCOPES, &scopes)?,
                tier_parameter: self.tier_parameter,
                extra_parameters: self.extra_parameters,
                transaction_lifetime: self.login_lifetime,
                skew: self.skew,
                algorithm_names: self.algorithm_names,
                access_token_profile: self.access_token_profile,
                response_issuer: self.response_issuer,
                userinfo_member: self.userinfo_member,
                status_aliases: rules::status_aliases(names::STATUS_ALIAS, &self.status_aliases)?,
            },
            redirect_url,
            api_base_url,
            secrets: self.secrets,
            client_secret: self.client_secret,
            tenant_api_key: self.tenant_api_key,
            webhook_secret: self.webhook_secret,
            previous_webhook_secret: self.previous_webhook_secret,
            deadlines: self.deadlines,
            trust,
            retry: self.retry,
            status_person_id: self.status_person_id,
            cases: self.cases,
            clock: self.clock,
        })
    }

    fn judge_secrets_and_parameters(&self) -> Result<(), ConfigError> {
        for (setting, secret) in [
            (names::CLIENT_SECRET, &self.client_secret),
            (names::TENANT_API_KEY, &self.tenant_api_key),
            (names::WEBHOOK_SECRET, &self.webhook_secret),
            (
                names::PREVIOUS_WEBHOOK_SECRET,
                &self.previous_webhook_secret,
            ),
        ] {
            if let Some(secret) = secret {
                rules::secret(setting, secret.expose())?;
            }
        }
        for (name, value) in &self.extra_parameters {
            rules::extra_parameter(names::EXTRA_PARAMETER, name)?;
            if name == "response_mode" && value != "query" {
                return Err(names::EXTRA_PARAMETER.refuse(
                    "`response_mode` must be `query`",
                    "Remove the parameter: browsers send the cookie of a pending login only with a redirect",
                ));
            }
        }
        if let Some(member) = &self.userinfo_member {
            rules::member(names::USERINFO_MEMBER, member)?;
        }
        if self.tier_parameter != authorize::ACR_VALUES {
            rules::extra_parameter(names::TIER_PARAMETER, &self.tier_parameter)?;
        }
        Ok(())
    }

    fn judge_limits(&self) -> Result<(), ConfigError> {
        let (an_instant, an_hour) = (Duration::from_millis(1), Duration::from_secs(3600));
        let a_minute = Duration::from_secs(60);
        if !(1..=10).contains(&self.retry.attempts) {
            return Err(names::MAX_ATTEMPTS.refuse(
                format!("{} attempts are not allowed", self.retry.attempts),
                "Set 1 to 10 attempts",
            ));
        }
        within(names::RETRY_DEADLINE, self.retry.total, an_instant, an_hour)?;
        within(names::CLOCK_SKEW, self.skew, Duration::ZERO, MOST_SKEW)?;
        within(
            names::CONNECT_TIMEOUT,
            self.deadlines.connect,
            an_instant,
            an_hour,
        )?;
        within(
            names::REQUEST_TIMEOUT,
            self.deadlines.total,
            an_instant,
            an_hour,
        )?;
        let cases = self.cases;
        if cases.max_file_bytes == 0 {
            return Err(
                names::MAX_UPLOAD_FILE.refuse("the limit is 0 bytes", "Set a size in bytes")
            );
        }
        within(
            names::UPLOAD_TIMEOUT,
            cases.upload_deadline,
            an_instant,
            an_hour,
        )?;
        within(
            names::CASE_POLL_INTERVAL,
            cases.first_pause,
            an_instant,
            cases.max_pause,
        )?;
        within(
            names::MAX_CASE_POLL_INTERVAL,
            cases.max_pause,
            an_instant,
            an_hour,
        )?;
        within(
            names::LOGIN_LIFETIME,
            self.login_lifetime,
            a_minute,
            an_hour,
        )
    }
}

#[cfg(feature = "web")]
impl ConfigBuilder {
    fn web_settings(
        &self,
        redirect_url: &Url,
        issuer: &str,
        client_id: &str,
    ) -> Result<web::Settings, ConfigError> {
        let limits = self.web.limits;
        within(
            names::SESSION_LIFETIME,
            limits.absolute,
            Duration::from_secs(60),
            web::LONGEST_SESSION,
        )?;
        within(
            names::SESSION_IDLE_TIMEOUT,
            limits.idle,
            Duration::from_secs(60),
            limits.absolute,
        )?;
        within(
            names::ASSURANCE_MAX_AGE,
            self.web.assurance_max_age,
            Duration::ZERO,
            Duration::from_secs(24 * 3600),
        )?;
        within(
            names::STEP_UP_LIFETIME,
            self.web.step_up_lifetime,
            Duration::from_secs(60),
            Duration::from_secs(24 * 3600),
        )?;
        let mut own_origins = origins(names::APP_ORIGIN, &self.web.app_origins)?;
        own_origins.extend(Origin::of(redirect_url));
        let prefix = rules::prefix(names::AUTH_PREFIX, &self.web.prefix)?;
        let callback_path = match &self.web.callback_path {
            Some(path) => rules::prefix(names::CALLBACK_PATH, path)?,
            None => rules::prefix(names::REDIRECT_URI, redirect_url.path())?,
        };
        let taken = ["login", "logout", "me", "step-up", "step-up/state"]
            .map(|name| format!("{prefix}/{name}"));
        if taken.contains(&callback_path) {
            return Err(names::CALLBACK_PATH.refuse(
                format!("the app uses {callback_path} for another route"),
                "Choose another path for the callback, like /auth/callback",
            ));
        }
        Ok(web::Settings {
            prefix,
            callback_path,
            own_origins,
            cookies: web::CookieNames::new(&match &self.web.cookie_name {
                Some(name) => rules::cookie_name(names::COOKIE_NAME, name)?,
                None => format!("kycport-{}", Namespace::of(issuer, client_id).short_name()),
            }),
            limits,
            signed_out_me: self.web.signed_out_me,
            step_up_hint: self.web.step_up_hint,
            me_shows_aml: self.web.me_shows_aml,
            assurance_max_age: self.web.assurance_max_age,
            store: self.judged_store()?,
            sealing_keys: self.judged_sealing_keys()?,
            transaction_lifetime: self.login_lifetime,
            step_up_lifetime: self.web.step_up_lifetime,
            skew: self.skew,
            log_key: match &self.web.log_key {
                Some(key) => rules::log_key(names::LOG_KEY, key)?,
                None => LogKey::of_this_process(),
            },
        })
    }
}

#[cfg(feature = "web")]
impl ConfigBuilder {
    fn judged_store(&self) -> Result<Option<Arc<dyn Store>>, ConfigError> {
        match (&self.web.store, &self.web.store_url) {
            (Some(store), _) => Ok(Some(Arc::clone(store))),
            (None, None) => Ok(None),
            (None, Some(url)) => match store::from_url(url, Arc::clone(&self.clock)) {
                Ok(store) => Ok(Some(store)),
                Err(error) => Err(names::STORE.refuse(error.problem(), error.remedy())),
            },
        }
    }

    fn judged_sealing_keys(&self) -> Result<Option<Arc<SealingKeys>>, ConfigError> {
        match (&self.web.sealing_keys, &self.web.sealing_keys_text) {
            (Some(keys), _) => Ok(Some(Arc::clone(keys))),
            (None, None) => Ok(None),
            (None, Some(text)) => match SealingKeys::parse(text.expose()) {
                Ok(keys) => Ok(Some(Arc::new(keys))),
                Err(error) => Err(names::SESSION_KEYS.refuse(
                    error.to_string(),
                    "Set name:key pairs separated by spaces. The first key encrypts",
                )),
            },
        }
    }
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
            format!("{value:?} is out of range"),
            format!("Set a duration from {least:?} to {most:?}"),
        ))
    }
}
