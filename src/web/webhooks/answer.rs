//! What became of a delivery, and what KYCPort is answered: the one place that knows both.

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

/// When to come again, if nothing is known that says it better.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The event took effect.
    Handled,
    /// It had before.
    Duplicate,
    /// It is of a type that is not known.
    Acknowledged,
    /// Not POST.
    MethodNotAllowed,
    /// Nothing says that it is KYCPort's.
    Rejected(SignatureError),
    /// The body took too long to come.
    SlowBody,
    /// The body broke off.
    IncompleteBody,
    /// It is KYCPort's and no event.
    InvalidEvent(EventParseError),
    /// The event is not of this time.
    TimestampError(TimestampError),
    /// Another has the event, for so long at most.
    InFlight(Duration),
    /// There is too much to do.
    Busy,
    /// The store failed: whether the event was handled is unknown, or sessions would see an older
    /// assurance.
    StoreUnavailable,
    /// The event took effect, and that could not be remembered.
    CompletionNotRecorded,
    /// Where the person stands could not be asked.
    StatusUnavailable { retry_after: Option<Duration> },
    /// The handler said that it failed.
    HandlerFailed,
    /// The handler panicked.
    HandlerPanicked,
    /// The handler took longer than it may.
    HandlerTooSlow,
    /// The handler was done after its lease had ended, and another has the event now.
    LeaseLost,
}

impl Outcome {
    /// A stable code for logs and metrics.
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
            Self::CompletionNotRecorded => "not_remembered",
            Self::StatusUnavailable { .. } => "status_unavailable",
            Self::HandlerFailed => "handler_failed",
            Self::HandlerPanicked => "handler_panicked",
            Self::HandlerTooSlow => "handler_too_slow",
            Self::LeaseLost => "lease_lost",
        }
    }

    /// 2xx says that KYCPort need not come again, everything else that it should (K62).
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
            | Self::StatusUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::HandlerFailed | Self::HandlerPanicked | Self::HandlerTooSlow => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// For whoever reads KYCPort's list of failed deliveries.
    fn detail(self) -> &'static str {
        match self {
            Self::Handled | Self::Duplicate => "The event has taken effect.",
            Self::Acknowledged => "Nothing is done about events of this type.",
            Self::MethodNotAllowed => "Deliveries are sent by POST.",
            Self::Rejected(SignatureError::TooLarge) => "The body is larger than is taken.",
            Self::Rejected(_) => "The signature does not show that it is KYCPort's.",
            Self::SlowBody => "The body took too long to come.",
            Self::IncompleteBody => "The body broke off.",
            Self::InvalidEvent(_) => "The body is no event.",
            Self::TimestampError(_) => "The event is too old, or yet to come.",
            Self::InFlight(_) => "The event is being handled. Deliver it again.",
            Self::Busy => "There is too much to do. Deliver it again.",
            Self::StoreUnavailable | Self::CompletionNotRecorded => {
                "What was handled cannot be known for the moment. Deliver it again."
            }
            Self::StatusUnavailable { .. } => {
                "The status endpoint gives no answer for the moment. Deliver it again."
            }
            Self::HandlerFailed | Self::HandlerPanicked | Self::HandlerTooSlow => {
                "The event was not handled. Deliver it again."
            }
            Self::LeaseLost => "Another has the event by now. Deliver it again.",
        }
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::InFlight(left) => Some(left),
            Self::StatusUnavailable { retry_after } => {
                Some(retry_after.unwrap_or(DEFAULT_RETRY_AFTER))
            }
            Self::Busy | Self::StoreUnavailable | Self::CompletionNotRecorded => {
                Some(DEFAULT_RETRY_AFTER)
            }
            _ => None,
        }
    }

    /// The answer: nothing of the delivery, the handler or the stores is in it. `reference` finds
    /// the line in the log.
    pub(super) fn answer(self, reference: &str) -> Response {
        let status = self.status();
        let mut response = if status.is_success() {
            status.into_response()
        } else {
            let problem = ProblemJson {
                status,
                title: "The delivery was not taken",
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
            // RFC 9110 section 15.5.2 requires a challenge.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Signature"));
        }
        if let Some(after) = self.retry_after() {
            // Whole seconds, and none too soon.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// What it is to whoever reads the log.
    pub(super) fn delivered(self, error: Option<&str>) -> Delivered<'_> {
        if self.status().is_server_error() {
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
