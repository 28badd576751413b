//! The hosted page at which a person verifies (K18, K91).

use std::fmt::Write as _;

use axum::http::{HeaderMap, Method, StatusCode};

use super::authorize;
use crate::{
    mock::{
        core::{Core, transition},
        html::{self, Text, card, page},
        http::{
            answer::{Answer, Refusal},
            endpoint::Endpoint,
            params::Params,
        },
        records::{person::PersonRecord, verification::Verification},
    },
    wire::{authorize as names, kyc::KycTier},
};

/// For whoever is signed in here with this browser. It goes back to a registered address, or stays.
pub(in crate::mock) fn verify(
    core: &Core,
    method: &Method,
    headers: &HeaderMap,
    query: &Params,
    form: &Params,
) -> Answer {
    if let Some(flaw) = query.flaw().or_else(|| form.flaw()) {
        return html::refusal(Refusal::new("invalid_request", "K26", flaw));
    }
    let back = match way_back(core, query) {
        Ok(back) => back,
        Err(refusal) => return html::refusal(refusal),
    };
    let session = authorize::session_cookie(headers).and_then(|id| core.grants().session(id));
    let Some(person) = session.and_then(|(id, _)| core.person(&id)) else {
        return nobody();
    };
    let asked = asked(core, query, &person);
    if *method != Method::POST {
        return show(&person, asked.as_ref(), back);
    }
    let ended = form.get("verification").and_then(Verification::parse);
    let Some(verification) = ended else {
        let why = "`verification` is not `pass`, `fail`, `pending` or `skip`";
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

/// An address that the client registered, byte for byte (K12): anything else could lead anywhere.
fn way_back<'a>(core: &Core, query: &'a Params) -> Result<Option<&'a str>, Refusal> {
    let refuse = |row, why: &str| Err(Refusal::new("invalid_request", row, why));
    if !query.has(names::CLIENT_ID) && !query.has(names::REDIRECT_URI) {
        return Ok(None);
    }
    let (Some(id), Some(uri)) = (query.get(names::CLIENT_ID), query.get(names::REDIRECT_URI))
    else {
        let why = "`client_id` and `redirect_uri` come together, or not at all";
        return refuse("K91", why);
    };
    let Some(client) = core.clients().get(id) else {
        return refuse("K91", "there is no client of this `client_id`");
    };
    if !client.has_redirect_uri(uri) {
        let why =
            "this `redirect_uri` is not registered for the client: it must match byte for byte";
        return refuse("K12", why);
    }
    Ok(Some(uri))
}

/// The tier to verify to: the lowest known one that was asked for, or the next one up. None if the
/// person is that far.
fn asked(core: &Core, query: &Params, person: &PersonRecord) -> Option<KycTier> {
    let reached = person.verified_tier();
    let words = authorize::words(query.get(&core.switches().tier_parameter));
    let asked = authorize::lowest(&words).or_else(|| next(reached.as_ref()))?;
    (!reached.is_some_and(|own| own.satisfies(&asked))).then_some(asked)
}

fn next(reached: Option<&KycTier>) -> Option<KycTier> {
    match reached {
        Some(KycTier::T1) => Some(KycTier::T2),
        Some(KycTier::T2) => Some(KycTier::T3),
        Some(KycTier::T3) => None,
        _ => Some(KycTier::T1),
    }
}

/// Works without scripts, as the authorize page does.
fn show(person: &PersonRecord, asked: Option<&KycTier>, back: Option<&str>) -> Answer {
    let mut main = format!(
        "<h1>Your verification</h1>\n<p>You are <strong>{own}</strong>{stands}.</p>\n\
         <div class=\"person\">{card}</div>\n",
        own = Text(person.tier.as_str()),
        stands = authorize::stands(&person.status),
        card = card(person),
    );
    main.push_str("<form method=\"post\">\n");
    if let Some(asked) = asked {
        let _ = writeln!(
            main,
            "<p class=\"hint\">KYCPort would ask for documents and a selfie here, to verify you to \
             <strong>{}</strong>. The mock lets you choose how it ends, and remembers it.</p>",
            Text(asked.as_str())
        );
        main.push_str(&authorize::outcomes());
    } else {
        main.push_str(
            "<div class=\"buttons\">\n<button class=\"allow\" name=\"verification\" \
             value=\"skip\">There is nothing to do</button>\n</div>\n",
        );
    }
    main.push_str("</form>\n");
    if let Some(back) = back {
        let _ = writeln!(
            main,
            "<p class=\"hint back\">You go back to <code>{}</code>.</p>",
            Text(back)
        );
    }
    page(StatusCode::OK, "Verify", &main)
}

fn nobody() -> Answer {
    let main = "<h1>Nobody is signed in here</h1>\n<p>This page is for whoever signed in with this \
                browser. Sign in to an app first, and come back.</p>\n";
    let mut answer = page(StatusCode::FORBIDDEN, "Sign in first", main);
    let why = "this browser is not signed in here";
    answer.refusal = Some(Refusal::new("login_required", "K91", why));
    answer
}
