//! The log of requests, to assert on.

use std::{
    collections::{HashMap, VecDeque},
    fmt::{self, Debug},
    sync::Arc,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{answer::Refusal, endpoint::Endpoint, params::Params};

/// The requests one endpoint got up to the moment of asking.
#[derive(Debug, Clone)]
pub struct Requests {
    endpoint: Endpoint,
    count: usize,
    records: Vec<RecordedRequest>,
}

impl Requests {
    /// How many there were, exactly, counted when they arrive.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The latest of them; only the last 10,000 of all endpoints together are kept.
    pub fn last(&self) -> Option<&RecordedRequest> {
        self.records.last()
    }

    /// Those that are kept, oldest first. A query or a form larger than 16 KiB is left out.
    pub fn iter(&self) -> impl Iterator<Item = &RecordedRequest> {
        self.records.iter()
    }

    /// Asserts how many there were.
    ///
    /// # Panics
    /// If there were more or fewer, with a line for each.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion for tests")]
    pub fn assert_count(&self, expected: usize) {
        if self.count != expected {
            let lines: Vec<_> = self.records.iter().map(|r| format!("\n  {r:?}")).collect();
            panic!(
                "{} got {} requests, not {expected}:{}",
                self.endpoint,
                self.count,
                lines.concat()
            );
        }
    }
}

/// One request, and how it was answered.
#[derive(Clone)]
pub struct RecordedRequest {
    number: u64,
    endpoint: Option<Endpoint>,
    method: String,
    path: String,
    query: Params,
    form: Params,
    headers: HeaderMap,
    outcome: Option<(u16, Option<Refusal>)>,
}

impl RecordedRequest {
    pub(in crate::mock) fn new(
        endpoint: Option<Endpoint>,
        method: &str,
        path: &str,
        query: Params,
        form: Params,
        headers: &HeaderMap,
    ) -> Self {
        Self {
            number: 0,
            endpoint,
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            form,
            headers: copied(headers),
            outcome: None,
        }
    }

    /// The endpoint, if it went to one.
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.endpoint
    }

    /// The names of the query's parameters and of the form's: some of the values are secrets.
    pub(in crate::mock) fn names(&self) -> [Vec<String>; 2] {
        [&self.query, &self.form]
            .map(|params| params.pairs().iter().map(|it| it.0.clone()).collect())
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A parameter of the query, if it came exactly once.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// A parameter of the form, if it came exactly once.
    pub fn form(&self, name: &str) -> Option<&str> {
        self.form.get(name)
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The status it was answered with; none while it waits, or if it never got an answer.
    pub fn status(&self) -> Option<u16> {
        self.outcome.as_ref().map(|(status, _)| *status)
    }

    /// Why it was refused, if it was.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.outcome.as_ref()?.1.as_ref()
    }
}

/// What hyper reads are slices of the connection's buffer, and a record would keep all of it.
fn copied(headers: &HeaderMap) -> HeaderMap {
    let mut copy = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            copy.append(name, value);
        }
    }
    copy
}

/// One line; names of parameters, never values, for some are secrets.
impl Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (sign, params) in [("?", &self.query), (" form:", &self.form)] {
            if !params.pairs().is_empty() {
                let names: Vec<_> = params.pairs().iter().map(|(n, _)| n.as_str()).collect();
                write!(f, "{sign}{}", names.join(","))?;
            }
        }
        match &self.outcome {
            None => f.write_str(" -> no answer"),
            Some((status, None)) => write!(f, " -> {status}"),
            Some((status, Some(why))) => write!(f, " -> {status} {}: {why}", why.error),
        }
    }
}

/// Told of each request when it is answered.
#[derive(Clone)]
pub(in crate::mock) struct Watcher(Arc<dyn Fn(&RecordedRequest) + Send + Sync>);

impl Watcher {
    pub(in crate::mock) fn new(watch: impl Fn(&RecordedRequest) + Send + Sync + 'static) -> Self {
        Self(Arc::new(watch))
    }

    pub(in crate::mock) fn tell(&self, request: &RecordedRequest) {
        (self.0)(request);
    }
}

impl Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// The last requests, and counts of all.
#[derive(Default)]
pub(in crate::mock) struct Log {
    next: u64,
    counts: HashMap<Endpoint, usize>,
    records: VecDeque<RecordedRequest>,
}

impl Log {
    /// Notes a request when it arrives; the number is for [`finish`](Self::finish).
    pub(in crate::mock) fn begin(&mut self, mut record: RecordedRequest) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        record.number = number;
        if let Some(endpoint) = record.endpoint {
            let count = self.counts.entry(endpoint).or_default();
            *count = count.saturating_add(1);
        }
        if self.records.len() >= KEPT {
            self.records.pop_front();
        }
        self.records.push_back(record);
        number
    }

    /// Gives the finished record, if it is still kept.
    pub(in crate::mock) fn finish(
        &mut self,
        number: u64,
        status: u16,
        refusal: Option<Refusal>,
    ) -> Option<&RecordedRequest> {
        let place = self
            .records
            .binary_search_by_key(&number, |r| r.number)
            .ok()?;
        let record = self.records.get_mut(place)?;
        record.outcome = Some((status, refusal));
        Some(record)
    }

    pub(in crate::mock) fn requests(&self, endpoint: Endpoint) -> Requests {
        Requests {
            endpoint,
            count: self.count(endpoint),
            records: self
                .records
                .iter()
                .filter(|record| record.endpoint == Some(endpoint))
                .cloned()
                .collect(),
        }
    }

    /// Every request that is kept, those to no endpoint too.
    pub(in crate::mock) fn all(&self) -> Vec<RecordedRequest> {
        self.records.iter().cloned().collect()
    }

    /// How many each endpoint got.
    pub(in crate::mock) fn count(&self, endpoint: Endpoint) -> usize {
        self.counts.get(&endpoint).copied().unwrap_or_default()
    }

    pub(in crate::mock) fn clear(&mut self) {
        self.counts.clear();
        self.records.clear();
    }
}

/// Enough to look back on, little enough to run for days.
const KEPT: usize = 10_000;
