//! Response of a handler whose store operation failed.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header::RETRY_AFTER};

use super::{problem::Problem, problem_json::ProblemJson};
use crate::{observe, store::StoreError, web::request::random};

/// Responds with 503 and `Retry-After`, as problem JSON. The session layer also responds with 503
/// if the store fails.
impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        let (text, reference) = (Problem::StoreUnavailable.text(), random::reference());
        observe::request_failed(text.code, &reference);
        let problem = ProblemJson {
            status: text.status,
            title: text.title,
            detail: text.detail,
            code: text.code,
            reference: &reference,
            more: None,
        };
        let mut response = problem.answer();
        let seconds = Problem::StoreUnavailable.retry_after();
        let seconds = seconds.map(HeaderValue::from);
        response
            .headers_mut()
            .extend(seconds.map(|it| (RETRY_AFTER, it)));
        response
    }
}
