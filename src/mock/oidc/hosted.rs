//! Hosted verification page (K18, K91).

use std::fmt::Write as _;

use axum::http::{HeaderMap, Method, StatusCode};

use super::authorize;
use crate::{
    mock::{
        core::{Core, transition},
        html::{self, Text, card, page, way_back},
        http::{
            answer::{Answer, Refusal},
            endpoint::Endpoint,
            params::Params,
        },
        records::{person::PersonRecord, verification::Verification},
    },
    wire::{authorize as names, kyc::KycTier},
};

/// Serves the verification page to the person who is signed in with this browser. After the
/// verification, the browser returns to a registered redirect URI, or stays on the page.
pub(in crate::mock) fn verify(
    core: &Core,
    method: &Method,
    headers: &HeaderMap,
    query: &Params,
    form: &Params,
) -> Answer {
    if let Some(problem) = query.problem().or_else(|| form.problem()) {
        return html::refusal(Refusal::new("invalid_request", "K26", problem));
    }
    let back = match return_uri(core, query) {
        Ok(back) => back,
        Err(refusal) => return html::refusal(refusal),
    };
    let session = authorize::session(core, headers);
    let Some(person) = session.and_then(|(id, _)| core.person(&id)) else {
        return not_signed_in();
    };
    let asked = asked(core, query, &person);
    if *method != Method::POST {
        return show(&person, asked.as_ref(), back);
    }
    let ended = form.get("verification").and_then(Verification::parse);
    let Some(verification) = ended else {
        let why = "`verification` must be `pass`, `fail`, `pending` or `skip`";
        return html::refusal(Refusal::new("invalid_request", "K91", why));
    };
    if let Some(asked) = asked {
        transition::verified_on_page(core, None, person, &asked, verification);
    }
    if authorize::is_stranded(core, verification) {
        return Answer::see_other(authorize::STATUS_PATH);
    }
    Answer::see_other(back.unwrap_or(Endpoint::Verify.path()))
}

/// Returns the redirect URI of the request, if present. To prevent an open redirect, the mock
/// accepts only a registered URI, compared byte by byte (K12).
fn return_uri<'a>(core: &Core, query: &'a Params) -> Result<Option<&'a str>, Refusal> {
    let refuse = |row, why: &str| Err(Refusal::new("invalid_request", row, why));
    if !query.has(names::CLIENT_ID) && !query.has(names::REDIRECT_URI) {
        return Ok(None);
    }
    let (Some(id), Some(uri)) = (query.get(names::CLIENT_ID), query.get(names::REDIRECT_URI))
    else {
        let why = "`client_id` and `redirect_uri` must be sent together";
        return refuse("K91", why);
    };
    let Some(client) = core.clients().get(id) else {
        return refuse("K91", "no client with this `client_id` exists");
    };
    if !client.has_redirect_uri(uri) {
        let why = "`redirect_uri` is not registered for this client; it must match byte by byte";
        return refuse("K12", why);
    }
    Ok(Some(uri))
}

/// Returns the tier for which the page verifies the person. The result is the lowest requested tier
/// that the mock knows. If the request contains no known tier, the result is the tier above the
/// person's tier. Returns `None` if the person already has the tier.
fn asked(core: &Core, query: &Params, person: &PersonRecord) -> Option<KycTier> {
    let tiers = authorize::split_spaces(query.get(&core.switches().tier_parameter));
    let asked = authorize::lowest(&tiers).or_else(|| next(person.verified_tier().as_ref()));
    asked.filter(|asked| !person.reaches(asked))
}

fn next(reached: Option<&KycTier>) -> Option<KycTier> {
    match reached {
        Some(KycTier::T1) => Some(KycTier::T2),
        Some(KycTier::T2) => Some(KycTier::T3),
        Some(KycTier::T3) => None,
        _ => Some(KycTier::T1),
    }
}

/// Creates the hosted verification page, which works without scripts.
fn show(person: &PersonRecord, asked: Option<&KycTier>, back: Option<&str>) -> Answer {
    let mut main = format!(
        "<h1>Your verification</h1>\n<p>Your tier is <strong>{own}</strong>{status}.</p>\n\
         <div class=\"person\">{card}</div>\n",
        own = Text(person.tier.as_str()),
        status = authorize::status_clause(&person.status),
        card = card(person),
    );
    main.push_str("<form method=\"post\">\n");
    if let Some(asked) = asked {
        let _ = writeln!(
            main,
            "<p class=\"hint\">KYCPort would ask for documents and a selfie here, to verify you at tier \
             <strong>{}</strong>. In the mock, you choose the result, and the mock stores it.</p>",
            Text(asked.as_str())
        );
        main.push_str(&authorize::outcomes());
    } else {
        main.push_str(
            "<div class=\"buttons\">\n<button class=\"allow\" name=\"verification\" \
             value=\"skip\">Continue</button>\n</div>\n",
        );
    }
    main.push_str("</form>\n");
    if let Some(back) = back {
        main.push_str(&way_back(back));
    }
    page(StatusCode::OK, "Verify", &main)
}

fn not_signed_in() -> Answer {
    let main = "<h1>You are not signed in</h1>\n<p>This page requires a session in this browser. \
                Sign in to an app first, then open this page again.</p>\n";
    let mut answer = page(StatusCode::FORBIDDEN, "Sign in first", main);
    let why = "this browser is not signed in";
    answer.refusal = Some(Refusal::new("login_required", "K91", why));
    answer
}
