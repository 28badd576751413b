//! Metrics with their names, labels and descriptions. All label values are codes of this crate, so
//! clients cannot create new series.

use std::time::Duration;

use metrics::{Label, Unit, counter, describe_counter, describe_histogram, histogram};

/// Counter metric.
pub(super) struct Counter<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    help: &'static str,
}

/// Histogram of durations, in seconds.
pub(super) struct Timer<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    help: &'static str,
}

pub(super) static LOGINS_STARTED: Counter<1> = Counter {
    name: "kycport_logins_started_total",
    labels: ["purpose"],
    help: "Logins for which the browser was sent to KYCPort.",
};
pub(super) static LOGINS: Counter<1> = Counter {
    name: "kycport_logins_total",
    labels: ["outcome"],
    help: "Login callbacks, by outcome.",
};
pub(super) static PROBLEMS: Counter<1> = Counter {
    name: "kycport_problems_total",
    labels: ["code"],
    help: "Requests that were rejected or failed, by problem code.",
};
pub(super) static GUARD_DECISIONS: Counter<1> = Counter {
    name: "kycport_guard_decisions_total",
    labels: ["decision"],
    help: "Requests to guarded routes, by decision of the guard.",
};
pub(super) static TOKENS_REJECTED: Counter<3> = Counter {
    name: "kycport_tokens_rejected_total",
    labels: ["token", "reason", "claim"],
    help: "Tokens that were rejected, by kind, reason and claim.",
};
pub(super) static REFRESHES: Counter<1> = Counter {
    name: "kycport_refreshes_total",
    labels: ["result"],
    help: "Refreshes of expired access tokens, by result.",
};
pub(super) static SESSIONS_ENDED: Counter<1> = Counter {
    name: "kycport_sessions_ended_total",
    labels: ["cause"],
    help: "Sessions that ended before their expiry. Ending all sessions of a person counts once.",
};
pub(super) static RECORDS_UNREADABLE: Counter<2> = Counter {
    name: "kycport_records_unreadable_total",
    labels: ["kind", "reason"],
    help: "Stored records that could not be read, by kind and reason.",
};
pub(super) static STORE_TIME: Timer<2> = Timer {
    name: "kycport_store_duration_seconds",
    labels: ["operation", "result"],
    help: "Duration of store operations.",
};
pub(super) static CALLS: Counter<2> = Counter {
    name: "kycport_calls_total",
    labels: ["call", "result"],
    help: "Requests to KYCPort including retries, by result.",
};
pub(super) static CALL_TIME: Timer<1> = Timer {
    name: "kycport_call_duration_seconds",
    labels: ["call"],
    help: "Duration of requests to KYCPort, including retries.",
};
pub(super) static RETRIES: Counter<1> = Counter {
    name: "kycport_retries_total",
    labels: ["reason"],
    help: "Retries of requests to KYCPort's API.",
};
pub(super) static RATE_LIMITED: Counter<0> = Counter {
    name: "kycport_rate_limited_total",
    labels: [],
    help: "429 responses of KYCPort's API. Each pauses all requests.",
};
pub(super) static DELIVERIES: Counter<1> = Counter {
    name: "kycport_deliveries_total",
    labels: ["outcome"],
    help: "Webhook deliveries, by outcome.",
};
/// Describes all metrics to the installed recorder.
pub(crate) fn describe() {
    LOGINS_STARTED.describe();
    LOGINS.describe();
    PROBLEMS.describe();
    GUARD_DECISIONS.describe();
    TOKENS_REJECTED.describe();
    REFRESHES.describe();
    SESSIONS_ENDED.describe();
    RECORDS_UNREADABLE.describe();
    STORE_TIME.describe();
    CALLS.describe();
    CALL_TIME.describe();
    RETRIES.describe();
    RATE_LIMITED.describe();
    DELIVERIES.describe();
}

impl<const N: usize> Counter<N> {
    pub(super) fn count(&self, values: [&'static str; N]) {
        counter!(self.name, labels(self.labels, values)).increment(1);
    }

    fn describe(&self) {
        describe_counter!(self.name, Unit::Count, self.help);
    }
}

impl<const N: usize> Timer<N> {
    pub(super) fn note(&self, time: Duration, values: [&'static str; N]) {
        histogram!(self.name, labels(self.labels, values)).record(time);
    }

    fn describe(&self) {
        describe_histogram!(self.name, Unit::Seconds, self.help);
    }
}

fn labels<const N: usize>(names: [&'static str; N], values: [&'static str; N]) -> Vec<Label> {
    names
        .into_iter()
        .zip(values)
        .map(|(name, value)| Label::from_static_parts(name, value))
        .collect()
}
