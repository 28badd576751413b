//! `GET` of the redirect URI: the browser comes back from KYCPort.

use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use tracing::Instrument as _;

use crate::{
    http::TransportError,
    kyc::{Requirement, Shortfall},
    observe::{self, Purpose, Route},
    oidc::{CallbackParams, ExchangeError, SignIn, SignInError, printable},
    store::{Acquired, LeaseFamily, LeaseKey, LeaseToken, Mark, Settlement, StoreError},
    web::{
        assess::Freshness,
        context::RequestContext,
        pending::{PendingLogin, StepUp},
        problem::{Audience, Problem},
        redirect::see_other,
        return_to::ReturnTo,
        session::{Created, LiveSession, NewSession},
    },
};

/// Time between two looks at the claim of another callback for the same login.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum number of looks: a repeated callback waits for five seconds.
const POLLS: u32 = 25;

pub(in crate::web) async fn callback(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    observe::serve(Route::Callback, context.reference(), async {
        let audience = Audience::of(&method, &headers);
        match finish(&context, uri.query().unwrap_or_default(), headers).await {
            // A redirect, so that neither code nor state stays in the browser's history.
            Ok((return_to, outcome)) => (see_other(return_to.as_str()), outcome),
            Err(Refusal { problem, step_up }) => {
                let answer = problem.answer_with(audience, &context, step_up.as_deref());
                (answer, problem.code())
            }
        }
    })
    .await
}

/// Reason why a login does not go on, and where a further attempt at a step-up would start.
struct Refusal {
    problem: Problem,
    step_up: Option<String>,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
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

/// Where the browser goes on, and a code for the outcome.
type Finished = Result<(ReturnTo, &'static str), Refusal>;

/// Validates the response against the login in the browser's cookie. Only a response that carries a
/// code for this login reaches the store.
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
    let state = params.state().clone();
    let code = match context.oidc().accept(&transaction, params).await {
        Ok(code) => code,
        Err(error) => {
            // While KYCPort's metadata cannot be read, the login may still be completed.
            if !matches!(error, SignInError::Provider(_)) {
                context.delete_cookie(&cookie);
            }
            return Err(problem(error, context).into());
        }
    };
    let claim = Claim::new(context, &state);
    let Some(mark) = claim.take(context).await? else {
        return repeated(context, login.return_to).await;
    };
    let Some(turn) = context.exchange_turn() else {
        claim.settle(context, Settlement::Release).await;
        return Err(Problem::TooManyLogins.into());
    };
    // The code is exchanged in a task of its own: a browser that repeats the request drops the
    // first one, and its code is spent then.
    let own = context.clone();
    let finishing = async move {
        let _turn = turn;
        let redeemed = own.oidc().redeem(transaction, code).await;
        let (finished, settlement) = match redeemed {
            Ok(sign_in) => {
                own.delete_cookie(&cookie);
                (establish(&own, login, sign_in, mark).await, claim.done())
            }
            Err(error) => {
                let settlement = if was_not_sent(&error) {
                    Settlement::Release
                } else {
                    own.delete_cookie(&cookie);
                    claim.done()
                };
                (Err(problem(error, &own).into()), settlement)
            }
        };
        claim.settle(&own, settlement).await;
        finished
    };
    tokio::spawn(finishing.in_current_span())
        .await
        .unwrap_or(Err(Problem::StoreUnavailable.into()))
}

/// Claim on a login: of several callbacks with the same `state` one completes it.
struct Claim {
    key: LeaseKey,
    token: LeaseToken,
    /// Fixed, and longer than the login can last by any clock.
    length: Duration,
}

impl Claim {
    fn new(context: &RequestContext, state: &crate::secret::Secret) -> Self {
        let settings = context.settings();
        let namespace = context.state().namespace().bytes();
        Self {
            key: LeaseKey::of(namespace, LeaseFamily::Login, &[state.expose().as_bytes()]),
            token: LeaseToken::random(),
            length: settings
                .transaction_lifetime
                .saturating_add(settings.skew.saturating_mul(2)),
        }
    }

    fn done(&self) -> Settlement {
        Settlement::Done {
            result: Bytes::new(),
            keep_for: self.length,
        }
    }

    /// Takes the claim. While another callback holds it, this one waits, if not too many do.
    async fn take(&self, context: &RequestContext) -> Result<Option<Mark>, StoreError> {
        match self.acquire(context).await? {
            Acquired::Granted { mark } => Ok(Some(mark)),
            Acquired::Done(_) => Ok(None),
            Acquired::Held(_) => match context.waiting_turn() {
                Some(_turn) => self.wait(context).await,
                None => Ok(None),
            },
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "no store tells when another callback has finished"
    )]
    async fn wait(&self, context: &RequestContext) -> Result<Option<Mark>, StoreError> {
        for _ in 0..POLLS {
            tokio::time::sleep(POLL_INTERVAL).await;
            match self.acquire(context).await? {
                Acquired::Granted { mark } => return Ok(Some(mark)),
                Acquired::Done(_) => return Ok(None),
                Acquired::Held(_) => {}
            }
        }
        Ok(None)
    }

    async fn acquire(&self, context: &RequestContext) -> Result<Acquired, StoreError> {
        let acquire = context.state().acquire(&self.key, self.token, self.length);
        acquire.await
    }

    /// A claim that cannot be settled ends by itself. Until then the login counts as used.
    async fn settle(&self, context: &RequestContext, settlement: Settlement) {
        let settle = context.state().settle(&self.key, self.token, settlement);
        let _ = settle.await;
    }
}

/// Whether the code certainly did not reach KYCPort, so that a reload can still use it.
fn was_not_sent(error: &SignInError) -> bool {
    matches!(
        error,
        SignInError::Exchange(ExchangeError::Transport(
            TransportError::Connect | TransportError::Tls
        ))
    )
}

/// Creates the session of a person whose tokens are verified.
async fn establish(
    context: &RequestContext,
    login: PendingLogin,
    sign_in: SignIn,
    mark: Mark,
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
        assess_step_up(context, &live, step_up)
            .await
            .map_err(|problem| Refusal {
                problem,
                step_up: Some(settings.step_up_path(&step_up.tier, &login.return_to)),
            })?;
    }
    Ok((settings.return_to(login.return_to.as_str()), "signed_in"))
}

/// Checks that a step-up came back with the person who left, and who is signed in now.
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
        Err(Problem::OtherPerson)
    }
}

/// Evaluates a step-up by what came back. A person who still falls short is told what is missing
/// here, instead of being sent round again by the page they return to. A pending verification waits
/// on that page.
async fn assess_step_up(
    context: &RequestContext,
    live: &LiveSession,
    step_up: &StepUp,
) -> Result<(), Problem> {
    let requirement = Requirement::tier(step_up.tier.clone());
    let assessed = context
        .assessor()
        .assess(live, &requirement, Freshness::Cached)
        .await;
    match assessed {
        Ok(_) => Ok(()),
        Err(lack) if lack.shortfall == Shortfall::Pending => Ok(()),
        Err(lack) => Err(Problem::of_shortfall(&lack.shortfall, lack.retry_after)),
    }
}

/// Answers a callback for a login that this browser has no cookie for: it was completed, it has
/// expired, or it was started in another browser. The store is read only if somebody may be signed
/// in.
async fn without_login(context: &RequestContext) -> Finished {
    match context.session().await? {
        Some(_) => Ok((ReturnTo::home(), "repeated")),
        None => Err(Problem::UnknownLogin.into()),
    }
}

/// Answers a callback whose login was completed by another request, such as a reload or a double
/// click. A person who is signed in goes on.
async fn repeated(context: &RequestContext, return_to: ReturnTo) -> Finished {
    match context.session().await? {
        Some(_) => Ok((return_to, "repeated")),
        None => Err(Problem::FinishedLogin.into()),
    }
}

/// Maps a failed login to what the person is told. The log gets the kind of the error and no more.
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
