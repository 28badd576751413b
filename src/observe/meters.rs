//! The metrics: their names, their labels, and what they say. The values of labels are codes of this
//! crate's own, so nobody outside can make a series more.

use std::time::Duration;

use metrics::{Label, Unit, counter, describe_counter, describe_histogram, histogram};

/// Goes up by one.
pub(super) struct Counter<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    help: &'static str,
}

/// How long something takes, in seconds.
pub(super) struct Timer<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    help: &'static str,
}

pub(super) static LOGINS_BEGUN: Counter<1> = Counter {
    name: "kycport_logins_started_total",
    labels: ["purpose"],
    help: "Logins for which a browser was sent to KYCPort.",
};
pub(super) static LOGINS: Counter<1> = Counter {
    name: "kycport_logins_total",
    labels: ["outcome"],
    help: "Browsers that came back from KYCPort, by how it ended.",
};
pub(super) static PROBLEMS: Counter<1> = Counter {
    name: "kycport_problems_total",
    labels: ["code"],
    help: "Requests that were refused or could not be served, by the code they were answered with.",
};
pub(super) static GUARD_DECISIONS: Counter<1> = Counter {
    name: "kycport_guard_decisions_total",
    labels: ["decision"],
    help: "Requests to guarded routes, by what the guard decided.",
};
pub(super) static TOKENS_REFUSED: Counter<3> = Counter {
    name: "kycport_tokens_rejected_total",
    labels: ["token", "reason", "claim"],
    help: "Tokens that were not believed.",
};
pub(super) static REFRESHES: Counter<1> = Counter {
    name: "kycport_refreshes_total",
    labels: ["result"],
    help: "Access tokens that had run out, by what became of refreshing them.",
};
pub(super) static SESSIONS_ENDED: Counter<1> = Counter {
    name: "kycport_sessions_ended_total",
    labels: ["cause"],
    help: "Ends of a session, or of all sessions of a person, before their time.",
};
pub(super) static RECORDS_UNREADABLE: Counter<2> = Counter {
    name: "kycport_records_unreadable_total",
    labels: ["kind", "reason"],
    help: "Reads of records that could not be understood or opened.",
};
pub(super) static STORE_TIME: Timer<2> = Timer {
    name: "kycport_store_duration_seconds",
    labels: ["operation", "result"],
    help: "Store operations.",
};
pub(super) static CALLS: Counter<2> = Counter {
    name: "kycport_calls_total",
    labels: ["call", "result"],
    help: "Calls to KYCPort, each with its retries, by what came of it.",
};
pub(super) static CALL_TIME: Timer<1> = Timer {
    name: "kycport_call_duration_seconds",
    labels: ["call"],
    help: "Calls to KYCPort, each with its retries.",
};
pub(super) static RETRIES: Counter<1> = Counter {
    name: "kycport_retries_total",
    labels: ["reason"],
    help: "Further attempts of calls to KYCPort's API.",
};
pub(super) static GATE_CLOSED: Counter<0> = Counter {
    name: "kycport_rate_limited_total",
    labels: [],
    help: "Times that KYCPort's API said 429, which stops all calls for a while.",
};
pub(super) static DELIVERIES: Counter<1> = Counter {
    name: "kycport_deliveries_total",
    labels: ["outcome"],
    help: "Deliveries of webhooks, by what became of them.",
};
/// Tells the recorder that is installed what each metric is.
pub(crate) fn describe() {
    LOGINS_BEGUN.describe();
    LOGINS.describe();
    PROBLEMS.describe();
    GUARD_DECISIONS.describe();
    TOKENS_REFUSED.describe();
    REFRESHES.describe();
    SESSIONS_ENDED.describe();
    RECORDS_UNREADABLE.describe();
    STORE_TIME.describe();
    CALLS.describe();
    CALL_TIME.describe();
    RETRIES.describe();
    GATE_CLOSED.describe();
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
