//! `GET {prefix}/step-up?tier=t2&return_to=`: redirects the signed-in person to KYCPort to reach a
//! higher tier. The callback evaluates the result.

use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use url::form_urlencoded;

use super::start::{self, Wanted};
use crate::{
    observe::{self, Route},
    oidc::{AcrRequirement, LoginRequest},
    web::{
        context::RequestContext,
        pages::problem::Problem,
        pending::StepUp,
        request::{audience::Audience, redirect::see_other, return_to::ReturnTo},
        settings::Settings,
    },
    wire::kyc::KycTier,
};

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
            Err(problem) => {
                let audience = Audience::of(&method, &headers);
                (problem.answer(audience, &context), problem.code())
            }
        }
    })
    .await
}

async fn begin(
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
    settings: &Settings,
) -> Result<String, Problem> {
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
    };
    start::start(context, headers, wanted(step_up, return_to)).await
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
    let location = start::start(context, headers, wanted(step_up, return_to)).await?;
    observe::step_up_restarted(context.reference());
    Ok(location)
}

fn wanted(step_up: StepUp, return_to: ReturnTo) -> Wanted {
    let tier = step_up.tier.clone();
    Wanted {
        request: LoginRequest::new().tier(tier, AcrRequirement::Voluntary),
        return_to,
        step_up: Some(step_up),
    }
}

/// Reads the parameter `tier`. The parameter must occur exactly once, and its value must be a known
/// tier.
fn tier(query: &str) -> Option<KycTier> {
    let mut values = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "tier")
        .map(|(_, value)| value);
    let (Some(only), None) = (values.next(), values.next()) else {
        return None;
    };
    let Ok(tier) = only.parse::<KycTier>();
    (!matches!(tier, KycTier::Unknown(_))).then_some(tier)
}
