//! Log of received requests, for assertions.

use std::{
    collections::{HashMap, VecDeque},
    fmt::{self, Debug},
    sync::Arc,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{answer::Refusal, endpoint::Endpoint, params::Params};

/// The requests that one endpoint has received so far.
#[derive(Debug, Clone)]
pub struct Requests {
    endpoint: Endpoint,
    count: usize,
    records: Vec<RecordedRequest>,
}

impl Requests {
    /// Returns the number of requests that have arrived, including requests without a response.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the latest request. The log keeps the last 10,000 requests of all endpoints
    /// together.
    pub fn last(&self) -> Option<&RecordedRequest> {
        self.records.last()
    }

    /// Returns the logged requests, oldest first. A logged request does not contain a query or a
    /// form larger than 16 KiB.
    pub fn iter(&self) -> impl Iterator<Item = &RecordedRequest> {
        self.records.iter()
    }

    /// Asserts the number of requests.
    ///
    /// # Panics
    /// Panics if the number differs. The message lists each logged request.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion for tests")]
    pub fn assert_count(&self, expected: usize) {
        if self.count != expected {
            let lines: Vec<_> = self.records.iter().map(|r| format!("\n  {r:?}")).collect();
            panic!(
                "{} received {} requests, not {expected}:{}",
                self.endpoint,
                self.count,
                lines.concat()
            );
        }
    }
}

/// A request and the status of its response.
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

    /// Returns the endpoint of the path, or `None` if no endpoint has this path.
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.endpoint
    }

    /// Returns the parameter names in the query and in the form. The result omits the values,
    /// because a value may be a secret.
    pub(in crate::mock) fn names(&self) -> [Vec<String>; 2] {
        [&self.query, &self.form]
            .map(|params| params.pairs().iter().map(|it| it.0.clone()).collect())
    }

    /// Returns the HTTP method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns a query parameter, or `None` if the query does not contain the parameter exactly
    /// once.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// Returns a form parameter, or `None` if the form does not contain the parameter exactly once.
    pub fn form(&self, name: &str) -> Option<&str> {
        self.form.get(name)
    }

    /// Returns a header, or `None` if its value is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the status of the response, or `None` if the mock has sent no response.
    pub fn status(&self) -> Option<u16> {
        self.outcome.as_ref().map(|(status, _)| *status)
    }

    /// Returns the reason why the mock rejected the request, or `None` if the mock accepted the
    /// request.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.outcome.as_ref()?.1.as_ref()
    }
}

/// Copies the headers. Hyper's values are slices of the connection's buffer. Without a copy, each
/// logged request would keep the whole buffer in memory.
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

/// Formats one line with the names of the parameters. The line omits the values, because a value
/// may be a secret.
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
            None => f.write_str(" -> no response"),
            Some((status, None)) => write!(f, " -> {status}"),
            Some((status, Some(why))) => write!(f, " -> {status} {}: {why}", why.error),
        }
    }
}

/// Callback that receives each request after the mock has sent the response.
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

/// The last requests, and the number of requests to each endpoint.
#[derive(Default)]
pub(in crate::mock) struct Log {
    next: u64,
    counts: HashMap<Endpoint, usize>,
    records: VecDeque<RecordedRequest>,
}

impl Log {
    /// Records a request that has just arrived. Returns the number of the record, which
    /// [`finish`](Self::finish) requires.
    pub(in crate::mock) fn begin(&mut self, mut record: RecordedRequest) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        record.number = number;
        if let Some(endpoint) = record.endpoint {
            let count = self.counts.entry(endpoint).or_default();
            *count = count.saturating_add(1);
        }
        if self.records.len() >= MAX_REQUESTS {
            self.records.pop_front();
        }
        self.records.push_back(record);
        number
    }

    /// Completes a record and returns it. Returns `None` if the log has already removed the record.
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

    /// Returns every logged request, including requests whose path matches no endpoint.
    pub(in crate::mock) fn all(&self) -> Vec<RecordedRequest> {
        self.records.iter().cloned().collect()
    }

    /// Returns the number of requests that an endpoint received.
    pub(in crate::mock) fn count(&self, endpoint: Endpoint) -> usize {
        self.counts.get(&endpoint).copied().unwrap_or_default()
    }

    pub(in crate::mock) fn clear(&mut self) {
        self.counts.clear();
        self.records.clear();
    }
}

/// Maximum number of logged requests. A test sends fewer requests than the limit. The limit bounds
/// the memory of an issuer that runs for days.
const MAX_REQUESTS: usize = 10_000;
