//! Error responses of the admin API.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::mock::error::MockError;

/// Error response of the admin API.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct ApiError {
    #[serde(skip)]
    pub(super) status: StatusCode,
    /// Error code, such as `invalid_request`.
    error: &'static str,
    /// Description for developers.
    message: String,
}

impl ApiError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        let message = format!("this {what} does not exist");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(super) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error,
            message: message.into(),
        }
    }
}

impl From<MockError> for ApiError {
    fn from(error: MockError) -> Self {
        let message = error.to_string();
        match error {
            MockError::NotUnderReview(_) => Self::conflict(message),
            MockError::Listen(_) | MockError::Certificate(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot_start", message)
            }
            _ => Self::invalid(message),
        }
    }
}
