//! `GET {prefix}/step-up?tier=t2&return_to=`: redirects the signed-in person to KYCPort to reach a
//! higher tier. The callback evaluates the result.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, Method, Uri};

use super::{
    completion::FailedLogin,
    parameters,
    start::{self, Wanted},
};
use crate::{
    clock::Timestamp,
    kyc::Requirement,
    observe::{self, Route},
    oidc::{AcrRequirement, LoginRequest, Prompt},
    web::{
        context::RequestContext,
        pages::problem::Problem,
        pending::StepUp,
        request::{audience::Audience, redirect::see_other, return_to::ReturnTo},
        session::{LiveSession, Session},
        settings::{MAX_AUTHENTICATION_AGE, Settings, StepUpHint},
    },
    wire::kyc::KycTier,
};

/// Number of completed step-ups of one session to one tier within five minutes after which the next
/// step-up needs a click.
const LOOP_ATTEMPTS: usize = 2;

pub(in crate::web) async fn step_up(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let settings = context.settings();
    observe::serve(Route::StepUp, context.reference(), async {
        match begin(&context, &uri, &headers, settings).await {
            Ok(location) => (see_other(&location), "sent"),
            Err(failed) => failed.answer(Audience::of(&method, &headers), &context),
        }
    })
    .await
}

async fn begin(
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
    settings: &Settings,
) -> Result<String, FailedLogin> {
    let query = uri.query().unwrap_or_default();
    let return_to = start::return_to(query, settings);
    let tier = tier(query).ok_or(Problem::UnknownTier)?;
    let live = context.session().await?;
    let Some(live) = live else {
        // A step-up requires a signed-in person.
        return Ok(settings.login_path_back_to(&return_to));
    };
    let step_up = StepUp {
        owner_id: live.owner.id,
        tier,
        restarts: 0,
        max_age: max_age(query),
    };
    if start::can_start(headers) && !is_again(query) {
        stop_loop(context, &live, &step_up, &return_to)?;
    }
    let hint = hint(settings.step_up_hint, &live.session);
    let wanted = wanted(step_up, return_to, hint);
    Ok(start::start(context, headers, wanted).await?)
}

/// Returns the reason page if KYCPort has just sent the person back twice. Without this page, the
/// guard and KYCPort could redirect the person to each other without an end.
fn stop_loop(
    context: &RequestContext,
    live: &LiveSession,
    step_up: &StepUp,
    return_to: &ReturnTo,
) -> Result<(), FailedLogin> {
    let (now, settings) = (context.now(), context.settings());
    let session = &live.session;
    if session.recent_step_ups(&step_up.tier, now) < LOOP_ATTEMPTS {
        return Ok(());
    }
    observe::step_up_loop(
        step_up.tier.as_str(),
        settings.log_key.person(&session.issuer, &session.subject),
        context.reference(),
    );
    let problem = reason(live, &step_up.tier, now);
    Err(FailedLogin::of_step_up(
        problem, settings, step_up, return_to,
    ))
}

/// Returns the problem of the recorded assurance, if a step-up can change it.
fn reason(live: &LiveSession, tier: &KycTier, now: Timestamp) -> Problem {
    let requirement = Requirement::tier(tier.clone());
    let unmet = live
        .latest
        .known()
        .and_then(|known| requirement.check(known, now).err());
    unmet
        .map(|reason| Problem::of_requirement(&reason, None))
        .filter(|problem| problem.offers_step_up())
        .unwrap_or(Problem::StepUpLoop)
}

/// Reads the parameter `again`, which only links of the crate's pages contain.
fn is_again(query: &str) -> bool {
    parameters::only(query, "again").is_some_and(|value| value == "1")
}

/// Starts a step-up again whose code arrived too late. The person has finished at KYCPort, so
/// KYCPort usually redirects the person back without a question.
pub(super) async fn restart(
    context: &RequestContext,
    headers: &HeaderMap,
    expired: StepUp,
    return_to: ReturnTo,
) -> Result<String, Problem> {
    let step_up = StepUp {
        restarts: expired.restarts.saturating_add(1),
        ..expired
    };
    let live = context.session().await?;
    let kind = context.settings().step_up_hint;
    let hint = live.as_ref().and_then(|live| hint(kind, &live.session));
    let wanted = wanted(step_up, return_to, hint);
    let location = start::start(context, headers, wanted).await?;
    observe::step_up_restarted(context.reference());
    Ok(location)
}

fn wanted(step_up: StepUp, return_to: ReturnTo, hint: Option<&str>) -> Wanted {
    let tier = step_up.tier.clone();
    let mut request = LoginRequest::new().tier(tier, AcrRequirement::Voluntary);
    if let Some(seconds) = step_up.max_age {
        // KYCPort may ignore `max_age`. With `prompt=login` the person authenticates anyway.
        request = request
            .max_age(Duration::from_secs(seconds.into()))
            .prompt(Prompt::Login);
    }
    if let Some(hint) = hint {
        request = request.login_hint(hint);
    }
    Wanted {
        request,
        return_to,
        step_up: Some(step_up),
    }
}

/// Returns the hint at the signed-in person.
pub(super) fn hint(kind: StepUpHint, session: &Session) -> Option<&str> {
    match kind {
        StepUpHint::Subject => Some(&session.subject),
        StepUpHint::Email => session.email.as_deref(),
        StepUpHint::None => None,
    }
}

/// Reads the parameter `tier`. The parameter must occur exactly once, and its value must be a known
/// tier.
pub(super) fn tier(query: &str) -> Option<KycTier> {
    let Ok(tier) = parameters::only(query, "tier")?.parse::<KycTier>();
    (!matches!(tier, KycTier::Unknown(_))).then_some(tier)
}

/// Reads the parameter `max_age`: the maximum time since the person authenticated, in seconds.
/// Ignores an invalid value and a parameter that occurs twice.
fn max_age(query: &str) -> Option<u32> {
    let text = parameters::only(query, "max_age")?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| is_number)?;
    (seconds <= MAX_AUTHENTICATION_AGE).then_some(seconds)
}
