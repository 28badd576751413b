//! How the API says no (K43).

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal},
    endpoint::Endpoint,
};
use crate::mock::switches::Switches;

/// The answer for a status that has a code; 500 for any other.
pub(in crate::mock) fn refuse(status: StatusCode, why: &str, switches: &Switches) -> Answer {
    let Some(code) = code(status.as_u16()) else {
        return Answer::json(StatusCode::INTERNAL_SERVER_ERROR, json!({}));
    };
    let mut answer = Answer::json(status, body(code, switches)).no_store();
    answer.refusal = Some(Refusal::new(code, "K43", why));
    answer
}

/// The same for what only cases answer (K54 to K59).
pub(in crate::mock) fn refuse_as(
    status: StatusCode,
    code: &'static str,
    row: &'static str,
    why: &str,
    switches: &Switches,
) -> Answer {
    let mut answer = Answer::json(status, body(code, switches)).no_store();
    answer.refusal = Some(Refusal::new(code, row, why));
    answer
}

/// The code that stands for this status.
pub(in crate::mock) const fn code(status: u16) -> Option<&'static str> {
    match status {
        401 => Some("invalid_api_key"),
        403 => Some("forbidden"),
        404 => Some("person_not_found"),
        429 => Some("rate_limited"),
        _ => None,
    }
}

/// The code that this endpoint has for this status, if it is one of the API's.
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

/// The code alone, in the field that the switches name (K23).
pub(in crate::mock) fn body(code: &str, switches: &Switches) -> Value {
    let mut fields = serde_json::Map::new();
    fields.insert(switches.api_error_field.to_owned(), json!(code));
    Value::Object(fields)
}
