//! `GET {prefix}/step-up/state?tier=t2`: returns whether the signed-in person has reached a tier, for
//! scripts of the page. `POST` also queries KYCPort, at most once in ten seconds.
//!
//! No request of a timer causes a query: a script polls with `GET`, and sends `POST` when the person
//! returns to the page or asks.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{start, step_up};
use crate::{
    clock::Timestamp,
    kyc::{Latest, QueryError, Requirement, RequirementError},
    observe::{self, Route},
    web::{
        context::RequestContext, evaluation::evaluate::NEGATIVE_RESULT_MAX_AGE,
        pages::problem::Problem, request::audience::Audience, session::LiveSession,
        signed_in::me::json_response,
    },
    wire::kyc::KycTier,
};

/// Handles `GET` and `POST`. The request is not a use of the session, so a page that polls this
/// route does not keep the session active.
pub(in crate::web) async fn state(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    observe::serve(Route::StepUpState, context.reference(), async {
        match answer(&context, &method, &uri, &headers).await {
            Ok((body, state)) => (json_response(&body), state),
            Err(problem) => (problem.answer(Audience::Fetch, &context), problem.code()),
        }
    })
    .await
}

/// Returns the body, and the state as the outcome code.
async fn answer(
    context: &RequestContext,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(Value, &'static str), Problem> {
    let settings = context.settings();
    let query = uri.query().unwrap_or_default();
    let tier = step_up::tier(query).ok_or(Problem::UnknownTier)?;
    let Some(mut live) = context.session().await? else {
        let name = "signed_out";
        let body = json!({ "state": name, "login_url": settings.login_path() });
        return Ok((body, name));
    };
    let mut found = Recorded::of(&live.latest, &tier, context.now());
    let mut checked = Checked::NO;
    if *method == Method::POST && may_query(context, headers, &live, &found).await? {
        checked = Checked::query(context, &mut live).await?;
        found = Recorded::of(&live.latest, &tier, context.now());
        if checked.needs_login {
            found = Recorded::NEEDS_LOGIN;
        }
    }
    let return_to = if has_return_to(query) {
        start::return_to(query, settings)
    } else {
        settings.referring_page(headers)
    };
    let mut body = Map::new();
    let mut add = |name: &str, value: Value| body.insert(name.to_owned(), value);
    add("state", found.state.into());
    add("session", json!(live.id));
    add("version", live.state_version().into());
    add("checked", checked.is_answered.into());
    if let Some(code) = found.code {
        add("code", code.into());
        add(
            "step_up_url",
            settings.step_up_path(&tier, None, &return_to).into(),
        );
    }
    let usual = (found.state == PENDING).then_some(NEGATIVE_RESULT_MAX_AGE);
    if let Some(wait) = checked.retry_after.or(usual) {
        add("retry_after", seconds(wait).into());
    }
    Ok((Value::Object(body), found.state))
}

const MET: &str = "met";
const PENDING: &str = "pending";
const LACKING: &str = "lacking";
const UNKNOWN: &str = "unknown";

/// State of the person, from the recorded assurance. The age of the assurance is not evaluated: the
/// guard decides about each request.
struct Recorded {
    state: &'static str,
    /// Code of the unmet requirement.
    code: Option<&'static str>,
}

impl Recorded {
    /// Without a tenant key and without a usable access token, only a login provides a new result.
    const NEEDS_LOGIN: Self = Self {
        state: UNKNOWN,
        code: Some("stale"),
    };

    fn of(latest: &Latest, tier: &KycTier, now: Timestamp) -> Self {
        let requirement = Requirement::tier(tier.clone());
        let unmet = match latest.known() {
            Some(known) => requirement.check(known, now).err(),
            None => Some(RequirementError::Unknown),
        };
        let state = match &unmet {
            None => MET,
            Some(RequirementError::Pending) => PENDING,
            Some(
                RequirementError::TierTooLow { .. }
                | RequirementError::Rejected
                | RequirementError::Expired
                | RequirementError::Unverified,
            ) => LACKING,
            Some(_) => UNKNOWN,
        };
        Self {
            state,
            code: unmet.map(|reason| reason.code()),
        }
    }
}

/// Returns whether this request may query KYCPort: the requirement is not met, and this browser has
/// a pending step-up of the person, or the recorded status is pending.
async fn may_query(
    context: &RequestContext,
    headers: &HeaderMap,
    live: &LiveSession,
    found: &Recorded,
) -> Result<bool, Problem> {
    match found.state {
        MET => Ok(false),
        PENDING => Ok(true),
        _ => {
            let cookies = context.login_cookies();
            let (settings, now) = (context.settings(), context.now());
            let is_open = cookies.has_step_up_of(headers, &live.owner, settings, now);
            Ok(is_open.await?)
        }
    }
}

/// Result of a query.
struct Checked {
    /// Whether KYCPort answered.
    is_answered: bool,
    needs_login: bool,
    retry_after: Option<Duration>,
}

impl Checked {
    /// No query was sent.
    const NO: Self = Self {
        is_answered: false,
        needs_login: false,
        retry_after: None,
    };

    /// Queries KYCPort, and reads the recorded assurance again. A failed query changes nothing.
    async fn query(context: &RequestContext, live: &mut LiveSession) -> Result<Self, Problem> {
        let evaluator = context.evaluator();
        let answer = evaluator.query_on_return(live).await;
        live.latest = evaluator.latest(live).await?;
        Ok(match answer {
            Ok(()) => Self {
                is_answered: true,
                ..Self::NO
            },
            Err(QueryError::NoSource) => Self {
                needs_login: true,
                ..Self::NO
            },
            Err(QueryError::Failed { retry_after }) => Self {
                retry_after: Some(retry_after.unwrap_or(NEGATIVE_RESULT_MAX_AGE)),
                ..Self::NO
            },
            Err(QueryError::Rejected | QueryError::Store(_)) => Self {
                retry_after: Some(NEGATIVE_RESULT_MAX_AGE),
                ..Self::NO
            },
        })
    }
}

fn has_return_to(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "return_to")
}

/// Rounds up to whole seconds, and returns at least one second.
fn seconds(wait: Duration) -> u64 {
    let part = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(part).max(1)
}
