//! One request from the socket to the answer.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header::ALLOW},
    response::Response,
};

use super::{
    answer::{Answer, Refusal},
    authorize,
    core::Core,
    discovery,
    endpoint::Endpoint,
    log::RecordedRequest,
    params::Params,
    token, userinfo,
};

/// A request, read whole.
struct Incoming {
    method: Method,
    path: String,
    query: Params,
    headers: HeaderMap,
    form: Params,
}

pub(super) async fn serve(State(core): State<Arc<Core>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = read(body).await;
    let incoming = Incoming {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: Params::parse(parts.uri.query().unwrap_or_default().as_bytes()),
        headers: parts.headers,
        form: Params::parse(body.as_deref().unwrap_or_default()),
    };
    let endpoint = Endpoint::of(&incoming.path);
    let number = core.log().begin(RecordedRequest::new(
        endpoint,
        incoming.method.as_str(),
        &incoming.path,
        incoming.query.clone(),
        incoming.form.clone(),
        incoming.headers.clone(),
    ));
    let answer = match (endpoint, body) {
        (_, None) => too_large(),
        (None, _) => authorize::missing(&incoming.path),
        (Some(endpoint), _) => answer(&core, endpoint, &incoming),
    };
    core.log()
        .finish(number, answer.status.as_u16(), answer.refusal.clone());
    answer.into_response()
}

fn answer(core: &Core, endpoint: Endpoint, incoming: &Incoming) -> Answer {
    let allowed = endpoint.methods();
    if !allowed.split(", ").any(|m| m == incoming.method.as_str()) {
        let why = format!("only {allowed} is answered here");
        let refusal = Refusal::new("invalid_request", "K4", why);
        return Answer::refuse(StatusCode::METHOD_NOT_ALLOWED, refusal).with(ALLOW, allowed);
    }
    let Incoming {
        method,
        query,
        headers,
        form,
        ..
    } = incoming;
    match endpoint {
        Endpoint::Discovery => discovery::discovery(core),
        Endpoint::Jwks => discovery::jwks(core),
        Endpoint::Authorize => authorize::authorize(core, method, headers, query, form),
        Endpoint::Token => token::token(core, headers, query, form),
        Endpoint::Userinfo => userinfo::userinfo(core, headers, query, form),
    }
}

/// None if it is too large, or if it broke off.
async fn read(body: Body) -> Option<Vec<u8>> {
    to_bytes(body, MAX_BODY).await.ok().map(Vec::from)
}

fn too_large() -> Answer {
    let why = "the body is larger than 1 MiB, or broke off";
    let refusal = Refusal::new("invalid_request", "K20", why);
    Answer::refuse(StatusCode::PAYLOAD_TOO_LARGE, refusal)
}

/// More than any request that this issuer understands.
const MAX_BODY: usize = 1024 * 1024;
