//! What the web floor needs to know.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, header::REFERER};
use url::{Url, form_urlencoded};

use super::{
    request::{cookies::CookieNames, return_to::ReturnTo},
    session::SessionLimits,
};
use crate::{http::Origin, observe::LogKey, state::SealingKeys, store::Store, wire::kyc::KycTier};

/// What [`Config`](crate::Config) says about the web floor, valid.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `/auth`, without a slash at its end.
    pub(crate) prefix: String,
    /// The path of the redirect URI.
    pub(crate) callback_path: String,
    /// The origins that this app's own pages have.
    pub(crate) own_origins: Vec<Origin>,
    pub(crate) cookies: CookieNames,
    pub(crate) limits: SessionLimits,
    pub(crate) signed_out_me: SignedOutMe,
    /// How long an assurance is acted on without asking again.
    pub(crate) assurance_max_age: Duration,
    /// The configured store; memory if there is none.
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) sealing_keys: Option<Arc<SealingKeys>>,
    /// How long a login may take.
    pub(crate) transaction_lifetime: Duration,
    /// How far KYCPort's clock and this one may be apart.
    pub(crate) skew: Duration,
    /// Under which the log names people.
    pub(crate) log_key: LogKey,
}

/// What `GET /auth/me` answers when nobody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SignedOutMe {
    /// 401 with a problem JSON.
    #[default]
    Unauthorized,
    /// 200 with `null`, for pages that ask before they know.
    Null,
}

impl Settings {
    /// Where the callback is served.
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

    pub(super) fn step_up_path(&self, tier: &KycTier, return_to: &ReturnTo) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("tier", tier.as_str())
            .append_pair("return_to", return_to.as_str())
            .finish();
        format!("{}/step-up?{query}", self.prefix)
    }

    /// The page of this app that a request was made from, by its `Referer`; the home page if that
    /// is silent or of another origin.
    pub(super) fn referring_page(&self, headers: &HeaderMap) -> ReturnTo {
        headers
            .get(REFERER)
            .and_then(|value| Url::parse(std::str::from_utf8(value.as_bytes()).ok()?).ok())
            .filter(|url| Origin::of(url).is_some_and(|it| self.own_origins.contains(&it)))
            .map_or_else(ReturnTo::home, |url| {
                self.return_to(&url[url::Position::BeforePath..url::Position::AfterQuery])
            })
    }

    /// Where a person goes back to: never to the places that sign in and out, or it could go round
    /// in circles.
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
