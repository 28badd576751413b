//! Completion of a login whose authorization response is valid: the code exchange and the session.

use axum::response::Response;
use std::time::Duration;

use tokio::sync::oneshot;

use super::lock::{LockOutcome, LoginLock};
use crate::{
    http::TransportError,
    kyc::{Requirement, RequirementError},
    observe::{self, Cause, Purpose},
    oidc::{
        Authenticated, AuthorizationCode, ExchangeError, LoginError, PendingAuthorization,
        printable,
    },
    store::{RevocationMark, Settlement, StoreError},
    web::{
        context::RequestContext,
        evaluation::evaluate::Freshness,
        pages::{problem::Problem, problem_response::Links},
        pending::{PendingLogin, StepUp},
        request::{audience::Audience, return_to::ReturnTo},
        session::{Created, LiveSession, NewSession, Renewed, SessionKey},
        settings::Settings,
    },
    wire::kyc::KycTier,
};

/// Failed login: the problem, the URL to start the step-up again, and the page that the person
/// requested.
pub(super) struct FailedLogin {
    pub(super) problem: Problem,
    pub(super) step_up: Option<String>,
    pub(super) page: Option<String>,
}

impl FailedLogin {
    /// Returns the failure of a step-up. The page links to the step-up and to the requested page.
    pub(super) fn of_step_up(
        problem: Problem,
        settings: &Settings,
        step_up: &StepUp,
        return_to: &ReturnTo,
    ) -> Self {
        Self {
            problem,
            step_up: Some(settings.step_up_path(&step_up.tier, step_up.max_age, return_to)),
            page: Some(return_to.as_str().to_owned()),
        }
    }

    /// Builds the response, and returns it with the code of the problem. The link on a page starts
    /// a further step-up even if the last step-ups did not help, because a person clicks it.
    pub(super) fn answer(
        &self,
        audience: Audience,
        context: &RequestContext,
    ) -> (Response, &'static str) {
        let step_up = self.step_up.as_deref().map(|path| match audience {
            Audience::Page => format!("{path}&again=1"),
            Audience::Fetch => path.to_owned(),
        });
        let links = Links {
            step_up: step_up.as_deref(),
            page: self.page.as_deref(),
        };
        let answer = self.problem.answer_with(audience, context, links);
        (answer, self.problem.code())
    }
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
pub(super) type Finished = Result<(ReturnTo, &'static str), FailedLogin>;

/// Login whose authorization response is valid and that has no session yet.
pub(super) struct Completion {
    pub(super) context: RequestContext,
    /// Name of the login's cookie.
    pub(super) cookie: String,
    pub(super) login: PendingLogin,
    pub(super) transaction: PendingAuthorization,
    pub(super) code: AuthorizationCode,
    pub(super) lock: LoginLock,
}

impl Completion {
    /// Acquires the lock on the login, exchanges the code and creates the session. If the browser
    /// disconnects before the task sends the code, the task releases the lock. A reload can then
    /// complete the login.
    pub(super) async fn run(self, answer: oneshot::Sender<Finished>) {
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
        // Read the session before the exchange, so that the callback notices if the session ends
        // during the exchange. A later call returns the same session.
        if let Err(error) = context.session().await {
            lock.settle(&context, Settlement::Release).await;
            let _ = answer.send(Err(error.into()));
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

/// Creates or renews the session of a person whose tokens are verified.
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
    let now = context.session().await?;
    if let Some(step_up) = &login.step_up {
        same_person(context, step_up, now.as_ref(), &person.1)?;
    }
    let tier = login.step_up.as_ref().map(|step_up| &step_up.tier);
    let live = match (tier, now, context.session_key()) {
        (Some(tier), Some(live), Some(key)) if context.now() < live.session.expires_at => {
            renew(context, &live, key, sign_in, mark, tier).await?
        }
        (_, now, _) => create(context, now.as_ref(), sign_in, mark, tier).await?,
    };
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
            .map_err(|problem| {
                FailedLogin::of_step_up(problem, settings, step_up, &login.return_to)
            })?;
    }
    Ok((settings.return_to(login.return_to.as_str()), "signed_in"))
}

/// Creates a session, and ends the browser's previous session.
async fn create(
    context: &RequestContext,
    replaces: Option<&LiveSession>,
    sign_in: Authenticated,
    mark: RevocationMark,
    step_up: Option<&KycTier>,
) -> Result<Box<LiveSession>, Problem> {
    let sessions = context.sessions();
    if replaces.is_none()
        && let Some(key) = context.session_key()
    {
        sessions.end_unusable(key, Cause::Replaced).await?;
    }
    let new = NewSession {
        sign_in,
        mark,
        replaces,
        step_up,
    };
    match sessions.create(new).await? {
        Created::Session(key, live) => {
            context.set_session_cookie(&key.to_cookie());
            Ok(live)
        }
        Created::Revoked => Err(Problem::RevokedLogin),
    }
}

/// Renews the session after a step-up. The session keeps its ID and its end.
async fn renew(
    context: &RequestContext,
    live: &LiveSession,
    key: &SessionKey,
    sign_in: Authenticated,
    mark: RevocationMark,
    tier: &KycTier,
) -> Result<Box<LiveSession>, Problem> {
    let sessions = context.sessions();
    match sessions.renew(live, key, sign_in, mark, tier).await? {
        Renewed::Rotated(key, live) => {
            context.set_session_cookie(&key.to_cookie());
            Ok(live)
        }
        Renewed::Updated(live) => Ok(live),
        Renewed::Revoked => Err(Problem::RevokedLogin),
    }
}

/// Checks that the step-up was completed by the person who started it, and that this person is
/// still signed in.
fn same_person(
    context: &RequestContext,
    step_up: &StepUp,
    now: Option<&LiveSession>,
    subject: &str,
) -> Result<(), Problem> {
    let owner = context.state().namespace().owner_of(subject);
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
    if let Some(seconds) = step_up.max_age {
        let age = Duration::from_secs(seconds.into());
        let skew = context.settings().skew;
        // KYCPort may ignore `max_age` and `prompt=login`, so only `auth_time` counts.
        if !live
            .session
            .is_authenticated_within(age, skew, context.now())
        {
            return Err(Problem::AuthenticationTooOld);
        }
    }
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

/// Handles a callback whose login another request has already used. Redirects the person if the
/// browser has an active session.
async fn repeated(context: &RequestContext, return_to: ReturnTo) -> Finished {
    match context.session().await? {
        Some(_) => Ok((return_to, "repeated")),
        None => Err(Problem::FinishedLogin.into()),
    }
}

/// Logs the error of a failed login, and returns the problem to show.
pub(super) fn problem(error: LoginError, context: &RequestContext) -> Problem {
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
