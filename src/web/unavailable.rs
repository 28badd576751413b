//! A store that does not work, said by a handler of the app's own.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header::RETRY_AFTER};

use super::{problem::Problem, problem_json::ProblemJson, random, records::StoreUnavailable};
use crate::observe;

/// 503 with `Retry-After`, as problem JSON: what the layer itself says then.
impl IntoResponse for StoreUnavailable {
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
