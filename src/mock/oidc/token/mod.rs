//! Token endpoint (K20 to K24).

mod client_auth;
mod grant;
mod issue;

use axum::http::{HeaderMap, StatusCode};

use crate::{
    mock::{
        core::Core,
        http::{
            answer::{Answer, Refusal},
            content_type,
            params::Params,
        },
    },
    wire::authorize as names,
};

pub(in crate::mock) use issue::{access_token_claims, at_hash, id_token_claims};

pub(in crate::mock) fn token(
    core: &Core,
    headers: &HeaderMap,
    query: &Params,
    form: &Params,
) -> Answer {
    let asked = check_form(headers, query, form)
        .and_then(|()| client_auth::authenticate(core, headers, form))
        .and_then(|client| grant::redeem(core, &client, form));
    match asked {
        Ok(granted) => issue::answer(core, granted),
        Err(refusal) if refusal.error == "invalid_client" => {
            let challenge = client_auth::challenge(core, headers);
            Answer::refuse(StatusCode::UNAUTHORIZED, refusal).challenge(challenge)
        }
        Err(refusal) => Answer::refuse(StatusCode::BAD_REQUEST, refusal),
    }
}

fn check_form(headers: &HeaderMap, query: &Params, form: &Params) -> Result<(), Refusal> {
    let invalid = |row, why: String| Err(Refusal::new("invalid_request", row, why));
    if !content_type::is(headers, "application/x-www-form-urlencoded") {
        return invalid(
            "K20",
            "`Content-Type` must be application/x-www-form-urlencoded".to_owned(),
        );
    }
    if let Some(problem) = form.problem() {
        return invalid("K26", problem);
    }
    if let Some(name) = form.empty(&PARAMETERS) {
        return invalid("K27", format!("`{name}` is empty"));
    }
    if let Some(name) = PARAMETERS.iter().find(|name| query.has(name)) {
        return invalid(
            "K27",
            format!("`{name}` must be sent in the body, not in the query"),
        );
    }
    Ok(())
}

/// Known parameters of the token endpoint.
const PARAMETERS: [&str; 7] = [
    names::GRANT_TYPE,
    names::CODE,
    names::REDIRECT_URI,
    names::CLIENT_ID,
    names::CLIENT_SECRET,
    names::CODE_VERIFIER,
    names::REFRESH_TOKEN,
];
