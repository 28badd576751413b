//! Logins between the start and the callback, with the cookie that the browser stores.

use kycport::mock::Person;
use url::{Url, form_urlencoded};

use crate::visitor::{Answer, Visitor};

/// Path that starts a login. The login returns to `/vault`.
pub(crate) const TO_THE_VAULT: &str = "/auth/login?return_to=/vault";

/// Login that a browser has started.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// Login cookie in the form that the browser sends: `name=value`.
    pub(crate) cookie: String,
    authorize: Url,
}

impl Login {
    /// Starts a login in a browser that has these cookies.
    pub(crate) async fn start(visitor: &Visitor, path: &str, cookies: &str) -> Self {
        Self::of(&visitor.get(path, cookies).await.unwrap())
    }

    /// Returns the login that this response starts.
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 303, "{}", answer.body);
        Self {
            cookie: answer.login_cookie().unwrap(),
            authorize: answer.header("location").unwrap().parse().unwrap(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.cookie.split_once('=').unwrap().0
    }

    pub(crate) fn value(&self) -> &str {
        self.cookie.split_once('=').unwrap().1
    }

    pub(crate) fn state(&self) -> String {
        let mut pairs = self.authorize.query_pairs();
        let state = pairs.find(|(name, _)| name == "state");
        state.unwrap().1.into_owned()
    }

    /// Consents at KYCPort. Returns the path and query of the callback.
    pub(crate) async fn allow(&self, visitor: &Visitor, person: &Person) -> String {
        let authorize = self.authorize.as_str();
        let callback = visitor.allow(authorize, person.id(), "skip").await;
        callback.unwrap()
    }

    /// Returns a callback URL with the state of this login and these parameters.
    pub(crate) fn callback(&self, pairs: &[(&str, &str)]) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("state", &self.state())
            .extend_pairs(pairs)
            .finish();
        format!("/auth/callback?{query}")
    }
}

/// Joins the cookies of several logins into one `cookie` header.
pub(crate) fn cookies<'a>(logins: impl IntoIterator<Item = &'a Login>) -> String {
    let cookies: Vec<_> = logins.into_iter().map(|it| it.cookie.as_str()).collect();
    cookies.join("; ")
}
