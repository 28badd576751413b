//! Responses for problems. Page requests get an HTML page, and all other requests get problem JSON
//! (RFC 9457).

use axum::response::Response;
use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{
    page,
    problem::{Next, Problem},
    problem_json::ProblemJson,
};
use crate::{
    observe,
    web::{
        context::RequestContext,
        request::{audience::Audience, headers},
    },
};

/// Label of the link that starts a step-up.
const STEP_UP_LABEL: &str = "Continue with KYCPort";
/// Member of the problem JSON that contains the URL of the step-up.
const STEP_UP_MEMBER: &str = "step_up_url";

/// Paths of the next step.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::web) struct Links<'a> {
    /// Start of a step-up.
    pub(in crate::web) step_up: Option<&'a str>,
    /// The page that the person requested or was on.
    pub(in crate::web) page: Option<&'a str>,
}

impl Problem {
    /// Builds and logs the response. The response and the log line contain the reference of the
    /// request.
    pub(in crate::web) fn answer(self, audience: Audience, context: &RequestContext) -> Response {
        self.answer_with(audience, context, Links::default())
    }

    /// Builds and logs the response like [`answer`](Self::answer), with the paths of the next step.
    pub(in crate::web) fn answer_with(
        self,
        audience: Audience,
        context: &RequestContext,
        links: Links<'_>,
    ) -> Response {
        let text = self.text();
        let reference = context.reference().as_str();
        if text.status.is_server_error() {
            observe::request_failed(text.code, &reference);
        } else {
            observe::request_rejected(text.code, &reference);
        }
        let login = context.settings().login_path();
        let next = match text.next {
            Next::SignIn => Some(("Sign in", Some("login_url"), login.as_str())),
            Next::StepUp => links
                .step_up
                .map(|path| (STEP_UP_LABEL, Some(STEP_UP_MEMBER), path)),
            // A program does not need the link, because it knows the URL that it requested.
            Next::Again(label) => links.page.map(|path| (label, None, path)),
            Next::Nothing => None,
        };
        let also = links.step_up.filter(|_| self.also_offers_step_up());
        let mut response = match audience {
            Audience::Page => page::problem(&page::Problem {
                status: text.status,
                title: text.title,
                detail: text.detail,
                next: next.map(|(label, _, path)| (label, path)),
                also: also.map(|path| (STEP_UP_LABEL, path)),
                reference,
            }),
            Audience::Fetch => ProblemJson {
                status: text.status,
                title: text.title,
                detail: text.detail,
                code: text.code,
                reference,
                more: next
                    .and_then(|(_, name, path)| Some((name?, path)))
                    .or_else(|| Some((STEP_UP_MEMBER, also?))),
            }
            .answer(),
        };
        if text.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2 requires a challenge in a 401 response. Browsers ignore an
            // unknown scheme.
            let challenge = HeaderValue::from_static("Cookie");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after() {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers::keep_private(response.headers_mut());
        response
    }
}
