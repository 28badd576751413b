//! Settings of the web layer.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, header::REFERER};
use url::{Url, form_urlencoded};

use super::{
    request::{cookies::CookieNames, return_to::ReturnTo},
    session::SessionLimits,
};
use crate::{http::Origin, observe::LogKey, state::SealingKeys, store::Store, wire::kyc::KycTier};

/// Maximum time since the person authenticated that a guard can require, in seconds.
pub(super) const MAX_AUTHENTICATION_AGE: u32 = 86_400;

/// Validated settings of the web layer, from [`Config`](crate::Config).
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Path prefix of the routes, without a trailing slash. Default: `/auth`.
    pub(crate) prefix: String,
    /// Path of the redirect URI.
    pub(crate) callback_path: String,
    /// Origins of this app's pages.
    pub(crate) own_origins: Vec<Origin>,
    pub(crate) cookies: CookieNames,
    pub(crate) limits: SessionLimits,
    pub(crate) signed_out_me: SignedOutMe,
    pub(crate) step_up_hint: StepUpHint,
    /// Whether `GET /auth/me` returns the AML result.
    pub(crate) me_shows_aml: bool,
    /// Maximum age of a stored verification result. If the result is older, the guard queries
    /// KYCPort again.
    pub(crate) assurance_max_age: Duration,
    /// Configured store. Without a store, the sessions are in memory.
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) sealing_keys: Option<Arc<SealingKeys>>,
    /// Lifetime of a login.
    pub(crate) transaction_lifetime: Duration,
    /// Lifetime of a step-up.
    pub(crate) step_up_lifetime: Duration,
    /// Maximum difference between KYCPort's clock and this machine's clock.
    pub(crate) skew: Duration,
    /// Key that derives the pseudonyms in the log.
    pub(crate) log_key: LogKey,
}

/// Response of `GET /auth/me` when no one is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SignedOutMe {
    /// Responds with 401 and problem JSON.
    #[default]
    Unauthorized,
    /// Responds with 200 and `null`. Use this value for pages that do not know whether a person is
    /// signed in.
    Null,
}

/// Hint at the signed-in person in the authorization request of a step-up. With the hint, KYCPort
/// can select the right account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StepUpHint {
    /// Sends the subject, KYCPort's identifier of the person.
    #[default]
    Subject,
    /// Sends the email address, if the session has an email address. The address is then in a URL,
    /// and so in the history of the browser and possibly in logs of proxies.
    Email,
    /// Sends no hint.
    None,
}

impl Settings {
    /// Returns the path of the callback.
    pub(crate) fn callback_path(&self) -> &str {
        &self.callback_path
    }

    pub(super) fn login_path(&self) -> String {
        format!("{}/login", self.prefix)
    }

    pub(super) fn login_path_back_to(&self, return_to: &ReturnTo) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", return_to.as_str())
            .finish();
        format!("{}?{query}", self.login_path())
    }

    /// Returns the path of a step-up. `max_age` is the maximum time since the person
    /// authenticated, in seconds.
    pub(super) fn step_up_path(
        &self,
        tier: &KycTier,
        max_age: Option<u32>,
        return_to: &ReturnTo,
    ) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("tier", tier.as_str());
        if let Some(seconds) = max_age {
            query.append_pair("max_age", &seconds.to_string());
        }
        query.append_pair("return_to", return_to.as_str());
        format!("{}/step-up?{}", self.prefix, query.finish())
    }

    /// Returns the page of this app that sent a request, from the `Referer` header. Returns the
    /// home page if `Referer` is missing or names another origin.
    pub(super) fn referring_page(&self, headers: &HeaderMap) -> ReturnTo {
        headers
            .get(REFERER)
            .and_then(|value| Url::parse(std::str::from_utf8(value.as_bytes()).ok()?).ok())
            .filter(|url| Origin::of(url).is_some_and(|it| self.own_origins.contains(&it)))
            .map_or_else(ReturnTo::home, |url| {
                self.return_to(&url[url::Position::BeforePath..url::Position::AfterQuery])
            })
    }

    /// Parses the path to return to. Returns the home page for a path of the login router, because
    /// this path would cause endless redirects.
    pub(super) fn return_to(&self, text: &str) -> ReturnTo {
        let return_to = ReturnTo::parse_or_home(text);
        let path = return_to.as_str();
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let is_own = path == self.callback_path
            || path
                .strip_prefix(&self.prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_own { ReturnTo::home() } else { return_to }
    }
}
