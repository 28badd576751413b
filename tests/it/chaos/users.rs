//! Simulated users. A user signs in, uses the app, performs a step-up, and signs out. Support may
//! sign the user out, and KYCPort may reject the user. A user checks each response against the
//! rules of the scenario.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::HeaderMap;
use kycport::{
    Clock as _, KycTier, Secret,
    mock::{MockIssuer, Person},
    webhook::sign_test_delivery,
};
use serde_json::json;

use super::{
    balancer::{OWN, SECOND},
    ledger::{Count, Ledger},
    pass,
};
use crate::visitor::{Answer, SESSION_COOKIE, Visitor, session_cookie};

/// Pause between two attempts of the same request.
const PAUSE: Duration = Duration::from_millis(100);

/// State that all users share.
pub(crate) struct Scenario {
    pub(crate) kyc: MockIssuer,
    pub(crate) visitor: Visitor,
    pub(crate) ledger: Ledger,
    is_over: AtomicBool,
}

impl Scenario {
    pub(crate) fn new(kyc: MockIssuer, visitor: Visitor) -> Self {
        Self {
            kyc,
            visitor,
            ledger: Ledger::default(),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Records a response. A request without a response is a violation, because the test never
    /// kills the balancer.
    async fn answered(&self, what: &str, answer: reqwest::Result<Answer>) -> Option<Answer> {
        match answer {
            Ok(answer) => {
                self.ledger.answered(what, &answer);
                Some(answer)
            }
            Err(error) => {
                let error = error.without_url();
                self.ledger
                    .violation(format!("{what} got no response: {error}"));
                pass(PAUSE).await;
                None
            }
        }
    }
}

/// Flag that the scenario never resets. A user sets a `may_be_*` flag before an action starts, and
/// an `is_*` flag after the app has acknowledged the action.
#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Length of the session key after a step-up that keeps the session, in characters.
const ROTATED_KEY: usize = 86;

/// Key of a session that the app has acknowledged.
struct Session {
    cookie: String,
    /// An action that ends the session or replaces its key has started.
    may_be_over: Flag,
    /// The app has acknowledged the end of the session. All keys of the session share this flag.
    is_over: Arc<Flag>,
}

/// Simulated user, and the actions that have affected this user.
pub(crate) struct User {
    scenario: Arc<Scenario>,
    person: Person,
    sessions: Mutex<Vec<Arc<Session>>>,
    may_be_verified: Flag,
    is_verified: Flag,
    may_be_rejected: Flag,
    is_rejected: Flag,
}

/// Action that ends the sessions of a user.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    SignsOut,
    SignsOutEverywhere,
    SignedOutBySupport,
    Rejected,
}

impl End {
    pub(crate) const ALL: [Self; 4] = [
        Self::SignsOut,
        Self::SignsOutEverywhere,
        Self::SignedOutBySupport,
        Self::Rejected,
    ];
}

impl User {
    /// Creates a new person at the mock.
    pub(crate) fn new(scenario: Arc<Scenario>, slug: &str, tier: KycTier) -> Arc<Self> {
        let is_t2 = tier == KycTier::T2;
        let own = Self {
            person: scenario.kyc.person(slug).tier(tier).create(),
            scenario,
            sessions: Mutex::default(),
            may_be_verified: Flag::default(),
            is_verified: Flag::default(),
            may_be_rejected: Flag::default(),
            is_rejected: Flag::default(),
        };
        if is_t2 {
            own.may_be_verified.raise();
            own.is_verified.raise();
        }
        Arc::new(own)
    }

    fn violation(&self, what: &str) {
        let message = format!("{}: {what}", self.person.slug());
        self.scenario.ledger.violation(message);
    }

    fn count(&self, what: Count) {
        self.scenario.ledger.count(what);
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        self.sessions.lock().unwrap().clone()
    }

    /// Signs in with another browser. Repeats the login until it succeeds.
    pub(crate) async fn sign_in(&self) {
        while !self.scenario.is_over() {
            if self
                .login("/auth/login?return_to=/hello", None, "skip")
                .await
            {
                return;
            }
            pass(PAUSE).await;
        }
    }

    /// Performs a step-up in the browser with the oldest session.
    pub(crate) async fn step_up(&self) {
        // Without `again`, the app would stop a user who repeats the step-up within five minutes.
        let path = "/auth/step-up?tier=t2&return_to=/hello&again=1";
        self.may_be_verified.raise();
        while !self.scenario.is_over() {
            let old = self.sessions().first().cloned();
            if self.login(path, old, "pass").await {
                self.is_verified.raise();
                self.count(Count::StepUps);
                return;
            }
            pass(PAUSE).await;
        }
    }

    /// Makes one login attempt. Returns true if the app acknowledged the session.
    async fn login(&self, path: &str, old: Option<Arc<Session>>, verification: &str) -> bool {
        let (scenario, ledger) = (&self.scenario, &self.scenario.ledger);
        let own = old.as_ref().map(|old| old.cookie.clone());
        let own = own.unwrap_or_default();
        let begun = scenario.visitor.get(path, &own).await;
        let Some(begun) = scenario.answered("login", begun).await else {
            return false;
        };
        let sent_to = match begun.status {
            303 => begun.header("location").unwrap_or_default(),
            502 | 503 => return false,
            _ => {
                self.violation(&format!("login: {} {}", begun.status, begun.code()));
                return false;
            }
        };
        if !sent_to.starts_with(scenario.kyc.origin()) {
            // A step-up without a session starts with a login.
            let is_signed_out = old.is_some_and(|old| old.may_be_over.is_up());
            if !is_signed_out {
                self.violation("the app redirected a step-up of a signed-in person to the login");
            }
            // The browser starts a new login, because the app has redirected the step-up to a
            // login.
            return self.start_over().await;
        }
        self.count(Count::LoginsBegun);
        let started = begun.login_cookie().unwrap_or_default();
        let cookies = format!("{own}; {started}");
        let cookies = cookies.trim_start_matches("; ");
        let allowed = scenario
            .visitor
            .allow(sent_to, self.person.id(), verification);
        let Some(callback) = allowed.await else {
            self.count(Count::LoginsLost);
            return false;
        };
        if let Some(old) = &old {
            old.may_be_over.raise();
        }
        let mut may_have_arrived = false;
        loop {
            let back = scenario.visitor.get(&callback, cookies).await;
            let Some(back) = scenario.answered("callback", back).await else {
                return false;
            };
            may_have_arrived |= back.header(SECOND).is_some();
            match (back.status, back.cookie(SESSION_COOKIE)) {
                // After a step-up, the session exists even if the app cannot read the status.
                (303 | 503, Some(key)) if !key.is_empty() => {
                    // A step-up keeps the session, unless the session has already ended.
                    let is_over = match &old {
                        Some(old) if key.len() == ROTATED_KEY => Arc::clone(&old.is_over),
                        Some(old) => {
                            old.is_over.raise();
                            Arc::default()
                        }
                        None => Arc::default(),
                    };
                    self.is_signed_in(key, is_over);
                    return true;
                }
                // The failure is temporary. The user repeats the request after a pause.
                (502 | 503, _) if !scenario.is_over() => {
                    may_have_arrived = true;
                    pass(PAUSE).await;
                }
                // The code is lost because an instance was killed or the issuer did not respond.
                (303 | 400, None) if may_have_arrived => {
                    self.count(Count::LoginsLost);
                    return false;
                }
                // The response to an earlier step-up with the new key was lost. The app has updated
                // the session, and the browser keeps the previous key for a short time.
                (303, None) if old.is_some() => return true,
                _ => {
                    if !scenario.is_over() {
                        self.violation(&format!("callback: {} {}", back.status, back.code()));
                    }
                    ledger.count(Count::LoginsLost);
                    return false;
                }
            }
        }
    }

    /// Removes a session that ended during a step-up, and signs in again in the browser of this
    /// session.
    async fn start_over(&self) -> bool {
        self.sessions.lock().unwrap().remove(0);
        Box::pin(self.login("/auth/login?return_to=/hello", None, "skip")).await;
        false
    }

    fn is_signed_in(&self, key: &str, is_over: Arc<Flag>) {
        self.count(Count::LoginsFinished);
        let session = Session {
            cookie: session_cookie(key),
            may_be_over: Flag::default(),
            is_over,
        };
        // The newest session is the first session of the list.
        self.sessions.lock().unwrap().insert(0, Arc::new(session));
    }

    /// Requests every page from every browser.
    pub(crate) async fn request_all_pages(&self) {
        for session in self.sessions() {
            for path in ["/auth/me", "/hello", "/guarded", "/sensitive"] {
                self.request_page(&session, path).await;
            }
        }
    }

    /// Repeats `request_all_pages` until `enough` is set or the scenario ends.
    pub(crate) async fn keep_requesting(&self, enough: &AtomicBool) {
        while !enough.load(Ordering::SeqCst) && !self.scenario.is_over() {
            self.request_all_pages().await;
            pass(Duration::from_millis(20)).await;
        }
    }

    /// Asserts at the end of the run that every session still exists. This function repeats
    /// requests that fail temporarily.
    pub(crate) async fn assert_sessions_exist(&self) {
        for session in self.sessions() {
            let mut status = 503;
            for _ in 0..100 {
                status = self.request_page(&session, "/auth/me").await;
                if status == 200 {
                    break;
                }
                pass(PAUSE).await;
            }
            if status != 200 {
                self.violation(&format!("the session is not available again: {status}"));
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the user measures real time")]
    async fn request_page(&self, session: &Session, path: &str) -> u16 {
        let is_guarded = matches!(path, "/guarded" | "/sensitive");
        let was_over = session.is_over.is_up();
        let was_rejected = self.is_rejected.is_up();
        let was_verified = self.is_verified.is_up();
        let began = Instant::now();
        let answer = self.scenario.visitor.get(path, &session.cookie).await;
        let now = Instant::now();
        let Some(answer) = self.scenario.answered(path, answer).await else {
            return 0;
        };
        match (answer.status, answer.code().as_str()) {
            (200, _) => {
                self.count(Count::Admitted);
                self.scenario.ledger.admitted(began, now);
                if !answer.body.contains(self.person.id()) {
                    self.violation(&format!("{path} shows another person"));
                }
                if was_over {
                    self.violation(&format!("{path} was accepted after the end of the session"));
                }
                if is_guarded && was_rejected {
                    self.violation(&format!("{path} was accepted after the rejection"));
                }
                if is_guarded && !self.may_be_verified.is_up() {
                    self.violation(&format!("{path} was accepted below the tier"));
                }
            }
            (401, "signed_out") => {
                self.count(Count::Denied);
                if !session.may_be_over.is_up() {
                    self.violation(&format!("{path} lost a session"));
                }
            }
            (401 | 403, _) if is_guarded => {
                self.count(Count::Denied);
                if was_verified && !self.may_be_rejected.is_up() {
                    self.violation(&format!("{path}: rejected, {}", answer.code()));
                }
            }
            (502 | 503, _) => {}
            (status, code) => self.violation(&format!("{path}: {status} {code}")),
        }
        answer.status
    }

    /// Ends the user's sessions. Repeats the request until the app acknowledges it.
    pub(crate) async fn end_sessions(&self, how: End) {
        match how {
            End::SignsOut => self.sign_out().await,
            End::SignsOutEverywhere => self.sign_out_everywhere().await,
            End::SignedOutBySupport => self.sign_out_by_support().await,
            End::Rejected => self.reject().await,
        }
    }

    async fn sign_out(&self) {
        let Some(session) = self.sessions().first().cloned() else {
            return;
        };
        session.may_be_over.raise();
        if self.until_done("/auth/logout", &session.cookie, &[]).await {
            session.is_over.raise();
            self.count(Count::SignedOut);
        }
    }

    async fn sign_out_everywhere(&self) {
        let Some(session) = self.sessions().first().cloned() else {
            return;
        };
        let all = self.mark_ending();
        let form = [("everywhere", "1")];
        if self
            .until_done("/auth/logout", &session.cookie, &form)
            .await
        {
            self.mark_ended(&all);
        }
    }

    async fn sign_out_by_support(&self) {
        let all = self.mark_ending();
        let path = format!("/people/{}/end", self.person.id());
        if self.until_done(&path, "", &[]).await {
            self.mark_ended(&all);
        }
    }

    fn mark_ending(&self) -> Vec<Arc<Session>> {
        let all = self.sessions();
        for session in &all {
            session.may_be_over.raise();
        }
        all
    }

    fn mark_ended(&self, all: &[Arc<Session>]) {
        for session in all {
            session.is_over.raise();
        }
        self.count(Count::EndedAll);
    }

    /// Repeats a POST until the app acknowledges it. Returns false if the scenario ends first.
    async fn until_done(&self, path: &str, cookies: &str, form: &[(&str, &str)]) -> bool {
        let mut attempts = 0;
        while !self.scenario.is_over() {
            attempts += 1;
            let answer = self.scenario.visitor.post(path, cookies, form).await;
            let Some(answer) = self.scenario.answered(path, answer).await else {
                continue;
            };
            match (answer.status, answer.code().as_str()) {
                (204 | 303, _) => return true,
                // The client cannot know whether an earlier attempt succeeded.
                (401, "signed_out") if attempts > 1 => return false,
                (502 | 503, _) => pass(PAUSE).await,
                (status, code) => {
                    self.violation(&format!("{path}: {status} {code}"));
                    return false;
                }
            }
        }
        false
    }

    async fn reject(&self) {
        self.may_be_rejected.raise();
        self.person.reject();
        let now = self.scenario.kyc.clock().now().as_unix();
        let body = json!({
            "id": format!("evt_{}", self.person.id()), "type": "kyc.status_changed",
            "created_at": now,
            "data": {"person_id": self.person.id(), "kyc_status": "rejected"},
        });
        let body = body.to_string().into_bytes();
        let secret = Secret::new(self.scenario.kyc.webhooks().secret());
        while !self.scenario.is_over() {
            let headers = HeaderMap::from_iter([sign_test_delivery(&secret, &body)]);
            let answer = self
                .scenario
                .visitor
                .deliver("/webhooks/kycport", headers, body.clone())
                .await;
            let Some(answer) = self.scenario.answered("webhook", answer).await else {
                continue;
            };
            match answer.status {
                200 => {
                    self.is_rejected.raise();
                    return self.count(Count::Rejected);
                }
                // A killed instance still holds the lease of the event until the lease expires.
                409 | 503 => {}
                502 if answer.header(OWN).is_some() => {}
                status => return self.violation(&format!("webhook: {status} {}", answer.code())),
            }
            pass(PAUSE).await;
        }
    }
}
