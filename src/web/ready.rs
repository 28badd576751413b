//! Readiness of this instance.

use std::{sync::Arc, time::Duration};

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

use super::request::headers;
use crate::{clock::Clock, oidc::OidcClient, state::State};

/// Maximum time that a probe waits for KYCPort.
const KYCPORT_LIMIT: Duration = Duration::from_millis(500);

/// Readiness of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// The store can write and read records.
    pub store: bool,
    /// This instance knows KYCPort's metadata. Readiness does not depend on KYCPort. While KYCPort
    /// is down, no one can sign in, but signed-in people can continue.
    pub kycport: bool,
}

impl Readiness {
    /// Returns `true` if this instance can serve requests, because its store works.
    pub fn is_ready(self) -> bool {
        self.store
    }
}

/// Time for which the result of a check is shared between probes.
const STORE_CHECKED_FOR: Duration = Duration::from_secs(1);

/// Probe of one instance. Cheap to clone; clones share the result of the last check.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    oidc: OidcClient,
    state: State,
    clock: Arc<dyn Clock>,
    /// Result and time of the last check of the store.
    last_check: Arc<Mutex<Option<(Duration, bool)>>>,
}

impl Probe {
    pub(super) fn new(oidc: OidcClient, state: State, clock: Arc<dyn Clock>) -> Self {
        Self {
            oidc,
            state,
            clock,
            last_check: Arc::default(),
        }
    }

    pub(super) async fn readiness(&self) -> Readiness {
        // The metadata is cached. If the probe stops waiting, the fetch continues.
        let kycport = async {
            let known = tokio::time::timeout(KYCPORT_LIMIT, self.oidc.is_known()).await;
            known.unwrap_or(false)
        };
        let (store, kycport) = tokio::join!(self.store_works(), kycport);
        Readiness { store, kycport }
    }

    pub(super) fn route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let own = self.clone();
        get(async move || answer(own.readiness().await))
    }

    /// Checks the store, or returns the result of a check that is less than a second old. The check
    /// writes a record, because a read would not detect a read-only store.
    async fn store_works(&self) -> bool {
        let mut last = self.last_check.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, works)) = *last
            && now.saturating_sub(at) < STORE_CHECKED_FOR
        {
            return works;
        }
        let works = self.state.check().await.is_ok();
        // Probes that waited for a slow check share its result.
        *last = Some((self.clock.monotonic(), works));
        works
    }
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
    headers::same_origin_only(headers);
    response
}
