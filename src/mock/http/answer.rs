//! Responses of endpoints, and the reasons of rejections.

use std::fmt::{self, Display};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE},
    },
    response::Response,
};
use bytes::Bytes;
use serde_json::{Value, json};

/// Reason why the mock rejected a request: the error code, the row of [the
/// contract](crate::guide::contract), and an explanation for debugging.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The error code, such as `invalid_grant`.
    pub error: &'static str,
    /// The row of the contract, such as `K24`.
    pub row: &'static str,
    /// The explanation for debugging. The explanation contains no secret.
    pub reason: String,
}

impl Refusal {
    pub(in crate::mock) fn new(
        error: &'static str,
        row: &'static str,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            error,
            row,
            reason: reason.into().replace(|c| !may_stand(c), "?"),
        }
    }

    /// Returns the error object of RFC 6749 section 5.2. `field` is the name of the member that
    /// contains the error code (K23).
    pub(in crate::mock) fn json(&self, field: &str) -> Value {
        json!({ field: self.error, "error_description": self.to_string() })
    }
}

/// Returns whether `error_description` may contain the character (RFC 6749 section 5.2).
fn may_stand(c: char) -> bool {
    matches!(c, ' '..='~') && !matches!(c, '"' | '\\')
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.row)
    }
}

/// A response, which faults can edit before the mock sends it.
pub(in crate::mock) struct Answer {
    pub(in crate::mock) status: StatusCode,
    pub(in crate::mock) headers: HeaderMap,
    pub(in crate::mock) body: AnswerBody,
    pub(in crate::mock) refusal: Option<Refusal>,
}

pub(in crate::mock) enum AnswerBody {
    Bytes(Bytes),
    Json(Value),
}

impl Answer {
    pub(in crate::mock) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            status,
            headers,
            body: AnswerBody::Bytes(body.into()),
            refusal: None,
        }
    }

    pub(in crate::mock) fn json(status: StatusCode, value: Value) -> Self {
        let mut answer = Self::new(status, "application/json", Bytes::new());
        answer.body = AnswerBody::Json(value);
        answer
    }

    /// Creates a JSON error response with `Cache-Control: no-store` (K23, K25).
    pub(in crate::mock) fn refuse(status: StatusCode, refusal: Refusal) -> Self {
        Self::refuse_in("error", status, refusal)
    }

    /// Creates a JSON error response with the error code in the member `field`.
    pub(in crate::mock) fn refuse_in(field: &str, status: StatusCode, refusal: Refusal) -> Self {
        let mut answer = Self::json(status, refusal.json(field)).no_store();
        answer.refusal = Some(refusal);
        answer
    }

    /// Creates a 303 redirect. After a 303, the browser sends a GET request.
    pub(in crate::mock) fn see_other(location: &str) -> Self {
        let mut answer = Self::new(StatusCode::SEE_OTHER, "text/plain", Bytes::new());
        if let Ok(location) = HeaderValue::from_str(location) {
            answer.headers.insert(LOCATION, location);
        }
        answer.no_store()
    }

    pub(in crate::mock) fn no_store(self) -> Self {
        self.with(CACHE_CONTROL, "no-store")
    }

    pub(in crate::mock) fn challenge(self, challenge: &str) -> Self {
        self.with(WWW_AUTHENTICATE, challenge)
    }

    /// Adds a header to the response. The response omits a header with an invalid value.
    pub(in crate::mock) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    pub(in crate::mock) fn bytes(&self) -> Bytes {
        match &self.body {
            AnswerBody::Bytes(bytes) => bytes.clone(),
            AnswerBody::Json(value) => value.to_string().into(),
        }
    }

    pub(in crate::mock) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.bytes()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
