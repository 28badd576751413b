//! People with an app: they sign in, use it, are verified further, sign out, are signed out by
//! support and rejected by KYCPort, and know of each answer whether it is one that they may get.

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

/// Between two attempts at the same.
const PAUSE: Duration = Duration::from_millis(100);

/// What everybody has in common.
pub(crate) struct Town {
    pub(crate) kyc: MockIssuer,
    pub(crate) visitor: Visitor,
    pub(crate) ledger: Ledger,
    is_over: AtomicBool,
}

impl Town {
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

    /// A request that no answer of the balancer's comes to is a violation: it is never killed.
    async fn answered(&self, what: &str, answer: reqwest::Result<Answer>) -> Option<Answer> {
        match answer {
            Ok(answer) => {
                self.ledger.answered(what, &answer);
                Some(answer)
            }
            Err(error) => {
                let error = error.without_url();
                self.ledger.violation(format!("{what}: no answer: {error}"));
                pass(PAUSE).await;
                None
            }
        }
    }
}

/// Flags that are raised and never lowered. Raised before what may have been done is begun, and
/// after what was done is acknowledged.
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

/// A session that the app has acknowledged.
struct Session {
    cookie: String,
    /// It may have ended.
    may_be_over: Flag,
    /// It has, and that was acknowledged.
    is_over: Flag,
}

/// A person, and what was done to them.
pub(crate) struct Citizen {
    town: Arc<Town>,
    person: Person,
    sessions: Mutex<Vec<Arc<Session>>>,
    may_be_verified: Flag,
    is_verified: Flag,
    may_be_rejected: Flag,
    is_rejected: Flag,
}

/// How a person's time with the app ends.
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

impl Citizen {
    /// Somebody new.
    pub(crate) fn new(town: Arc<Town>, slug: &str, tier: KycTier) -> Arc<Self> {
        let is_t2 = tier == KycTier::T2;
        let own = Self {
            person: town.kyc.person(slug).tier(tier).create(),
            town,
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
        let told = format!("{}: {what}", self.person.slug());
        self.town.ledger.violation(told);
    }

    fn count(&self, what: Count) {
        self.town.ledger.count(what);
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        self.sessions.lock().unwrap().clone()
    }

    /// Signs in with another browser, however often that must be begun.
    pub(crate) async fn signs_in(&self) {
        while !self.town.is_over() {
            if self
                .login("/auth/login?return_to=/hello", None, "skip")
                .await
            {
                return;
            }
            pass(PAUSE).await;
        }
    }

    /// Is verified further at KYCPort, in the browser that is signed in longest.
    pub(crate) async fn steps_up(&self) {
        let path = "/auth/step-up?tier=t2&return_to=/hello";
        self.may_be_verified.raise();
        while !self.town.is_over() {
            let old = self.sessions().first().cloned();
            if self.login(path, old, "pass").await {
                self.is_verified.raise();
                self.count(Count::StepUps);
                return;
            }
            pass(PAUSE).await;
        }
    }

    /// One attempt. True when the app has acknowledged the session.
    async fn login(&self, path: &str, old: Option<Arc<Session>>, verification: &str) -> bool {
        let (town, ledger) = (&self.town, &self.town.ledger);
        let own = old.as_ref().map(|old| old.cookie.clone());
        let own = own.unwrap_or_default();
        let begun = town.visitor.get(path, &own).await;
        let Some(begun) = town.answered("login", begun).await else {
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
        if !sent_to.starts_with(town.kyc.origin()) {
            // A step-up of somebody who is signed out begins with signing in.
            let is_signed_out = old.is_some_and(|old| old.may_be_over.is_up());
            if !is_signed_out {
                self.violation("a step-up was sent to sign in");
            }
            // Somebody else's problem: the browser starts over.
            return self.starts_over().await;
        }
        self.count(Count::LoginsBegun);
        let started = begun.login_cookie().unwrap_or_default();
        let cookies = format!("{own}; {started}");
        let cookies = cookies.trim_start_matches("; ");
        let allowed = town.visitor.allow(sent_to, self.person.id(), verification);
        let Some(callback) = allowed.await else {
            self.count(Count::LoginsLost);
            return false;
        };
        if let Some(old) = &old {
            old.may_be_over.raise();
        }
        let mut may_have_arrived = false;
        loop {
            let back = town.visitor.get(&callback, cookies).await;
            let Some(back) = town.answered("callback", back).await else {
                return false;
            };
            may_have_arrived |= back.header(SECOND).is_some();
            match (back.status, back.cookie(SESSION_COOKIE)) {
                (303, Some(key)) => {
                    if let Some(old) = &old {
                        old.is_over.raise();
                    }
                    self.is_signed_in(key);
                    return true;
                }
                // What is on hold is on hold, and the same may work in a moment.
                (502 | 503, _) if !town.is_over() => {
                    may_have_arrived = true;
                    pass(PAUSE).await;
                }
                // The code went with whoever died, or with an issuer that did not answer.
                (303 | 400, None) if may_have_arrived => {
                    self.count(Count::LoginsLost);
                    return false;
                }
                _ => {
                    if !town.is_over() {
                        self.violation(&format!("callback: {} {}", back.status, back.code()));
                    }
                    ledger.count(Count::LoginsLost);
                    return false;
                }
            }
        }
    }

    /// A browser whose session went with a step-up that did not come to its end signs in anew.
    async fn starts_over(&self) -> bool {
        self.sessions.lock().unwrap().remove(0);
        Box::pin(self.login("/auth/login?return_to=/hello", None, "skip")).await;
        false
    }

    fn is_signed_in(&self, key: &str) {
        self.count(Count::LoginsFinished);
        let session = Session {
            cookie: session_cookie(key),
            may_be_over: Flag::default(),
            is_over: Flag::default(),
        };
        // The newest is the first.
        self.sessions.lock().unwrap().insert(0, Arc::new(session));
    }

    /// Every browser asks for every page.
    pub(crate) async fn looks_around(&self) {
        for session in self.sessions() {
            for path in ["/auth/me", "/hello", "/guarded", "/sensitive"] {
                self.looks(&session, path).await;
            }
        }
    }

    /// Looks around again and again, until told that it is enough.
    pub(crate) async fn keeps_looking(&self, enough: &AtomicBool) {
        while !enough.load(Ordering::SeqCst) && !self.town.is_over() {
            self.looks_around().await;
            pass(Duration::from_millis(20)).await;
        }
    }

    /// Whether every session is there when it is over, waiting for what is on hold.
    pub(crate) async fn is_still_there(&self) {
        for session in self.sessions() {
            let mut status = 503;
            for _ in 0..100 {
                status = self.looks(&session, "/auth/me").await;
                if status == 200 {
                    break;
                }
                pass(PAUSE).await;
            }
            if status != 200 {
                self.violation(&format!("did not come back: {status}"));
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it measures real time")]
    async fn looks(&self, session: &Session, path: &str) -> u16 {
        let is_guarded = matches!(path, "/guarded" | "/sensitive");
        let was_over = session.is_over.is_up();
        let was_rejected = self.is_rejected.is_up();
        let was_verified = self.is_verified.is_up();
        let began = Instant::now();
        let answer = self.town.visitor.get(path, &session.cookie).await;
        let now = Instant::now();
        let Some(answer) = self.town.answered(path, answer).await else {
            return 0;
        };
        match (answer.status, answer.code().as_str()) {
            (200, _) => {
                self.count(Count::LetIn);
                self.town.ledger.let_in(began, now);
                if !answer.body.contains(self.person.id()) {
                    self.violation(&format!("{path}: somebody else's"));
                }
                if was_over {
                    self.violation(&format!("{path}: let in after the end"));
                }
                if is_guarded && was_rejected {
                    self.violation(&format!("{path}: let in after the rejection"));
                }
                if is_guarded && !self.may_be_verified.is_up() {
                    self.violation(&format!("{path}: let in below the tier"));
                }
            }
            (401, "signed_out") => {
                self.count(Count::TurnedAway);
                if !session.may_be_over.is_up() {
                    self.violation(&format!("{path}: a session was lost"));
                }
            }
            (401 | 403, _) if is_guarded => {
                self.count(Count::TurnedAway);
                if was_verified && !self.may_be_rejected.is_up() {
                    self.violation(&format!("{path}: turned away, {}", answer.code()));
                }
            }
            (502 | 503, _) => {}
            (status, code) => self.violation(&format!("{path}: {status} {code}")),
        }
        answer.status
    }

    /// Does what ends it, until it is acknowledged.
    pub(crate) async fn ends(&self, how: End) {
        match how {
            End::SignsOut => self.signs_out().await,
            End::SignsOutEverywhere => self.signs_out_everywhere().await,
            End::SignedOutBySupport => self.is_signed_out_by_support().await,
            End::Rejected => self.is_rejected().await,
        }
    }

    async fn signs_out(&self) {
        let Some(session) = self.sessions().first().cloned() else {
            return;
        };
        session.may_be_over.raise();
        if self.until_done("/auth/logout", &session.cookie, &[]).await {
            session.is_over.raise();
            self.count(Count::SignedOut);
        }
    }

    async fn signs_out_everywhere(&self) {
        let Some(session) = self.sessions().first().cloned() else {
            return;
        };
        let all = self.may_be_over();
        let form = [("everywhere", "1")];
        if self
            .until_done("/auth/logout", &session.cookie, &form)
            .await
        {
            self.are_over(&all);
        }
    }

    async fn is_signed_out_by_support(&self) {
        let all = self.may_be_over();
        let path = format!("/people/{}/end", self.person.id());
        if self.until_done(&path, "", &[]).await {
            self.are_over(&all);
        }
    }

    fn may_be_over(&self) -> Vec<Arc<Session>> {
        let all = self.sessions();
        for session in &all {
            session.may_be_over.raise();
        }
        all
    }

    fn are_over(&self, all: &[Arc<Session>]) {
        for session in all {
            session.is_over.raise();
        }
        self.count(Count::EndedAll);
    }

    /// Posts until it is acknowledged; false if the town ended before.
    async fn until_done(&self, path: &str, cookies: &str, form: &[(&str, &str)]) -> bool {
        let mut attempts = 0;
        while !self.town.is_over() {
            attempts += 1;
            let answer = self.town.visitor.post(path, cookies, form).await;
            let Some(answer) = self.town.answered(path, answer).await else {
                continue;
            };
            match (answer.status, answer.code().as_str()) {
                (204 | 303, _) => return true,
                // An earlier attempt did it, as far as it can be told from here.
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

    async fn is_rejected(&self) {
        self.may_be_rejected.raise();
        self.person.reject();
        let now = self.town.kyc.clock().now().as_unix();
        let body = json!({
            "id": format!("evt_{}", self.person.id()), "type": "kyc.status_changed",
            "created_at": now,
            "data": {"person_id": self.person.id(), "kyc_status": "rejected"},
        });
        let body = body.to_string().into_bytes();
        let secret = Secret::new(self.town.kyc.webhooks().secret());
        while !self.town.is_over() {
            let headers = HeaderMap::from_iter([sign_test_delivery(&secret, &body)]);
            let answer = self
                .town
                .visitor
                .deliver("/webhooks/kycport", headers, body.clone())
                .await;
            let Some(answer) = self.town.answered("webhook", answer).await else {
                continue;
            };
            match answer.status {
                200 => {
                    self.is_rejected.raise();
                    return self.count(Count::Rejected);
                }
                // In flight with an instance that died, until its lease ends.
                409 | 503 => {}
                502 if answer.header(OWN).is_some() => {}
                status => return self.violation(&format!("webhook: {status} {}", answer.code())),
            }
            pass(PAUSE).await;
        }
    }
}
