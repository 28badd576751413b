//! `GET {prefix}/login?return_to=`: sends the browser to KYCPort.

use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use url::form_urlencoded;

use super::{
    context::RequestContext,
    pending::{PendingLogin, REMEMBERED, StepUp},
    problem::{Audience, Problem},
    random,
    redirect::see_other,
    return_to::ReturnTo,
    settings::Settings,
};
use crate::{
    observe::{self, Purpose, Route},
    oidc::LoginRequest,
};

pub(super) async fn login(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let settings = context.settings();
    let wanted = Wanted {
        request: LoginRequest::new(),
        return_to: return_to(uri.query().unwrap_or_default(), settings),
        step_up: None,
    };
    observe::serve(Route::Login, context.reference(), async {
        match begin(&context, &headers, wanted).await {
            Ok(location) => (see_other(&location), "sent"),
            Err(problem) => {
                let audience = Audience::of(&method, &headers);
                (problem.answer(audience, &context), problem.code())
            }
        }
    })
    .await
}

/// What a login is for.
pub(super) struct Wanted {
    pub(super) request: LoginRequest,
    pub(super) return_to: ReturnTo,
    pub(super) step_up: Option<StepUp>,
}

impl Wanted {
    fn purpose(&self) -> Purpose {
        self.step_up
            .as_ref()
            .map_or(Purpose::SignIn, |_| Purpose::StepUp)
    }
}

/// Begins a login, and says where to send the browser.
pub(super) async fn begin(
    context: &RequestContext,
    headers: &HeaderMap,
    wanted: Wanted,
) -> Result<String, Problem> {
    if is_prefetch(headers) {
        return Err(Problem::Prefetch);
    }
    let (url, transaction) = context
        .oidc()
        .begin(&wanted.request)
        .await
        .map_err(|_| Problem::IssuerUnavailable { retry_after: None })?;
    let purpose = wanted.purpose();
    let browser = context.browser_key().cloned().unwrap_or_else(random::token);
    let login = PendingLogin {
        transaction,
        return_to: wanted.return_to,
        step_up: wanted.step_up,
        browser: browser.clone(),
    };
    context.pending().add(login).await?;
    // As long as the login is remembered: without the cookie, "too late" and "already done" would
    // both look like another browser's login.
    let lifetime = context
        .settings()
        .transaction_lifetime
        .saturating_add(REMEMBERED);
    context.set_browser_cookie(&browser, lifetime);
    observe::login_begun(purpose);
    Ok(url.into())
}

/// The one parameter that a link may set. Twice is no answer, so neither counts.
pub(super) fn return_to(query: &str, settings: &Settings) -> ReturnTo {
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
