//! Userinfo endpoint (K35). The userinfo endpoint accepts only Bearer tokens in the `Authorization`
//! header. Error responses follow RFC 6750 section 3.

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
        let why = "the access token must be sent in the Authorization header";
        return refuse(core, StatusCode::BAD_REQUEST, "invalid_request", why);
    }
    let Some(token) = bearer(headers) else {
        // The response to a request without credentials contains no error code (RFC 6750 section
        // 3.1).
        let why = "the request has no Bearer access token";
        let mut answer = refuse(core, StatusCode::UNAUTHORIZED, "missing_token", why);
        answer.headers.remove("www-authenticate");
        return answer.challenge("Bearer");
    };
    let invalid = |why| refuse(core, StatusCode::UNAUTHORIZED, "invalid_token", why);
    let Some(access) = core.grants().access(token) else {
        return invalid("the access token is unknown or revoked");
    };
    if access.expires <= core.now() {
        return invalid("the access token has expired");
    }
    let Some(person) = core.person(&access.consent.person_id) else {
        return invalid("the person no longer exists");
    };
    let mut response = claims::about(&person, &access.consent.scopes, &core.switches());
    response.insert(names::SUB.to_owned(), json!(person.id));
    let mut response = Value::Object(response);
    if let Some(wrapper) = core.switches().userinfo_wrapper {
        response = json!({ wrapper: response });
    }
    Answer::json(StatusCode::OK, response).no_store()
}

fn refuse(core: &Core, status: StatusCode, error: &'static str, why: &str) -> Answer {
    let challenge = format!("Bearer error=\"{error}\", error_description=\"{why}\"");
    let refusal = Refusal::new(error, "K35", why);
    Answer::refuse_in(core.switches().api_error_field, status, refusal).challenge(&challenge)
}
