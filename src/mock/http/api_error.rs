//! Error responses of the tenant API (K43).

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal},
    endpoint::Endpoint,
};
use crate::mock::switches::Switches;

/// Creates the error response for a status that has an error code. Responds with 500 for any other
/// status.
pub(in crate::mock) fn refuse(status: StatusCode, reason: &str, switches: &Switches) -> Answer {
    let Some(code) = code(status.as_u16()) else {
        return Answer::json(StatusCode::INTERNAL_SERVER_ERROR, json!({}));
    };
    let mut answer = Answer::json(status, body(code, switches)).no_store();
    answer.refusal = Some(Refusal::new(code, "K43", reason));
    answer
}

/// Creates an error response with an error code that only the case endpoints use (K54 to K59).
pub(in crate::mock) fn refuse_as(
    status: StatusCode,
    code: &'static str,
    row: &'static str,
    reason: &str,
    switches: &Switches,
) -> Answer {
    let mut answer = Answer::json(status, body(code, switches)).no_store();
    answer.refusal = Some(Refusal::new(code, row, reason));
    answer
}

/// Returns the error code for this status.
pub(in crate::mock) const fn code(status: u16) -> Option<&'static str> {
    match status {
        401 => Some("invalid_api_key"),
        403 => Some("forbidden"),
        404 => Some("person_not_found"),
        429 => Some("rate_limited"),
        _ => None,
    }
}

/// Returns the error code for this status at this endpoint. Returns `None` if the endpoint does not
/// belong to the tenant API.
pub(in crate::mock) const fn code_at(endpoint: Endpoint, status: u16) -> Option<&'static str> {
    use Endpoint::{DecideCase, OpenCase, ReadCase, Status, UploadCase};
    match (endpoint, status) {
        (ReadCase | UploadCase | DecideCase, 404) => Some("case_not_found"),
        (UploadCase, 413) => Some("file_too_large"),
        (OpenCase | UploadCase, 415) => Some("unsupported_media_type"),
        (Status | OpenCase | ReadCase | UploadCase | DecideCase, _) => code(status),
        _ => None,
    }
}

/// Creates a body that contains only the error code. The switches set the name of its member (K23).
pub(in crate::mock) fn body(code: &str, switches: &Switches) -> Value {
    let mut fields = serde_json::Map::new();
    fields.insert(switches.api_error_field.to_owned(), json!(code));
    Value::Object(fields)
}
