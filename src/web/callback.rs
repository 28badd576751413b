//! `GET` of the redirect URI: the browser is back from KYCPort.

use axum::response::Response;
use http::{HeaderMap, Method, Uri};

use super::{
    context::RequestContext,
    pending::Take,
    problem::{Audience, Problem},
    redirect::see_other,
    return_to::ReturnTo,
    sessions::Use,
    settings::Settings,
};
use crate::oidc::{CallbackParams, ExchangeError, SignInError, printable};

pub(super) async fn callback(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let settings = context.settings();
    match finish(&context, uri.query().unwrap_or_default(), settings).await {
        // Somewhere else, so that neither code nor state stays in the history.
        Ok(return_to) => see_other(return_to.as_str()),
        Err(problem) => problem.answer(Audience::of(&method, &headers), settings),
    }
}

async fn finish(
    context: &RequestContext,
    query: &str,
    settings: &Settings,
) -> Result<ReturnTo, Problem> {
    let params = CallbackParams::parse(query).map_err(|error| {
        tracing::info!(%error, "a callback was malformed");
        Problem::MalformedCallback
    })?;
    let take = context
        .pending()
        .take(params.state(), context.browser_key())
        .await
        .map_err(|_| Problem::StoreUnavailable)?;
    let login = match take {
        Take::Taken(login) => login,
        Take::AlreadyTaken(return_to) => return already_taken(context, return_to).await,
        Take::Expired => return Err(Problem::ExpiredLogin),
        Take::OtherBrowser => return Err(Problem::OtherBrowser),
        Take::Unknown => return Err(Problem::UnknownLogin),
    };
    let sign_in = context
        .oidc()
        .finish(login.transaction, params)
        .await
        .map_err(problem)?;
    // Whoever planted or copied the old key has nothing from here on.
    if let Some(old) = context.session_key() {
        context
            .sessions()
            .end(old)
            .await
            .map_err(|_| Problem::StoreUnavailable)?;
    }
    let key = context
        .sessions()
        .begin(sign_in)
        .await
        .map_err(|_| Problem::StoreUnavailable)?;
    context.set_session_cookie(&key);
    tracing::info!("a person signed in");
    Ok(settings.return_to(login.return_to.as_str()))
}

/// A reload, the back button, a double click: nothing is done twice. Who is signed in goes on.
async fn already_taken(context: &RequestContext, return_to: ReturnTo) -> Result<ReturnTo, Problem> {
    match context.session(Use::DoesNotCount).await {
        Ok(Some(_)) => Ok(return_to),
        Ok(None) => Err(Problem::FinishedLogin),
        Err(_) => Err(Problem::StoreUnavailable),
    }
}

/// What the person is told. The log gets the kind of the error and no more.
fn problem(error: SignInError) -> Problem {
    tracing::warn!(%error, "a login did not end in a sign-in");
    match error {
        SignInError::Expired => Problem::ExpiredLogin,
        SignInError::State => Problem::UnknownLogin,
        SignInError::Refused(refused) => match refused.code.as_str() {
            "access_denied" => Problem::Declined,
            "temporarily_unavailable" => Problem::IssuerUnavailable { retry_after: None },
            other => {
                tracing::warn!(code = printable(other), "KYCPort refused a login");
                Problem::IssuerRefused
            }
        },
        SignInError::Provider(_) | SignInError::Exchange(ExchangeError::Transport(_)) => {
            Problem::IssuerUnavailable { retry_after: None }
        }
        SignInError::Exchange(ExchangeError::Unavailable { retry_after, .. }) => {
            Problem::IssuerUnavailable { retry_after }
        }
        SignInError::Exchange(ExchangeError::Refused { .. }) => Problem::IssuerRefused,
        SignInError::Issuer
        | SignInError::Exchange(ExchangeError::InvalidAnswer)
        | SignInError::NoIdToken
        | SignInError::IdToken(_)
        | SignInError::AccessToken(_)
        | SignInError::SubjectMismatch => Problem::IssuerNotBelieved,
    }
}
