//! What the clients saw, and what they must not see.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::visitor::{Answer, SESSION_COOKIE};

use super::balancer::OWN;

/// So many violations are told in full.
const MOST_TOLD: usize = 20;

/// What there is a count of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    LoginsBegun,
    LoginsFinished,
    /// Begun again, because an instance, the store or the issuer went away in between.
    LoginsLost,
    StepUps,
    SignedOut,
    EndedAll,
    Rejected,
    /// Signed-in requests that were let in.
    LetIn,
    /// Signed-out, rejected and not verified ones that were not.
    TurnedAway,
    Unavailable,
    /// Of the balancer, when an instance died with a request.
    BadGateway,
    Kills,
    StoreOutages,
    IssuerOutages,
}

#[derive(Default)]
pub(crate) struct Ledger(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    counts: BTreeMap<Count, usize>,
    statuses: BTreeMap<u16, usize>,
    /// Of answers to signed-in requests that were let in, or turned away.
    times: Vec<Duration>,
    violations: Vec<String>,
    violated: usize,
    waits: [Wait; 2],
}

/// For whom a first success is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// An instance was killed.
    Kill,
    /// The store listens again.
    Store,
}

#[derive(Default)]
struct Wait {
    since: Option<Instant>,
    waited: Vec<Duration>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, what: Count) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    pub(crate) fn violation(&self, what: impl Into<String>) {
        let mut inner = self.lock();
        inner.violated += 1;
        if inner.violations.len() < MOST_TOLD {
            inner.violations.push(what.into());
        }
    }

    /// From here on a first success is waited for.
    pub(crate) fn waits(&self, after: After, now: Instant) {
        self.lock().waits[after as usize].since = Some(now);
    }

    /// A signed-in request that began at `began` was let in.
    pub(crate) fn let_in(&self, began: Instant, now: Instant) {
        let mut inner = self.lock();
        inner.times.push(now - began);
        for wait in &mut inner.waits {
            if let Some(since) = wait.since.filter(|since| began >= *since) {
                wait.waited.push(now - since);
                wait.since = None;
            }
        }
    }

    /// Notes any answer. Whether it was one that any request may get: `what` says which.
    pub(crate) fn answered(&self, what: &str, answer: &Answer) {
        *self.lock().statuses.entry(answer.status).or_default() += 1;
        if answer.header(OWN).is_some() {
            return self.count(Count::BadGateway);
        }
        match answer.status {
            503 => {
                self.count(Count::Unavailable);
                if answer.header("retry-after").is_none() {
                    self.violation(format!("{what}: 503 without Retry-After"));
                }
                if answer.cookie(SESSION_COOKIE).is_some() {
                    self.violation(format!("{what}: 503 touches the cookie"));
                }
            }
            500.. => self.violation(format!("{what}: {} {}", answer.status, answer.code())),
            _ => {}
        }
    }

    pub(crate) fn report(&self) -> Report {
        let mut inner = self.lock();
        inner.times.sort_unstable();
        let of_thousand = |part: usize| {
            let at = inner.times.len() * part / 1000;
            inner.times.get(at.min(inner.times.len().saturating_sub(1)))
        };
        let times = [500, 990, 1000].map(|part| of_thousand(part).copied().unwrap_or_default());
        let worst = |after: After| inner.waits[after as usize].waited.iter().max().copied();
        Report {
            counts: inner.counts.clone(),
            statuses: inner.statuses.clone(),
            times,
            after_kill: worst(After::Kill).unwrap_or_default(),
            after_store: worst(After::Store).unwrap_or_default(),
            violations: inner.violations.clone(),
            violated: inner.violated,
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) counts: BTreeMap<Count, usize>,
    statuses: BTreeMap<u16, usize>,
    times: [Duration; 3],
    after_kill: Duration,
    after_store: Duration,
    pub(crate) violations: Vec<String>,
    pub(crate) violated: usize,
}

impl Report {
    pub(crate) fn of(&self, count: Count) -> usize {
        self.counts.get(&count).copied().unwrap_or_default()
    }

    /// A row has a name and what this run has there.
    pub(crate) fn rows(&self) -> Vec<(String, String)> {
        let number = |name: &str, count: Count| (name.to_owned(), self.of(count).to_string());
        let time = |name: &str, time: Duration| (name.to_owned(), Millis(time).to_string());
        let mut rows = vec![
            (
                "requests answered".to_owned(),
                self.statuses.values().sum::<usize>().to_string(),
            ),
            number("logins begun", Count::LoginsBegun),
            number("logins finished", Count::LoginsFinished),
            number("logins begun again", Count::LoginsLost),
            number("step-ups", Count::StepUps),
            number("sessions signed out", Count::SignedOut),
            number("people whose sessions were all ended", Count::EndedAll),
            number("people rejected by a webhook", Count::Rejected),
            number("signed-in requests let in", Count::LetIn),
            number("requests turned away, as they must be", Count::TurnedAway),
            number("503 with `Retry-After`", Count::Unavailable),
            number("502 of the balancer", Count::BadGateway),
        ];
        for (status, times) in &self.statuses {
            if *status >= 500 && ![502, 503].contains(status) {
                rows.push((format!("{status}"), times.to_string()));
            }
        }
        rows.extend([
            number("instances killed", Count::Kills),
            number("store killed or locked", Count::StoreOutages),
            number("KYCPort down, slow, 429", Count::IssuerOutages),
            time("a request let in, median", self.times[0]),
            time("a request let in, 99 of 100", self.times[1]),
            time("a request let in, longest", self.times[2]),
            time("first let in after a kill, longest", self.after_kill),
            time("first let in after the store is back", self.after_store),
            (
                "**violations**".to_owned(),
                format!("**{}**", self.violated),
            ),
        ]);
        rows
    }
}

struct Millis(Duration);

impl Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1e3)
    }
}
