//! `GET {prefix}/login?return_to=`: redirects the browser to KYCPort.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::parameters;
use crate::{
    observe::{self, Purpose, Route},
    oidc::LoginRequest,
    web::{
        context::RequestContext,
        pages::problem::Problem,
        pending::{PendingLogin, StepUp},
        request::{audience::Audience, redirect::see_other, return_to::ReturnTo},
        settings::Settings,
    },
};

pub(in crate::web) async fn login(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let settings = context.settings();
    let query = uri.query().unwrap_or_default();
    let wanted = Wanted {
        request: parameters::login_request(query, &headers),
        return_to: return_to(query, settings),
        step_up: None,
    };
    observe::serve(Route::Login, context.reference(), async {
        match start_or_return(&context, &headers, wanted).await {
            Ok((location, outcome)) => (see_other(&location), outcome),
            Err(problem) => {
                let audience = Audience::of(&method, &headers);
                (problem.answer(audience, &context), problem.code())
            }
        }
    })
    .await
}

/// Parameters of a login.
pub(super) struct Wanted {
    pub(super) request: LoginRequest,
    pub(super) return_to: ReturnTo,
    pub(super) step_up: Option<StepUp>,
}

/// Starts a login. If another site sent a signed-in person here, redirects to `return_to` instead.
/// Without this redirect, the other site could replace this session by a session of another person
/// who is signed in at KYCPort.
async fn start_or_return(
    context: &RequestContext,
    headers: &HeaderMap,
    wanted: Wanted,
) -> Result<(String, &'static str), Problem> {
    if parameters::is_from_elsewhere(headers)
        && is_navigation(headers)
        && context.session().await?.is_some()
    {
        return Ok((wanted.return_to.as_str().to_owned(), "signed_in_already"));
    }
    Ok((start(context, headers, wanted).await?, "sent"))
}

/// Starts a login, and returns the URL to redirect the browser to. Reads only the key that seals
/// logins from the store.
pub(super) async fn start(
    context: &RequestContext,
    headers: &HeaderMap,
    wanted: Wanted,
) -> Result<String, Problem> {
    if !can_start(headers) {
        return Err(Problem::Prefetch);
    }
    let purpose = wanted
        .step_up
        .as_ref()
        .map_or(Purpose::SignIn, |_| Purpose::StepUp);
    let login = PendingLogin::start(context.now(), &wanted.return_to, wanted.step_up);
    let lifetime = login.lifetime(context.settings());
    let url = context
        .oidc()
        .authorization_url(&wanted.request, &login.transaction(lifetime))
        .await
        .map_err(|_| Problem::IssuerUnavailable { retry_after: None })?;
    let started = context
        .login_cookies()
        .start(&login, lifetime, headers)
        .await?;
    for name in &started.evicted {
        context.delete_cookie(name);
    }
    context.set_cookie(&started.name, &started.value, Some(started.max_age));
    observe::login_started(purpose);
    Ok(url.into())
}

/// Reads the parameter `return_to`. Ignores the parameter if it occurs twice.
pub(super) fn return_to(query: &str, settings: &Settings) -> ReturnTo {
    parameters::only(query, "return_to")
        .map_or_else(ReturnTo::home, |text| settings.return_to(&text))
}

/// Returns whether the request can start a login.
pub(super) fn can_start(headers: &HeaderMap) -> bool {
    !is_prefetch(headers) && is_navigation(headers)
}

/// Returns whether the browser prefetches the page. A prefetch must not use up pending logins.
fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose"].iter().any(|name| {
        headers
            .get(*name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .is_some_and(|purpose| purpose.contains("prefetch") || purpose.contains("prerender"))
    })
}

/// Returns whether the request is a navigation, which can show KYCPort's page. An image or a frame
/// on another site is not a navigation, and must not evict the logins of this browser. Programs and
/// old browsers do not send `Sec-Fetch` headers.
///
/// A service worker that repeats a navigation with changes sends an empty destination and the mode
/// `same-origin`. No other site can send the mode `same-origin`. The service worker passes the
/// redirect to the browser, and the browser follows the redirect.
fn is_navigation(headers: &HeaderMap) -> bool {
    let value = |name| headers.get(name).map(HeaderValue::as_bytes);
    match value("sec-fetch-dest") {
        None | Some(b"document") => true,
        Some(b"empty") => {
            value("sec-fetch-mode") == Some(b"same-origin")
                && Audience::of(&Method::GET, headers) == Audience::Page
        }
        Some(_) => false,
    }
}
