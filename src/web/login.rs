//! `GET {prefix}/login?return_to=`: sends the browser to KYCPort.

use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use url::form_urlencoded;

use super::{
    context::RequestContext,
    pending::REMEMBERED,
    problem::{Audience, Problem},
    random,
    redirect::see_other,
    return_to::ReturnTo,
    settings::Settings,
};
use crate::oidc::LoginRequest;

pub(super) async fn login(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let audience = Audience::of(&method, &headers);
    let settings = context.settings();
    match begin(&context, &uri, &headers, settings).await {
        Ok(location) => see_other(&location),
        Err(problem) => problem.answer(audience, settings),
    }
}

async fn begin(
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
    settings: &Settings,
) -> Result<String, Problem> {
    if is_prefetch(headers) {
        return Err(Problem::Prefetch);
    }
    let return_to = return_to(uri.query().unwrap_or_default(), settings);
    let (url, transaction) = context
        .oidc()
        .begin(&LoginRequest::new())
        .await
        .map_err(|error| {
            tracing::warn!(%error, "a login could not begin");
            Problem::IssuerUnavailable { retry_after: None }
        })?;
    let browser = context.browser_key().cloned().unwrap_or_else(random::token);
    context
        .pending()
        .add(transaction, return_to, &browser)
        .await
        .map_err(|_| Problem::StoreUnavailable)?;
    // As long as the login is remembered: without the cookie, "too late" and "already done" would
    // both look like another browser's login.
    let lifetime = settings.transaction_lifetime.saturating_add(REMEMBERED);
    context.set_browser_cookie(&browser, lifetime);
    Ok(url.into())
}

/// The one parameter that a link may set. Twice is no answer, so neither counts.
fn return_to(query: &str, settings: &Settings) -> ReturnTo {
    let mut values = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "return_to")
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(only), None) => settings.return_to(&only),
        _ => ReturnTo::home(),
    }
}

/// A browser that guesses where the person goes next must not use up pending logins.
fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose"].iter().any(|name| {
        headers
            .get(*name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|purpose| purpose.contains("prefetch") || purpose.contains("prerender"))
    })
}
