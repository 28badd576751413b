//! Apps, and people who sign in there.

use kycport::mock::{MockIssuer, Person};

use crate::{
    app_process::{AppProcess, Sealing, Wish},
    visitor::{SESSION_COOKIE, Visitor},
};

/// Where browsers return to; the visitor takes the path of it to the app.
const REDIRECT: &str = "http://127.0.0.1:9/auth/callback";

/// An app, and a client for it.
pub(crate) struct App {
    pub(crate) process: AppProcess,
    pub(crate) visitor: Visitor,
}

impl App {
    pub(crate) fn start(kyc: &MockIssuer, wish: &Wish) -> Self {
        let wish = Wish {
            environment: kyc.environment(REDIRECT),
            ..wish.clone()
        };
        let process = AppProcess::start(&wish);
        let visitor = Visitor::new(format!("http://127.0.0.1:{}", process.port()));
        Self { process, visitor }
    }

    /// Starts a login in a new browser. Returns where it is sent, and its cookie.
    pub(crate) async fn begin(&self) -> (String, String) {
        let begun = self.visitor.get("/auth/login", "").await.unwrap();
        assert_eq!(begun.status, 303, "{}", begun.body);
        let cookie = begun.login_cookie().unwrap();
        (begun.header("location").unwrap().to_owned(), cookie)
    }

    /// Signs in, and returns the key of the session.
    pub(crate) async fn sign_in(&self, person: &Person) -> String {
        let (to, cookie) = self.begin().await;
        let callback = self.visitor.allow(&to, person.id(), "skip").await.unwrap();
        let back = self.visitor.get(&callback, &cookie).await.unwrap();
        assert_eq!(back.status, 303, "{}", back.body);
        back.cookie(SESSION_COOKIE).unwrap().to_owned()
    }
}

/// Configuration of an app with its store at this URL.
pub(crate) fn wish(url: &str, sealing: Sealing) -> Wish {
    Wish {
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
