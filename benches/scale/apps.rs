//! Apps, and people who sign in to the apps.

use kycport::mock::{MockIssuer, Person};

use crate::{
    app_process::{AppProcess, AppSpec, Sealing},
    visitor::{SESSION_COOKIE, Visitor},
};

/// Redirect URI of the apps. A [`Visitor`] takes only the path and the query of the callback from
/// the issuer's redirect, and sends the callback to the address of the app.
const REDIRECT: &str = "http://127.0.0.1:9/auth/callback";

/// App, and an HTTP client for the app.
pub(crate) struct App {
    pub(crate) process: AppProcess,
    pub(crate) visitor: Visitor,
}

impl App {
    pub(crate) fn start(kyc: &MockIssuer, spec: &AppSpec) -> Self {
        let spec = AppSpec {
            environment: kyc.environment(REDIRECT),
            ..spec.clone()
        };
        let process = AppProcess::start(&spec);
        let visitor = Visitor::new(format!("http://127.0.0.1:{}", process.port()));
        Self { process, visitor }
    }

    /// Starts a login in a new browser, and returns the authorization URL and the cookie.
    pub(crate) async fn begin(&self) -> (String, String) {
        let begun = self.visitor.get("/auth/login", "").await.unwrap();
        assert_eq!(begun.status, 303, "{}", begun.body);
        let cookie = begun.login_cookie().unwrap();
        (begun.header("location").unwrap().to_owned(), cookie)
    }

    /// Signs in, and returns the session key.
    pub(crate) async fn sign_in(&self, person: &Person) -> String {
        let (to, cookie) = self.begin().await;
        let callback = self.visitor.allow(&to, person.id(), "skip").await.unwrap();
        let back = self.visitor.get(&callback, &cookie).await.unwrap();
        assert_eq!(back.status, 303, "{}", back.body);
        back.cookie(SESSION_COOKIE).unwrap().to_owned()
    }
}

/// Returns the configuration of an app with this store URL.
pub(crate) fn spec(url: &str, sealing: Sealing) -> AppSpec {
    AppSpec {
        store: url.to_owned(),
        sealing,
        environment: Vec::new(),
        session_lifetime: None,
        arguments: &[],
    }
}

pub(crate) fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
