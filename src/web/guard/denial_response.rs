//! Responses of the guard to requests that do not meet the requirement.

use std::fmt::Write as _;

use axum::{extract::OriginalUri, response::Response};
use http::{HeaderValue, Method, header::WWW_AUTHENTICATE, request::Parts};

use crate::{
    kyc::RequirementError,
    observe::{self, Pseudonym},
    web::{
        context::RequestContext,
        evaluation::evaluate::Denial,
        pages::{problem::Problem, problem_response::Links},
        request::{audience::Audience, redirect::see_other, return_to::ReturnTo},
    },
    wire::kyc::KycTier,
};

/// Returns the response when no one is signed in. Redirects a page request to the login, which
/// later redirects back to the page. Responds to a script with 401 and the URL of the login.
pub(in crate::web) fn signed_out(context: &RequestContext, parts: &Parts) -> Response {
    let settings = context.settings();
    let audience = Audience::of(&parts.method, &parts.headers);
    match audience {
        Audience::Page => {
            see_other(&settings.login_path_back_to(&page_to_return_to(context, parts)))
        }
        Audience::Fetch => Problem::SignedOut.answer(audience, context),
    }
}

/// Returns the response when the signed-in person does not meet the requirement. `max_age` is the
/// maximum time since the person authenticated, in seconds, if the guard has such a limit.
pub(in crate::web) fn answer(
    context: &RequestContext,
    parts: &Parts,
    tier: &KycTier,
    max_age: Option<u32>,
    denial: &Denial,
    person: Pseudonym<'_>,
) -> Response {
    let settings = context.settings();
    let audience = Audience::of(&parts.method, &parts.headers);
    observe::requirement_not_met(context.reference(), denial.reason.code(), person);
    let page = page_to_return_to(context, parts);
    let is_too_old = denial.reason == RequirementError::AuthenticationTooOld;
    let step_up = settings.step_up_path(tier, max_age.filter(|_| is_too_old), &page);
    let problem = Problem::of_requirement(&denial.reason, denial.retry_after);
    if problem.step_up_helps() && audience == Audience::Page {
        return see_other(&step_up);
    }
    let mut response = problem.answer_with(
        audience,
        context,
        Links {
            step_up: Some(&step_up),
            page: Some(page.as_str()),
        },
    );
    if problem.step_up_helps()
        && let Some(challenge) = challenge(tier, max_age, is_too_old)
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Builds the challenge of RFC 9470 section 3. The challenge contains the tier only if the tier is
/// the reason.
fn challenge(tier: &KycTier, max_age: Option<u32>, is_too_old: bool) -> Option<HeaderValue> {
    let mut text = "Bearer error=\"insufficient_user_authentication\"".to_owned();
    // Writing to a string does not fail.
    if !is_too_old {
        let _ = write!(text, ", acr_values=\"{tier}\"");
    }
    if let Some(seconds) = max_age {
        let _ = write!(text, ", max_age=\"{seconds}\"");
    }
    HeaderValue::try_from(text).ok()
}

/// Returns the page to show after the login or the step-up. The result is the page that the person
/// requested, or the page that sent the form or script request. The function never returns the
/// target of a form.
fn page_to_return_to(context: &RequestContext, parts: &Parts) -> ReturnTo {
    let settings = context.settings();
    let asked_for_a_page = parts.method == Method::GET
        && Audience::of(&parts.method, &parts.headers) == Audience::Page;
    if !asked_for_a_page {
        return settings.referring_page(&parts.headers);
    }
    let uri = parts
        .extensions
        .get::<OriginalUri>()
        .map_or(&parts.uri, |original| &original.0);
    uri.path_and_query()
        .map_or_else(ReturnTo::home, |path| settings.return_to(path.as_str()))
}
