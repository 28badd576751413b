//! `GET` of the redirect URI: the browser is back from KYCPort.

use axum::response::Response;
use http::{HeaderMap, Method, Uri};

use super::{
    assess::Freshness,
    context::RequestContext,
    pending::{StepUp, Take},
    problem::{Audience, Problem},
    records::StoreUnavailable,
    redirect::see_other,
    return_to::ReturnTo,
    session_id::SessionId,
    sessions::LiveSession,
    settings::Settings,
};
use crate::{
    kyc::{Requirement, Shortfall},
    observe::{self, Cause, Purpose, Route},
    oidc::{CallbackParams, ExchangeError, SignInError, printable},
};

pub(super) async fn callback(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let settings = context.settings();
    observe::serve(Route::Callback, context.reference(), async {
        match finish(&context, uri.query().unwrap_or_default(), settings).await {
            // Somewhere else, so that neither code nor state stays in the history.
            Ok((return_to, outcome)) => (see_other(return_to.as_str()), outcome),
            Err(Refusal { problem, step_up }) => {
                let audience = Audience::of(&method, &headers);
                let answer = problem.answer_with(audience, &context, step_up.as_deref());
                (answer, problem.code())
            }
        }
    })
    .await
}

/// Why there is no way on, and where a further attempt at a step-up would begin.
struct Refusal {
    problem: Problem,
    step_up: Option<String>,
}

impl From<StoreUnavailable> for Refusal {
    fn from(error: StoreUnavailable) -> Self {
        Problem::from(error).into()
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            step_up: None,
        }
    }
}

/// Where the browser goes on, and a code for how it came to that.
async fn finish(
    context: &RequestContext,
    query: &str,
    settings: &Settings,
) -> Result<(ReturnTo, &'static str), Refusal> {
    let params = CallbackParams::parse(query).map_err(|error| {
        observe::callback_malformed(&error, context.reference());
        Problem::MalformedCallback
    })?;
    let take = context
        .pending()
        .take(params.state(), context.browser_key())
        .await?;
    let login = match take {
        Take::Taken(login) => login,
        Take::AlreadyTaken(return_to) => {
            return Ok((already_taken(context, return_to).await?, "repeated"));
        }
        Take::Expired => return Err(Problem::ExpiredLogin.into()),
        Take::OtherBrowser => return Err(Problem::OtherBrowser.into()),
        Take::Unknown => return Err(Problem::UnknownLogin.into()),
    };
    let sign_in = context
        .oidc()
        .finish(login.transaction, params)
        .await
        .map_err(|error| problem(error, context))?;
    let epoch = context.sessions().epoch_of(&sign_in).await?;
    let person = (
        sign_in.claims.issuer.clone(),
        sign_in.claims.subject.clone(),
    );
    if let Some(step_up) = &login.step_up {
        same_person(context, step_up, &person).await?;
    }
    // Whoever planted or copied the old key has nothing from here on.
    if let Some(old) = context.session_key() {
        context
            .sessions()
            .end(&SessionId::of(old), Cause::Replaced)
            .await?;
    }
    let (key, live) = context.sessions().begin(sign_in, epoch).await?;
    context.assessor().note_sign_in(&live.session).await;
    context.set_session_cookie(&key);
    let purpose = login
        .step_up
        .as_ref()
        .map_or(Purpose::SignIn, |_| Purpose::StepUp);
    observe::signed_in(
        purpose,
        settings.log_key.person(&person.0, &person.1),
        settings.log_key.session(live.id.as_str()),
    );
    if let Some(step_up) = &login.step_up {
        judge_step_up(context, &live, step_up)
            .await
            .map_err(|problem| Refusal {
                problem,
                step_up: Some(settings.step_up_path(&step_up.tier, &login.return_to)),
            })?;
    }
    Ok((settings.return_to(login.return_to.as_str()), "signed_in"))
}

/// A step-up is for who was signed in: it does not put somebody else in their place, nor in the
/// place of whoever has signed in meanwhile.
async fn same_person(
    context: &RequestContext,
    step_up: &StepUp,
    (issuer, subject): &(String, String),
) -> Result<(), Problem> {
    let now = context.session().await?;
    let is_who_left = *issuer == step_up.issuer && *subject == step_up.subject;
    let is_who_is_here =
        now.is_none_or(|live| live.session.issuer == *issuer && live.session.subject == *subject);
    if is_who_left && is_who_is_here {
        Ok(())
    } else {
        Err(Problem::OtherPerson)
    }
}

/// One attempt: whoever still falls short is told what is missing, here, instead of being sent
/// round again by the page they go back to. What is pending waits there.
async fn judge_step_up(
    context: &RequestContext,
    live: &LiveSession,
    step_up: &StepUp,
) -> Result<(), Problem> {
    let requirement = Requirement::tier(step_up.tier.clone());
    let judged = context
        .assessor()
        .assess(live, &requirement, Freshness::Cached)
        .await;
    match judged {
        Ok(_) => Ok(()),
        Err(lack) if lack.shortfall == Shortfall::Pending => Ok(()),
        Err(lack) => Err(Problem::of_shortfall(&lack.shortfall, lack.retry_after)),
    }
}

/// A reload, the back button, a double click: nothing is done twice. Who is signed in goes on.
async fn already_taken(context: &RequestContext, return_to: ReturnTo) -> Result<ReturnTo, Problem> {
    match context.session().await? {
        Some(_) => Ok(return_to),
        None => Err(Problem::FinishedLogin),
    }
}

/// What the person is told. The log gets the kind of the error and no more.
fn problem(error: SignInError, context: &RequestContext) -> Problem {
    let kycport_code = match &error {
        SignInError::Refused(refused) => Some(printable(&refused.code)),
        SignInError::Exchange(ExchangeError::Refused { code, .. }) => Some(printable(code)),
        _ => None,
    };
    observe::login_failed(&error, kycport_code.as_deref(), context.reference());
    match error {
        SignInError::Expired => Problem::ExpiredLogin,
        SignInError::State => Problem::UnknownLogin,
        SignInError::Refused(refused) => match refused.code.as_str() {
            "access_denied" => Problem::Declined,
            "temporarily_unavailable" => Problem::IssuerUnavailable { retry_after: None },
            _ => Problem::IssuerRefused,
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
