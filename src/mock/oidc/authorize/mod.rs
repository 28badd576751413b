//! The authorize endpoint (K10 to K17): a page for a person, one POST for a test.

mod page;
mod request;
mod verify;

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
        records::{grants::Consent, person::PersonRecord, verification::Verification},
    },
    wire::authorize as names,
};
use request::{AuthorizeRequest, Refused};

pub(in crate::mock) use request::{lowest, words};
pub(in crate::mock) use verify::{outcomes, stands};

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
        Err(Refused::ToThePerson(refusal)) => return html::refusal(refusal),
        Err(Refused::ToTheClient(back, refusal)) => return back.error(core, refusal),
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
        Some(person) if core.switches().auto_consent => allow(core, &request, &person, core.now()),
        hinted => {
            let session = session_cookie(headers).and_then(|id| core.grants().session(id));
            let signed_in = session.and_then(|(id, _)| core.person(&id));
            let preselected = hinted
                .or_else(|| core.person(request.id_token_hint.as_deref()?))
                .or_else(|| signed_in.clone());
            page::choose(core, &request, preselected.as_ref(), signed_in.is_some())
        }
    }
}

/// Whether a form is an authorization request (OpenID Connect Core 1.0 section 3.1.2.1), and not
/// what the page's own form sends: that goes to the address of the page, query included.
fn is_request(query: &Params, form: &Params) -> bool {
    query.pairs().is_empty() && form.has(names::CLIENT_ID) && !form.has("decision")
}

/// Answers a form with the same request by GET.
fn as_get(form: &Params) -> Answer {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(form.pairs());
    let query = query.finish();
    if query.len() > LONGEST_QUERY {
        let why = format!("the request is longer than {LONGEST_QUERY} bytes");
        return html::refusal(Refusal::new("invalid_request", "K26", why));
    }
    Answer::see_other(&format!("{}?{query}", Endpoint::Authorize.path()))
}

/// What the page's form sends: who it is, and whether they allow it. The person travels with the
/// request, so that tests in parallel never get each other's.
fn decide(core: &Core, request: &AuthorizeRequest, form: &Params) -> Answer {
    if let Some(flaw) = form.flaw() {
        return html::refusal(Refusal::new("invalid_request", "K26", flaw));
    }
    match form.get("decision") {
        Some("deny") => {
            let refusal = Refusal::new("access_denied", "K14", "the person said no");
            request.back.error(core, refusal)
        }
        Some("allow") => {
            let known = form.get("person").and_then(|hint| core.person(hint));
            let Some(person) = known else {
                let why = "`person` is missing or names nobody who was created here";
                return html::refusal(Refusal::new("invalid_request", "K14", why));
            };
            let person = match verify::lacking(request, &person) {
                None => person,
                Some(asked) => {
                    let Some(verification) = form.get("verification") else {
                        return verify::offer(request, &person, asked);
                    };
                    let Some(verification) = Verification::parse(verification) else {
                        let why = "`verification` is not `pass`, `fail`, `pending` or `skip`";
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
            let why = "`decision` is neither `allow` nor `deny`";
            html::refusal(Refusal::new("invalid_request", "K14", why))
        }
    }
}

/// `prompt=none` (K17): only a browser that was here before, and not too long ago, and only what
/// the person has allowed this client before (K92).
fn silent(core: &Core, request: &AuthorizeRequest, headers: &HeaderMap) -> Answer {
    let session = session_cookie(headers).and_then(|id| core.grants().session(id));
    let fresh = session.filter(|(_, since)| {
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
        return refuse("`prompt=none`, and this browser is not signed in here");
    };
    let hint = request.id_token_hint.as_ref();
    if hint.is_some_and(|hinted| *hinted != person.id) {
        return refuse("`prompt=none`, and `id_token_hint` is about another person");
    }
    let allowed = core
        .grants()
        .has_allowed(&person.id, &request.client.id, &request.scopes);
    if !allowed && !core.switches().auto_consent {
        let why = "`prompt=none`, and the person has not allowed this client these scopes before";
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
    let consent = Consent {
        client_id: request.client.id.clone(),
        person_id: person.id.clone(),
        scopes: request.scopes.clone(),
        nonce: Some(request.nonce.clone()),
        auth_time,
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
        request.back.redirect_uri.clone(),
        request.challenge.clone(),
    );
    let session = (auth_time == now).then(|| grants.open_session(&person.id, now));
    drop(grants);
    let answer = request.back.answer(core, vec![(names::CODE, issued)]);
    match session {
        Some(session) => with_session(answer, &session),
        None => answer,
    }
}

/// Sets the browser's session here, for these two pages alone and not for an app that has the same
/// host.
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

/// Whether a verification that ended so leads to KYCPort's own page instead of back (K19).
pub(super) fn is_stranded(core: &Core, verification: Verification) -> bool {
    core.switches().strand_after_verification && verification != Verification::Skip
}

/// KYCPort's own page after a verification (K19), if the switch says that there is one. It leads
/// nowhere.
pub(in crate::mock) fn status_page(core: &Core, path: &str) -> Option<Answer> {
    (core.switches().strand_after_verification && path == STATUS_PATH).then(|| {
        let main = "<h1>Your verification</h1>\n<p>What you sent is recorded. You can close this \
                    window.</p>\n<p class=\"hint\">The mock is switched to behave as KYCPort was \
                    seen to: nothing leads back to the app.</p>\n";
        html::page(StatusCode::OK, "Verification", main)
    })
}

pub(super) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

/// Maximum length of a request that came as a form, in bytes.
const LONGEST_QUERY: usize = 16 * 1024;

/// Address of KYCPort's page after a verification.
pub(super) const STATUS_PATH: &str = "/status";

/// Unmistakable, for on loopback every port shares one cookie jar.
const COOKIE_NAME: &str = "kycport_mock_issuer";
