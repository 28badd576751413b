//! `GET` of the redirect URI: the authorization response from KYCPort.

use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::lock::{LockOutcome, LoginLock};
use crate::{
    http::TransportError,
    kyc::{Requirement, RequirementError},
    observe::{self, Purpose, Route},
    oidc::{
        Authenticated, AuthorizationCode, CallbackParams, ExchangeError, LoginError,
        PendingAuthorization, printable,
    },
    store::{RevocationMark, Settlement, StoreError},
    web::{
        context::RequestContext,
        evaluation::evaluate::Freshness,
        pages::{problem::Problem, problem_response::Links},
        pending::{PendingLogin, StepUp},
        request::{audience::Audience, redirect::see_other, return_to::ReturnTo},
        session::{Created, LiveSession, NewSession},
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
            Ok((return_to, outcome)) => (see_other(return_to.as_str()), outcome),
            Err(FailedLogin {
                problem,
                step_up,
                page,
            }) => {
                let links = Links {
                    step_up: step_up.as_deref(),
                    page: page.as_deref(),
                };
                let answer = problem.answer_with(audience, &context, links);
                (answer, problem.code())
            }
        }
    })
    .await
}

/// Failed login: the problem, the URL to start the step-up again, and the page that the person
/// requested.
struct FailedLogin {
    problem: Problem,
    step_up: Option<String>,
    page: Option<String>,
}

impl From<StoreError> for FailedLogin {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl From<Problem> for FailedLogin {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            step_up: None,
            page: None,
        }
    }
}

/// Redirect path and outcome code of a completed callback, or its failure.
type Finished = Result<(ReturnTo, &'static str), FailedLogin>;

/// Validates the response against the login in the browser's cookie. Accesses the store only if the
/// response contains a code for this login.
async fn finish(context: &RequestContext, query: &str, headers: HeaderMap) -> Finished {
    let params = CallbackParams::parse(query).map_err(|error| {
        observe::callback_malformed(&error, context.reference());
        Problem::MalformedCallback
    })?;
    let opened = context
        .login_cookies()
        .open(&headers, params.state())
        .await?;
    let Some((cookie, login)) = opened else {
        return without_login(context).await;
    };
    let lifetime = context.settings().transaction_lifetime;
    let transaction = login.transaction(lifetime);
    let lock = LoginLock::new(context, params.state());
    let code = match context.oidc().accept(&transaction, params).await {
        Ok(code) => code,
        Err(error) => {
            // The cookie stays while KYCPort's metadata is unavailable. A reload can then complete
            // the login.
            if !matches!(error, LoginError::Provider(_)) {
                context.delete_cookie(&cookie);
            }
            return Err(problem(error, context).into());
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
}

/// Login whose authorization response is valid and that has no session yet.
struct Completion {
    context: RequestContext,
    /// Name of the login's cookie.
    cookie: String,
    login: PendingLogin,
    transaction: PendingAuthorization,
    code: AuthorizationCode,
    lock: LoginLock,
}

impl Completion {
    /// Acquires the lock on the login, exchanges the code and creates the session. If the browser
    /// disconnects before the task sends the code, the task releases the lock. A reload can then
    /// complete the login.
    async fn run(self, answer: oneshot::Sender<Finished>) {
        let Self {
            context,
            cookie,
            login,
            transaction,
            code,
            lock,
        } = self;
        let mark = match lock.acquire(&context, || !answer.is_closed()).await {
            Ok(LockOutcome::Acquired(mark)) => mark,
            // A service worker or a proxy may send the request twice, and the browser may show the
            // second response. The first response contains the session cookie.
            Ok(LockOutcome::SignedIn) => {
                let _ = answer.send(Ok((login.return_to, "repeated")));
                return;
            }
            Ok(LockOutcome::Used) => {
                let _ = answer.send(repeated(&context, login.return_to).await);
                return;
            }
            Err(error) => {
                let _ = answer.send(Err(error.into()));
                // The store may have granted the lock although its response was lost.
                lock.settle(&context, Settlement::Release).await;
                return;
            }
        };
        if answer.is_closed() {
            lock.settle(&context, Settlement::Release).await;
            return;
        }
        let Some(_turn) = context.exchange_turn() else {
            lock.settle(&context, Settlement::Release).await;
            let _ = answer.send(Err(Problem::TooManyLogins.into()));
            return;
        };
        let (finished, settlement) = match context.oidc().redeem(transaction, code).await {
            Ok(sign_in) => {
                context.delete_cookie(&cookie);
                let established = establish(&context, login, sign_in, mark).await;
                let is_signed_in = established.is_ok();
                (established, lock.done(is_signed_in))
            }
            Err(error) => {
                let settlement = if was_not_sent(&error) {
                    Settlement::Release
                } else {
                    context.delete_cookie(&cookie);
                    match &error {
                        LoginError::Exchange(error) if error.is_rejection() => lock.rejected(),
                        _ => lock.done(false),
                    }
                };
                (Err(problem(error, &context).into()), settlement)
            }
        };
        lock.settle(&context, settlement).await;
        let _ = answer.send(finished);
    }
}

/// Returns `true` if the code did not reach KYCPort. A reload can then still use the code.
fn was_not_sent(error: &LoginError) -> bool {
    matches!(
        error,
        LoginError::Exchange(ExchangeError::Transport(
            TransportError::Connect | TransportError::Tls
        ))
    )
}

/// Creates the session of a person whose tokens are verified.
async fn establish(
    context: &RequestContext,
    login: PendingLogin,
    sign_in: Authenticated,
    mark: RevocationMark,
) -> Finished {
    let settings = context.settings();
    let person = (
        sign_in.claims.issuer.clone(),
        sign_in.claims.subject.clone(),
    );
    if let Some(step_up) = &login.step_up {
        same_person(context, step_up, &person.1).await?;
    }
    let new = NewSession {
        sign_in,
        mark,
        replaces: context.session_key(),
    };
    let (key, live) = match context.sessions().create(new).await? {
        Created::Session(key, live) => (key, live),
        Created::Revoked => return Err(Problem::RevokedLogin.into()),
    };
    context.set_session_cookie(&key.to_cookie());
    let purpose = login
        .step_up
        .as_ref()
        .map_or(Purpose::SignIn, |_| Purpose::StepUp);
    let id = live.id.to_string();
    observe::signed_in(
        purpose,
        settings.log_key.person(&person.0, &person.1),
        settings.log_key.session(&id),
    );
    if let Some(step_up) = &login.step_up {
        evaluate_step_up(context, &live, step_up)
            .await
            .map_err(|problem| FailedLogin {
                problem,
                step_up: Some(settings.step_up_path(&step_up.tier, &login.return_to)),
                page: Some(login.return_to.as_str().to_owned()),
            })?;
    }
    Ok((settings.return_to(login.return_to.as_str()), "signed_in"))
}

/// Checks that the step-up was completed by the person who started it, and that this person is
/// still signed in.
async fn same_person(
    context: &RequestContext,
    step_up: &StepUp,
    subject: &str,
) -> Result<(), Problem> {
    let owner = context.state().namespace().owner_of(subject);
    let now = context.session().await?;
    let is_who_left = owner.id == step_up.owner_id;
    let is_who_is_here = now.is_none_or(|live| live.owner == owner);
    if is_who_left && is_who_is_here {
        Ok(())
    } else {
        Err(Problem::SubjectMismatch)
    }
}

/// Evaluates the result of a step-up. If the person still does not meet the requirement, the
/// response is an error page. A redirect to `return_to` would send the person to KYCPort again. A
/// pending verification is not an error here, because the page at `return_to` shows this state.
async fn evaluate_step_up(
    context: &RequestContext,
    live: &LiveSession,
    step_up: &StepUp,
) -> Result<(), Problem> {
    let requirement = Requirement::tier(step_up.tier.clone());
    let evaluated = context
        .evaluator()
        .evaluate(live, &requirement, Freshness::AfterSignIn)
        .await;
    match evaluated {
        Ok(_) => Ok(()),
        Err(denial) if denial.reason == RequirementError::Pending => Ok(()),
        Err(denial) => Err(Problem::of_requirement(&denial.reason, denial.retry_after)),
    }
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

/// Handles a callback whose login another request has already used. Redirects the person if the
/// browser has an active session.
async fn repeated(context: &RequestContext, return_to: ReturnTo) -> Finished {
    match context.session().await? {
        Some(_) => Ok((return_to, "repeated")),
        None => Err(Problem::FinishedLogin.into()),
    }
}

/// Maps a failed login to the problem to show. Only the kind of the error is logged.
fn problem(error: LoginError, context: &RequestContext) -> Problem {
    let kycport_code = match &error {
        LoginError::Rejected(refused) => Some(printable(&refused.code)),
        LoginError::Exchange(ExchangeError::Rejected { code, .. }) => Some(printable(code)),
        _ => None,
    };
    observe::login_failed(&error, kycport_code.as_deref(), context.reference());
    match error {
        LoginError::Expired => Problem::ExpiredLogin,
        LoginError::State => Problem::UnknownLogin,
        LoginError::Rejected(refused) => match refused.code.as_str() {
            "access_denied" => Problem::Declined,
            "temporarily_unavailable" => Problem::IssuerUnavailable { retry_after: None },
            // K14
            "redirect_uri_mismatch" | "invalid_redirect_uri" => Problem::RedirectUriMismatch,
            _ => Problem::IssuerRejected,
        },
        LoginError::Provider(_) | LoginError::Exchange(ExchangeError::Transport(_)) => {
            Problem::IssuerUnavailable { retry_after: None }
        }
        LoginError::Exchange(ExchangeError::Unavailable { retry_after, .. }) => {
            Problem::IssuerUnavailable { retry_after }
        }
        LoginError::Exchange(ExchangeError::Rejected { .. }) => Problem::IssuerRejected,
        LoginError::Exchange(ExchangeError::Forbidden) => Problem::TenantRejected,
        LoginError::Issuer
        | LoginError::Exchange(ExchangeError::InvalidResponse)
        | LoginError::NoIdToken
        | LoginError::IdToken(_)
        | LoginError::AccessToken(_)
        | LoginError::SubjectMismatch => Problem::InvalidIssuerResponse,
    }
}
