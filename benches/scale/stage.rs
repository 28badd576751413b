//! Apps, and people who sign in there.

use kycport::mock::{MockIssuer, Person};

use crate::{
    app_process::{AppProcess, Cache, Kept, Sealing, Wish},
    servers::Server,
    visitor::{COOKIES, Visitor},
};

/// Where browsers come back to; nobody follows it.
const REDIRECT: &str = "http://127.0.0.1:9/auth/callback";

/// An app, and how it is asked.
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
        let process = AppProcess::start(&wish).unwrap();
        let visitor = Visitor::new(format!("http://127.0.0.1:{}", process.port()));
        Self { process, visitor }
    }

    /// Begins a login, in a browser that was never here. Gives where it is sent, and its cookie.
    pub(crate) async fn begin(&self) -> (String, String) {
        let begun = self.visitor.get("/auth/login", "").await.unwrap();
        assert_eq!(begun.status, 303, "{}", begun.body);
        let cookie = begun.cookie(COOKIES[1]).unwrap();
        let cookie = format!("{}={cookie}", COOKIES[1]);
        (begun.header("location").unwrap().to_owned(), cookie)
    }

    /// Signs in, and gives the key of the session.
    pub(crate) async fn sign_in(&self, person: &Person) -> String {
        let (to, cookie) = self.begin().await;
        let callback = self.visitor.allow(&to, person.id(), "skip").await.unwrap();
        let back = self.visitor.get(&callback, &cookie).await.unwrap();
        assert_eq!(back.status, 303, "{}", back.body);
        back.cookie(COOKIES[0]).unwrap().to_owned()
    }
}

/// An app with its sessions in `kept`.
pub(crate) fn wish(kept: Kept, server: Option<&Server>) -> Wish {
    Wish {
        kept,
        store_port: server.map_or(0, Server::port),
        sealing: Sealing::Open,
        cache: Cache::Own,
        environment: Vec::new(),
        stands_at: None,
        arguments: &[],
    }
}

pub(crate) fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
