//! Userinfo (K35): Bearer alone, errors as in RFC 6750 section 3.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::{
    mock::{
        core::Core,
        http::{
            answer::{Answer, Refusal},
            bearer::bearer,
            params::Params,
        },
        records::claims,
    },
    wire::claims as names,
};

pub(in crate::mock) fn userinfo(
    core: &Core,
    headers: &HeaderMap,
    query: &Params,
    form: &Params,
) -> Answer {
    if query.has("access_token") || form.has("access_token") {
        let why = "the access token belongs in the Authorization header";
        return refuse(core, StatusCode::BAD_REQUEST, "invalid_request", why);
    }
    let Some(token) = bearer(headers) else {
        // No error code for a request without credentials (RFC 6750 section 3.1).
        let why = "there is no Bearer access token";
        let mut answer = refuse(core, StatusCode::UNAUTHORIZED, "missing_token", why);
        answer.headers.remove("www-authenticate");
        return answer.challenge("Bearer");
    };
    let invalid = |why| refuse(core, StatusCode::UNAUTHORIZED, "invalid_token", why);
    let Some(access) = core.grants().access(token) else {
        return invalid("the access token was never issued here, or was revoked");
    };
    if access.expires <= core.now() {
        return invalid("the access token has expired");
    }
    let Some(person) = core.person(&access.consent.person_id) else {
        return invalid("the person is gone");
    };
    let mut told = claims::about(&person, &access.consent.scopes, &core.switches());
    told.insert(names::SUB.to_owned(), json!(person.id));
    let mut told = Value::Object(told);
    if let Some(wrapper) = core.switches().userinfo_wrapper {
        told = json!({ wrapper: told });
    }
    Answer::json(StatusCode::OK, told).no_store()
}

fn refuse(core: &Core, status: StatusCode, error: &'static str, why: &str) -> Answer {
    let challenge = format!("Bearer error=\"{error}\", error_description=\"{why}\"");
    let refusal = Refusal::new(error, "K35", why);
    Answer::refuse_in(core.switches().api_error_field, status, refusal).challenge(&challenge)
}
