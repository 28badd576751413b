//! Problem JSON (RFC 9457): error responses for programs.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};

use crate::web::request::headers;

pub(in crate::web) struct ProblemJson<'a> {
    pub(in crate::web) status: StatusCode,
    pub(in crate::web) title: &'a str,
    pub(in crate::web) detail: &'a str,
    /// Stable code for programs.
    pub(in crate::web) code: &'a str,
    /// Reference, which is also in the log.
    pub(in crate::web) reference: &'a str,
    /// Additional member: name and value.
    pub(in crate::web) more: Option<(&'a str, &'a str)>,
}

impl ProblemJson<'_> {
    pub(in crate::web) fn answer(&self) -> Response {
        let mut body = serde_json::json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "reference": self.reference,
        });
        if let (Some((name, value)), Some(body)) = (self.more, body.as_object_mut()) {
            body.insert(name.to_owned(), value.into());
        }
        let mut response = (self.status, Body::from(body.to_string())).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, json);
        headers::keep_private(headers);
        response
    }
}
