//! Whether this instance can serve, for whoever sends it requests.

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

use super::context::Shared;

/// A probe is not kept waiting for KYCPort.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether an instance can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// The session store answers.
    pub store: bool,
    /// KYCPort's metadata is known. It is a detail: without KYCPort nobody can sign in anew, whoever
    /// is signed in goes on, and taking instances away would mend nothing.
    pub kycport: bool,
}

impl Readiness {
    /// Whether to send requests here: whether the store answers.
    pub fn is_ready(self) -> bool {
        self.store
    }
}

pub(super) async fn readiness(shared: &Shared) -> Readiness {
    // Cached: a probe every second asks KYCPort no oftener than people do. The fetch goes on when
    // the probe does not wait for it.
    let kycport = async {
        let known = tokio::time::timeout(PATIENCE, shared.oidc().is_known()).await;
        known.unwrap_or(false)
    };
    let (store, kycport) = tokio::join!(shared.store_answers(), kycport);
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
