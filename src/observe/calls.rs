//! Spans, log events and metrics of requests to KYCPort.

use std::{future::Future, time::Duration};

use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{Reason, Stopwatch, count, time};

/// Kind of request to KYCPort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Discovery,
    Jwks,
    /// Token request with a code.
    Code,
    /// Token request with a refresh token.
    Refresh,
    /// Revocation request for a token.
    #[cfg_attr(
        not(feature = "web"),
        expect(
            dead_code,
            reason = "only sessions use it, and sessions need the feature `web`"
        )
    )]
    Revoke,
    Userinfo,
    Status,
    OpenCase,
    ReadCase,
    Upload,
    Decide,
}

impl Call {
    fn code(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::Userinfo => "userinfo",
            Self::Status => "status",
            Self::OpenCase => "case_open",
            Self::ReadCase => "case_read",
            Self::Upload => "case_upload",
            Self::Decide => "case_decide",
        }
    }

    fn span(self) -> Span {
        let call = self.code();
        match self {
            Self::Discovery => {
                info_span!(target: "kycport::call", "kycport.discovery", result = Empty)
            }
            Self::Jwks => info_span!(target: "kycport::call", "kycport.jwks", result = Empty),
            Self::Code | Self::Refresh | Self::Revoke => {
                info_span!(target: "kycport::call", "kycport.token", call, result = Empty)
            }
            Self::Userinfo => {
                info_span!(target: "kycport::call", "kycport.userinfo", result = Empty)
            }
            Self::Status => info_span!(target: "kycport::call", "kycport.status", result = Empty),
            Self::OpenCase | Self::ReadCase | Self::Upload | Self::Decide => {
                info_span!(target: "kycport::call", "kycport.case", call, result = Empty)
            }
        }
    }
}

/// Runs a request in its own span, and reports the result.
pub(crate) async fn call<T, E: Reason>(
    call: Call,
    what: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let (span, stopwatch) = (call.span(), Stopwatch::start());
    let answer = what.instrument(span.clone()).await;
    let result = answer.as_ref().map_or_else(Reason::reason, |_| "ok");
    span.record("result", result);
    if let Err(error) = &answer {
        let _entered = span.enter();
        let (call, reason) = (call.code(), error.reason());
        if error.is_rejection() {
            tracing::info!(
                name: "kycport.call.rejected", target: "kycport::call",
                call, reason, %error, "KYCPort rejected a request"
            );
        } else {
            tracing::warn!(
                name: "kycport.call.failed", target: "kycport::call",
                call, reason, %error, "a request to KYCPort failed"
            );
        }
    }
    count!(CALLS, call.code(), result);
    time!(CALL_TIME, stopwatch, call.code());
    answer
}

/// Reports that a request will be retried after a pause.
pub(crate) fn retried(attempt: u32, reason: &'static str, pause: Duration) {
    let pause_ms = millis(pause);
    tracing::debug!(
        name: "kycport.call.retried", target: "kycport::call",
        attempt, reason, pause_ms, "retrying a request to KYCPort"
    );
    count!(RETRIES, reason);
}

/// Reports that KYCPort rate-limits all requests.
pub(crate) fn rate_limited(pause: Duration) {
    let pause_ms = millis(pause);
    tracing::warn!(
        name: "kycport.call.rate_limited", target: "kycport::call",
        pause_ms, "KYCPort responded with 429; all requests to its API pause"
    );
    count!(RATE_LIMITED);
}

/// Reports that the cache serves a stale document, because it could not fetch a new document.
pub(crate) fn stale_document_served(document: &'static str) {
    tracing::warn!(
        name: "kycport.document.stale_served", target: "kycport::call",
        document, "could not refresh a document from KYCPort; the previous document stays in use"
    );
}

/// Reports that a member of the key set is unusable.
pub(crate) fn key_ignored() {
    tracing::debug!(
        name: "kycport.jwks.key_ignored", target: "kycport::call",
        "ignored a key of the key set that cannot verify a token"
    );
}

fn millis(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}
