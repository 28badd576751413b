//! Readiness of this instance.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde_json::json;
use tokio::sync::Mutex;

use super::context::Shared;

/// Maximum time that a probe waits for KYCPort.
const KYCPORT_LIMIT: Duration = Duration::from_millis(500);

/// Readiness of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// The store takes and returns records.
    pub store: bool,
    /// KYCPort's metadata is known. This is a detail: while KYCPort is down nobody can sign in, but
    /// people who are signed in go on, and taking instances out of service would not help.
    pub kycport: bool,
}

impl Readiness {
    /// Whether this instance should receive requests: whether its store works.
    pub fn is_ready(self) -> bool {
        self.store
    }
}

/// Answers of the store are shared for so long: probes of any number write no more often.
const STORE_CHECKED_FOR: Duration = Duration::from_secs(1);

/// Result of the last check of the store, and when it was made.
#[derive(Debug, Default)]
pub(super) struct LastCheck(Mutex<Option<(Duration, bool)>>);

impl LastCheck {
    /// Checks the store, or returns the result of a check that is less than a second old. A check
    /// writes, so that a store that has become read-only is noticed.
    async fn works(&self, shared: &Shared) -> bool {
        let mut last = self.0.lock().await;
        let now = shared.clock().monotonic();
        if let Some((at, works)) = *last
            && now.saturating_sub(at) < STORE_CHECKED_FOR
        {
            return works;
        }
        let works = shared.state().check().await.is_ok();
        *last = Some((now, works));
        works
    }
}

pub(super) async fn readiness(shared: &Shared) -> Readiness {
    // The metadata is cached. A fetch goes on when the probe does not wait for it.
    let kycport = async {
        let known = tokio::time::timeout(KYCPORT_LIMIT, shared.oidc().is_known()).await;
        known.unwrap_or(false)
    };
    let (store, kycport) = tokio::join!(shared.last_check().works(shared), kycport);
    Readiness { store, kycport }
}

pub(super) fn route<S: Clone + Send + Sync + 'static>(shared: Shared) -> MethodRouter<S> {
    get(async move || answer(readiness(&shared).await))
}

fn answer(readiness: Readiness) -> Response {
    let word = |works| if works { "ok" } else { "unavailable" };
    let body = json!({
        "ready": readiness.is_ready(),
        "store": word(readiness.store),
        "kycport": word(readiness.kycport),
    });
    let mut response = Body::from(body.to_string()).into_response();
    if !readiness.is_ready() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
