//! Outcomes of deliveries, and the response to each.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE},
};

use crate::{
    observe::Delivered,
    web::pages::problem_json::ProblemJson,
    webhook::{EventParseError, SignatureError, TimestampError},
};

/// Default of `Retry-After`.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Outcome of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handler completed the event.
    Handled,
    /// The event was completed earlier.
    Duplicate,
    /// The type of the event is unknown.
    Acknowledged,
    /// The method is not POST.
    MethodNotAllowed,
    /// The signature is missing or does not match.
    Rejected(SignatureError),
    /// The body arrived too slowly.
    SlowBody,
    /// The body is incomplete.
    IncompleteBody,
    /// The signature matches, but the body is not an event.
    InvalidEvent(EventParseError),
    /// The event is too old or in the future.
    TimestampError(TimestampError),
    /// A handler is processing another delivery of the event. The lease of that delivery ends after
    /// this time.
    InFlight(Duration),
    /// The receiver is handling the maximum number of events.
    Busy,
    /// The store failed. The receiver does not know whether a handler has completed the event, or
    /// could not store the person's status.
    StoreUnavailable,
    /// The handler completed the event, but the store did not record the completion.
    CompletionNotRecorded,
    /// KYCPort did not answer the status query.
    StatusUnavailable { retry_after: Option<Duration> },
    /// The app's resolver does not know the person of the event.
    UnknownPerson,
    /// The app's resolver failed, panicked or exceeded its time limit.
    PersonUnavailable,
    /// The handler returned an error.
    HandlerFailed,
    /// The handler panicked.
    HandlerPanicked,
    /// The handler exceeded its time limit.
    HandlerTooSlow,
    /// The handler finished after its lease had ended, and another delivery of the event has the
    /// lease.
    LeaseLost,
}

impl Outcome {
    /// Returns a stable code for logs and metrics.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Duplicate => "duplicate",
            Self::Acknowledged => "unknown_type",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Rejected(refused) => refused.code(),
            Self::SlowBody => "slow_body",
            Self::IncompleteBody => "broken_body",
            Self::InvalidEvent(_) => "unreadable",
            Self::TimestampError(untimely) => untimely.code(),
            Self::InFlight(_) => "in_flight",
            Self::Busy => "busy",
            Self::StoreUnavailable => "store_unavailable",
            Self::CompletionNotRecorded => "not_recorded",
            Self::StatusUnavailable { .. } => "status_unavailable",
            Self::UnknownPerson => "unknown_person",
            Self::PersonUnavailable => "person_unavailable",
            Self::HandlerFailed => "handler_failed",
            Self::HandlerPanicked => "handler_panicked",
            Self::HandlerTooSlow => "handler_too_slow",
            Self::LeaseLost => "lease_lost",
        }
    }

    /// Returns the status. After 2xx, KYCPort does not redeliver the event. After any other status,
    /// KYCPort redelivers the event (K62).
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Handled | Self::Duplicate | Self::Acknowledged => StatusCode::OK,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Rejected(SignatureError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Rejected(_) => StatusCode::UNAUTHORIZED,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::IncompleteBody | Self::InvalidEvent(_) | Self::TimestampError(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::InFlight(_) | Self::LeaseLost => StatusCode::CONFLICT,
            Self::Busy
            | Self::StoreUnavailable
            | Self::CompletionNotRecorded
            | Self::StatusUnavailable { .. }
            | Self::UnknownPerson
            | Self::PersonUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::HandlerFailed | Self::HandlerPanicked | Self::HandlerTooSlow => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// Returns a sentence about the outcome. KYCPort can show the sentence in its list of failed
    /// deliveries.
    fn detail(self) -> &'static str {
        match self {
            Self::Handled | Self::Duplicate => "The event was handled.",
            Self::Acknowledged => "Events of this type are ignored.",
            Self::MethodNotAllowed => "Deliver events with POST.",
            Self::Rejected(SignatureError::TooLarge) => "The body exceeds the size limit.",
            Self::Rejected(_) => "The signature is missing or does not match.",
            Self::SlowBody => "The body arrived too slowly.",
            Self::IncompleteBody => "The body is incomplete.",
            Self::InvalidEvent(_) => "The body is not a valid event.",
            Self::TimestampError(_) => "The event is too old or in the future.",
            Self::InFlight(_) => "The event is being handled. Deliver it again later.",
            Self::Busy => "Too many events are being handled. Deliver it again later.",
            Self::StoreUnavailable | Self::CompletionNotRecorded => {
                "The event store is unavailable. Deliver the event again later."
            }
            Self::StatusUnavailable { .. } => {
                "The status endpoint is unavailable. Deliver the event again later."
            }
            Self::UnknownPerson => "The person is not known yet. Deliver the event again later.",
            Self::PersonUnavailable => {
                "The lookup of the person failed. Deliver the event again later."
            }
            Self::HandlerFailed | Self::HandlerPanicked | Self::HandlerTooSlow => {
                "The handler failed. Deliver the event again later."
            }
            Self::LeaseLost => {
                "Another delivery of the event is being handled. Deliver it again later."
            }
        }
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::InFlight(left) => Some(left),
            Self::StatusUnavailable { retry_after } => {
                Some(retry_after.unwrap_or(DEFAULT_RETRY_AFTER))
            }
            Self::Busy
            | Self::StoreUnavailable
            | Self::CompletionNotRecorded
            | Self::UnknownPerson
            | Self::PersonUnavailable => Some(DEFAULT_RETRY_AFTER),
            _ => None,
        }
    }

    /// Builds the response. The response contains no text from the delivery, the handler or the
    /// store. `reference` also appears in the log line of the delivery.
    pub(super) fn answer(self, reference: &str) -> Response {
        let status = self.status();
        let mut response = if status.is_success() {
            status.into_response()
        } else {
            let problem = ProblemJson {
                status,
                title: "The delivery was not accepted",
                detail: self.detail(),
                code: self.code(),
                reference,
                more: None,
            };
            problem.answer()
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self == Self::MethodNotAllowed {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2 requires a challenge in a 401 response.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Signature"));
        }
        if let Some(after) = self.retry_after() {
            // Round up to whole seconds.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Returns the kind of the outcome for the log.
    pub(super) fn delivered(self, error: Option<&str>) -> Delivered<'_> {
        if self == Self::UnknownPerson {
            Delivered::UnknownPerson
        } else if self.status().is_server_error() {
            Delivered::Failed(error)
        } else if let Self::InvalidEvent(why) = self {
            Delivered::Unreadable(why.code())
        } else if self.status().is_client_error() {
            Delivered::Rejected
        } else {
            Delivered::Accepted
        }
    }
}
