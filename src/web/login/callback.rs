//! `GET` of the redirect URI: the authorization response from KYCPort.

use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::{
    completion::{Completion, FailedLogin, Finished, problem},
    lock::LoginLock,
    start, step_up,
};
use crate::{
    observe::{self, Route},
    oidc::{CallbackParams, LoginError},
    web::{
        context::RequestContext,
        pages::problem::Problem,
        request::{audience::Audience, redirect::see_other, return_to::ReturnTo},
    },
};

pub(in crate::web) async fn callback(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    observe::serve(Route::Callback, context.reference(), async {
        let audience = Audience::of(&method, &headers);
        match finish(&context, uri.query().unwrap_or_default(), headers).await {
            // Redirect the browser, because the browser's history must not contain the code and the
            // state.
            Ok((location, outcome)) => (see_other(&location), outcome),
            Err(failed) => failed.answer(audience, &context),
        }
    })
    .await
}

/// Maximum number of automatic restarts of a step-up.
const MAX_RESTARTS: u8 = 1;

/// Validates the response against the login in the browser's cookie. Accesses the store only if the
/// response contains a code for this login. Returns the URL to redirect to, and an outcome code.
async fn finish(
    context: &RequestContext,
    query: &str,
    headers: HeaderMap,
) -> Result<(String, &'static str), FailedLogin> {
    let params = CallbackParams::parse(query).map_err(|error| {
        observe::callback_malformed(&error, context.reference());
        Problem::MalformedCallback
    })?;
    let opened = context
        .login_cookies()
        .open(&headers, params.state())
        .await?;
    let Some((cookie, login)) = opened else {
        return without_login(context).await.map(to_page);
    };
    let lifetime = login.lifetime(context.settings());
    let transaction = login.transaction(lifetime);
    let lock = LoginLock::new(context, params.state(), lifetime);
    let has_code = params.has_code();
    let code = match context.oidc().accept(&transaction, params).await {
        Ok(code) => code,
        Err(error) => {
            // The cookie stays while KYCPort's metadata is unavailable. A reload can then complete
            // the login.
            if !matches!(error, LoginError::Provider(_)) {
                context.delete_cookie(&cookie);
            }
            return match login.step_up {
                Some(step_up) if matches!(error, LoginError::Expired) => {
                    let is_late = has_code && start::can_start(&headers);
                    if is_late && step_up.restarts < MAX_RESTARTS {
                        let restart =
                            step_up::restart(context, &headers, step_up, login.return_to).await?;
                        return Ok((restart, "restarted"));
                    }
                    let _ = problem(error, context);
                    Err(FailedLogin::of_step_up(
                        Problem::ExpiredStepUp,
                        context.settings(),
                        &step_up,
                        &login.return_to,
                    ))
                }
                _ => Err(problem(error, context).into()),
            };
        }
    };
    // A code that is not sent stays valid: a reload after the pause completes the login.
    if let Some(pause) = context.oidc().token_pause() {
        let retry_after = Some(pause);
        return Err(Problem::IssuerUnavailable { retry_after }.into());
    }
    // A separate task completes the login. If the browser repeats the request, it drops the first
    // request, which may have used the code.
    let (answer, answered) = oneshot::channel();
    let completion = Completion {
        context: context.clone(),
        cookie,
        login,
        transaction,
        code,
        lock,
    };
    tokio::spawn(completion.run(answer).in_current_span());
    answered
        .await
        .unwrap_or(Err(Problem::StoreUnavailable.into()))
        .map(to_page)
}

fn to_page((return_to, outcome): (ReturnTo, &'static str)) -> (String, &'static str) {
    (return_to.as_str().to_owned(), outcome)
}

/// Handles a callback for which this browser has no login cookie. The login was completed, has
/// expired, or was started in another browser. Reads the store only if the browser has a session
/// cookie.
async fn without_login(context: &RequestContext) -> Finished {
    match context.session().await? {
        Some(_) => Ok((ReturnTo::home(), "repeated")),
        None => Err(Problem::UnknownLogin.into()),
    }
}
