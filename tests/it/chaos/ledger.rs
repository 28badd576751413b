//! Statistics of a run, and the violations that its clients observed.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::visitor::{Answer, SESSION_COOKIE};

use super::balancer::OWN;

/// Maximum number of violations that a report contains with their text.
const MAX_REPORTED: usize = 20;

/// Counted occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    LoginsBegun,
    LoginsFinished,
    /// Logins that the user restarted because an instance, the store or the issuer failed.
    LoginsLost,
    StepUps,
    SignedOut,
    EndedAll,
    Rejected,
    /// Requests with a session that a guard has accepted.
    Admitted,
    /// Requests that a guard has rejected because the person was signed out, rejected or not
    /// verified.
    Denied,
    Unavailable,
    /// Responses with 502 that the balancer has sent after the kill of an instance.
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
    /// Durations of accepted requests with a session.
    times: Vec<Duration>,
    violations: Vec<String>,
    violated: usize,
    waits: [Wait; 2],
}

/// Event that starts a time measurement. The measurement ends with the first accepted request after
/// the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The test has killed an instance.
    Kill,
    /// The store accepts connections again.
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
        if inner.violations.len() < MAX_REPORTED {
            inner.violations.push(what.into());
        }
    }

    /// Starts measuring the time to the next accepted request.
    pub(crate) fn start_wait(&self, after: After, now: Instant) {
        self.lock().waits[after as usize].since = Some(now);
    }

    /// Records an accepted request that started at `began`.
    pub(crate) fn admitted(&self, began: Instant, now: Instant) {
        let mut inner = self.lock();
        inner.times.push(now - began);
        for wait in &mut inner.waits {
            if let Some(since) = wait.since.filter(|since| began >= *since) {
                wait.waited.push(now - since);
                wait.since = None;
            }
        }
    }

    /// Records a response. Reports a violation if the rules forbid this response. `what` is the
    /// name of the request in the report.
    pub(crate) fn answered(&self, what: &str, answer: &Answer) {
        *self.lock().statuses.entry(answer.status).or_default() += 1;
        if answer.header(OWN).is_some() {
            return self.count(Count::BadGateway);
        }
        match answer.status {
            503 => {
                self.count(Count::Unavailable);
                if answer.header("retry-after").is_none() {
                    self.violation(format!("{what} got 503 without Retry-After"));
                }
                // The callback of a step-up creates the session before it requests the status.
                let may_set_cookie = what == "callback";
                match answer.cookie(SESSION_COOKIE) {
                    Some("") => self.violation(format!("{what}: 503 deletes the cookie")),
                    Some(_) if !may_set_cookie => {
                        self.violation(format!("{what}: 503 sets the cookie"));
                    }
                    _ => {}
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

/// Result of a run.
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

    /// Returns the rows of the report. A row has a name and a value.
    pub(crate) fn rows(&self) -> Vec<(String, String)> {
        let number = |name: &str, count: Count| (name.to_owned(), self.of(count).to_string());
        let time = |name: &str, time: Duration| (name.to_owned(), Millis(time).to_string());
        let mut rows = vec![
            (
                "requests answered".to_owned(),
                self.statuses.values().sum::<usize>().to_string(),
            ),
            number("logins started", Count::LoginsBegun),
            number("logins completed", Count::LoginsFinished),
            number("logins restarted", Count::LoginsLost),
            number("step-ups", Count::StepUps),
            number("sessions signed out", Count::SignedOut),
            number("people with all sessions revoked", Count::EndedAll),
            number("people rejected by a webhook", Count::Rejected),
            number("signed-in requests admitted", Count::Admitted),
            number("requests correctly denied", Count::Denied),
            number("503 with `Retry-After`", Count::Unavailable),
            number("502 from the balancer", Count::BadGateway),
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
            time("admitted request, median", self.times[0]),
            time("admitted request, 99th percentile", self.times[1]),
            time("admitted request, maximum", self.times[2]),
            time(
                "first admitted request after a kill, maximum",
                self.after_kill,
            ),
            time(
                "first admitted request after the store returned",
                self.after_store,
            ),
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
