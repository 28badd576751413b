//! Authorization endpoint (K10 to K17). A person uses the sign-in page. A test sends the person and
//! the decision in a single POST request.

mod page;
mod request;
mod verify;

use std::time::Duration;

use axum::http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{COOKIE, SET_COOKIE},
};

use url::form_urlencoded;

use crate::{
    clock::Timestamp,
    mock::{
        core::{Core, transition},
        html,
        http::{
            answer::{Answer, Refusal},
            endpoint::Endpoint,
            params::Params,
        },
        records::{
            grants::{CodeBinding, Consent},
            person::PersonRecord,
            verification::Verification,
        },
    },
    wire::authorize as names,
};
use request::{AuthorizeRequest, Rejection};

pub(in crate::mock) use request::{lowest, split_spaces};
pub(in crate::mock) use verify::{outcomes, status_clause};

pub(in crate::mock) fn authorize(
    core: &Core,
    method: &Method,
    headers: &HeaderMap,
    query: &Params,
    form: &Params,
) -> Answer {
    if *method == Method::POST && is_request(query, form) {
        return as_get(form);
    }
    let request = match AuthorizeRequest::check(core, query) {
        Ok(request) => request,
        Err(Rejection::ErrorPage(refusal)) => return html::refusal(refusal),
        Err(Rejection::Redirect(back, refusal)) => return back.error(core, refusal),
    };
    if *method == Method::POST {
        return decide(core, &request, form);
    }
    if request.prompt_none {
        return silent(core, &request, headers);
    }
    let hinted = request
        .login_hint
        .as_deref()
        .and_then(|hint| core.person(hint));
    match hinted {
        // The person must still be able to choose the result of a verification.
        Some(person)
            if core.switches().auto_consent
                && verify::unreached_tier(&request, &person).is_none() =>
        {
            allow(core, &request, &person, core.now())
        }
        hinted => {
            let signed_in = session(core, headers).and_then(|(id, _)| core.person(&id));
            let preselected = hinted
                .or_else(|| core.person(request.id_token_hint.as_deref()?))
                .or_else(|| signed_in.clone());
            page::choose(core, &request, preselected.as_ref(), signed_in.is_some())
        }
    }
}

/// Returns whether a form is an authorization request (OpenID Connect Core 1.0 section 3.1.2.1).
/// The page's own form is not an authorization request. The browser sends that form to the URL of
/// the page, which has a query.
fn is_request(query: &Params, form: &Params) -> bool {
    query.pairs().is_empty() && form.has(names::CLIENT_ID) && !form.has("decision")
}

/// Redirects an authorization request that arrived as a form to the equivalent GET request.
fn as_get(form: &Params) -> Answer {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(form.pairs());
    let query = query.finish();
    if query.len() > MAX_QUERY {
        let why = format!("the request is longer than {MAX_QUERY} bytes");
        return html::refusal(Refusal::new("invalid_request", "K26", why));
    }
    Answer::see_other(&format!("{}?{query}", Endpoint::Authorize.path()))
}

/// Processes the page's form, which contains the person and the decision. The form contains the
/// person. Parallel tests therefore do not affect each other.
fn decide(core: &Core, request: &AuthorizeRequest, form: &Params) -> Answer {
    if let Some(problem) = form.problem() {
        return html::refusal(Refusal::new("invalid_request", "K26", problem));
    }
    match form.get("decision") {
        Some("deny") => {
            let refusal = Refusal::new("access_denied", "K14", "the person denied the request");
            request.back.error(core, refusal)
        }
        Some("allow") => {
            let known = form.get("person").and_then(|hint| core.person(hint));
            let Some(person) = known else {
                let why = "`person` is missing or names no existing person";
                return html::refusal(Refusal::new("invalid_request", "K14", why));
            };
            let person = match verify::unreached_tier(request, &person) {
                None => person,
                Some(asked) => {
                    let Some(verification) = form.get("verification") else {
                        return verify::offer(request, &person, asked);
                    };
                    let Some(verification) = Verification::parse(verification) else {
                        let why = "`verification` must be `pass`, `fail`, `pending` or `skip`";
                        return html::refusal(Refusal::new("invalid_request", "K19", why));
                    };
                    let tenant = Some(request.client.tenant.as_str());
                    let person =
                        transition::verified_on_page(core, tenant, person, asked, verification);
                    if is_stranded(core, verification) {
                        let now = core.now();
                        let session = core.grants().open_session(&person.id, now);
                        return with_session(Answer::see_other(STATUS_PATH), &session);
                    }
                    person
                }
            };
            allow(core, request, &person, core.now())
        }
        _ => {
            let why = "`decision` must be `allow` or `deny`";
            html::refusal(Refusal::new("invalid_request", "K14", why))
        }
    }
}

/// Processes `prompt=none` (K17). A request with `prompt=none` succeeds only if the browser has a
/// session that is not older than `max_age`. The person must also have allowed this client the
/// requested scopes before (K92).
fn silent(core: &Core, request: &AuthorizeRequest, headers: &HeaderMap) -> Answer {
    let fresh = session(core, headers).filter(|(_, since)| {
        request
            .max_age
            .is_none_or(|age| core.now().since(*since) <= age)
    });
    let person = fresh.and_then(|(id, since)| Some((core.person(&id)?, since)));
    let refuse = |why: &str| {
        let refusal = Refusal::new("login_required", "K17", why);
        request.back.error(core, refusal)
    };
    let Some((person, since)) = person else {
        return refuse("`prompt=none` requires a session, but this browser is not signed in");
    };
    let hint = request.id_token_hint.as_ref();
    if hint.is_some_and(|hinted| *hinted != person.id) {
        return refuse(
            "`prompt=none` requires the person of `id_token_hint`, but another person is signed in",
        );
    }
    let allowed = core
        .grants()
        .has_allowed(&person.id, &request.client.id, &request.scopes);
    if !allowed && !core.switches().auto_consent {
        let why = "`prompt=none` requires consent, but the person has not allowed this client these scopes";
        let refusal = Refusal::new("consent_required", "K92", why);
        return request.back.error(core, refusal);
    }
    allow(core, request, &person, since)
}

fn allow(
    core: &Core,
    request: &AuthorizeRequest,
    person: &PersonRecord,
    auth_time: Timestamp,
) -> Answer {
    let now = core.now();
    let lifetime = core.switches().code_lifetime;
    let reused = if core.switches().honor_max_age {
        Duration::ZERO
    } else {
        REUSED_SESSION_AGE
    };
    let consent = Consent {
        client_id: request.client.id.clone(),
        person_id: person.id.clone(),
        scopes: request.scopes.clone(),
        nonce: Some(request.nonce.clone()),
        auth_time: auth_time.saturating_sub(reused),
        acr: person.verified_tier(),
    };
    if let Some(person) = core.persons().find_mut(&person.id) {
        person.show_to(&request.client.tenant);
    }
    let mut grants = core.grants();
    grants.remember_allowed(&consent);
    let issued = grants.issue_code(
        now,
        lifetime,
        consent,
        CodeBinding {
            redirect_uri: request.back.redirect_uri.clone(),
            challenge: request.challenge.clone(),
        },
    );
    let session = (auth_time == now).then(|| grants.open_session(&person.id, now));
    drop(grants);
    let answer = request.back.answer(core, vec![(names::CODE, issued)]);
    match session {
        Some(session) => with_session(answer, &session),
        None => answer,
    }
}

/// Sets the session cookie of the mock. The cookie's path is `/authorize` or `/verify`. Browsers
/// therefore do not send the cookie to an app on the same host.
fn with_session(mut answer: Answer, session: &str) -> Answer {
    for page in [Endpoint::Authorize, Endpoint::Verify] {
        let path = page.path();
        let cookie = format!("{COOKIE_NAME}={session}; Path={path}; HttpOnly; SameSite=Lax");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            answer.headers.append(SET_COOKIE, cookie);
        }
    }
    answer
}

/// Returns whether this verification ends on KYCPort's own page, without a return to the app (K19).
pub(super) fn is_stranded(core: &Core, verification: Verification) -> bool {
    core.switches().strand_after_verification && verification != Verification::Skip
}

/// Returns KYCPort's own page after a verification (K19), if `strand_after_verification` is on.
/// KYCPort's page has no link back to the app.
pub(in crate::mock) fn status_page(core: &Core, path: &str) -> Option<Answer> {
    (core.switches().strand_after_verification && path == STATUS_PATH).then(|| {
        let main = "<h1>Your verification</h1>\n<p>Your documents were received. You can close this \
                    window.</p>\n<p class=\"hint\">A switch of the mock selects this behavior, which \
                    tenants have observed: there is no way back to the app.</p>\n";
        html::page(StatusCode::OK, "Verification", main)
    })
}

/// Returns the person ID and the start of the browser's session at the issuer.
pub(super) fn session(core: &Core, headers: &HeaderMap) -> Option<(String, Timestamp)> {
    let cookie = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE_NAME).then_some(value));
    core.grants().session(cookie?)
}

/// Maximum length of an authorization request in a form, in bytes.
const MAX_QUERY: usize = 16 * 1024;

/// Age of the session that the issuer reuses for a login, if the switch `honor_max_age` is off.
const REUSED_SESSION_AGE: Duration = Duration::from_secs(3600);

/// Path of KYCPort's page after a verification.
pub(super) const STATUS_PATH: &str = "/status";

/// Name of the session cookie. All ports of a loopback host share cookies, so no app should use
/// this cookie name.
const COOKIE_NAME: &str = "kycport_mock_issuer";
