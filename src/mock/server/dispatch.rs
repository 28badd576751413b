//! Processing of one request, including its faults.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, Method, StatusCode, Version,
        header::{ALLOW, HOST},
    },
    response::Response,
};
use serde_json::json;

use super::listener::Connection;
use crate::mock::{
    cases::{self, stream::UploadBody, upload::Uploaded},
    console,
    core::{
        Core,
        rules::{Effect, Hook},
    },
    html,
    http::{
        answer::{Answer, AnswerBody, Refusal},
        endpoint::Endpoint,
        log::RecordedRequest,
        params::Params,
        socket::Cutter,
    },
    llms,
    oidc::{authorize, discovery, hosted, token, userinfo},
    persons::status,
    waits::pause::wait,
};

pub(in crate::mock) async fn serve(
    State(core): State<Arc<Core>>,
    ConnectInfo(Connection { cutter, peer }): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if parts.version == Version::HTTP_11 && parts.headers.get_all(HOST).iter().count() != 1 {
        let why = "an HTTP/1.1 request must have exactly one `Host` (RFC 9112 section 3.2)";
        let refusal = Refusal::new("invalid_request", "K26", why);
        return Answer::refuse(StatusCode::BAD_REQUEST, refusal).into_response();
    }
    let endpoint = Endpoint::of(parts.uri.path());
    // The upload handler streams the body. The handler reads the body only after it has
    // authenticated the client.
    let (body, upload) = match endpoint {
        Some(Endpoint::UploadCase) => (Some(Vec::new()), Some(UploadBody::new(body))),
        _ => (read(body).await, None),
    };
    let query = parts.uri.query().unwrap_or_default();
    // Do not parse JSON as a form: the whole JSON text would become one parameter name in the log.
    let form = body.as_deref().unwrap_or_default();
    let is_form = endpoint.is_none_or(Endpoint::takes_a_form);
    let form = if is_form { form } else { &[] };
    let incoming = Incoming {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: Params::parse(query.as_bytes()),
        headers: parts.headers,
        form: Params::parse(form),
        body: body.clone().unwrap_or_default(),
        upload: upload.clone(),
    };
    let console = console::console(
        &core,
        peer.ip(),
        &incoming.method,
        &incoming.path,
        &incoming.headers,
        &incoming.form,
    );
    if let Some(answer) = console {
        return answer.into_response();
    }
    let number = core.log().begin(RecordedRequest::new(
        endpoint,
        incoming.method.as_str(),
        &incoming.path,
        logged_params(&incoming.query, query.len()),
        logged_params(&incoming.form, body.as_ref().map_or(0, Vec::len)),
        &incoming.headers,
    ));
    let (response, refusal) = match (endpoint, body) {
        (_, None) => plain(too_large()),
        (None, _) => {
            let page = authorize::status_page(&core, &incoming.path);
            plain(page.unwrap_or_else(|| not_found(&incoming.path)))
        }
        (Some(endpoint), _) => respond(&core, endpoint, &incoming, &cutter).await,
    };
    let finished = core
        .log()
        .finish(number, response.status().as_u16(), refusal)
        .filter(|_| core.watcher.is_some())
        .cloned();
    if let (Some(watcher), Some(request)) = (&core.watcher, finished) {
        watcher.tell(&request);
    }
    if let Some(upload) = upload {
        // Read the rest of the upload before the connection closes. Without this read, a client
        // that still sends would not receive the response.
        tokio::spawn(upload.drain(cases::upload::MAX_UPLOAD));
    }
    response
}

/// Request with its complete body.
struct Incoming {
    method: Method,
    path: String,
    query: Params,
    headers: HeaderMap,
    form: Params,
    body: Vec<u8>,
    upload: Option<UploadBody>,
}

async fn respond(
    core: &Core,
    endpoint: Endpoint,
    incoming: &Incoming,
    cutter: &Cutter,
) -> (Response, Option<Refusal>) {
    let before = Hook::Before(endpoint);
    if let Some(broken) = apply_faults(core, before, None, cutter).await.0 {
        return (broken, None);
    }
    let mut answer = match (endpoint, &incoming.upload) {
        (Endpoint::UploadCase, Some(body)) if incoming.method == Method::POST => {
            let id = endpoint.id_in(&incoming.path).unwrap_or_default();
            match cases::upload::upload(core, &incoming.headers, id, body).await {
                Uploaded::Answer(answer) => answer,
                Uploaded::Cut => {
                    cutter.cut();
                    return (Response::default(), None);
                }
            }
        }
        _ => answer(core, endpoint, incoming),
    };
    edit(core, endpoint, &mut answer);
    let after = Hook::After(endpoint);
    let refusal = answer.refusal.clone();
    match apply_faults(core, after, Some(answer), cutter).await {
        (Some(broken), _) => (broken, refusal),
        (None, Some(answer)) => plain(answer),
        (None, None) => (Response::default(), refusal),
    }
}

/// Applies the faults of a request: gates first, then delays, then faults that replace the
/// response.
async fn apply_faults(
    core: &Core,
    hook: Hook<'_>,
    mut real: Option<Answer>,
    cutter: &Cutter,
) -> (Option<Response>, Option<Answer>) {
    let gates = core
        .rules()
        .take_all(hook, |effect| matches!(effect, Effect::Hold(_)));
    for rule in gates {
        if let Effect::Hold(latch) = &rule.effect {
            latch.pass().await;
        }
    }
    let delay = core
        .rules()
        .take(hook, |effect| matches!(effect, Effect::Delay(_)));
    if let Some(Effect::Delay(by)) = delay.as_ref().map(|rule| &rule.effect) {
        wait(*by).await;
    }
    let headers = core
        .rules()
        .take_all(hook, |effect| matches!(effect, Effect::Headers));
    if let Some(answer) = &mut real {
        for rule in headers {
            rule.add_headers(&mut answer.headers);
        }
    }
    let broken = core
        .rules()
        .take(hook, |effect| matches!(effect, Effect::Break(_)));
    if let Some(rule) = broken
        && let Effect::Break(breakage) = &rule.effect
    {
        let mut response = breakage.respond(real, cutter).await;
        rule.add_headers(response.headers_mut());
        return (Some(response), None);
    }
    (None, real)
}

fn edit(core: &Core, endpoint: Endpoint, answer: &mut Answer) {
    if !answer.status.is_success() {
        return;
    }
    if let AnswerBody::Json(value) = &mut answer.body {
        let edits = core.rules().take_all(Hook::After(endpoint), |effect| {
            matches!(effect, Effect::EditJson(_))
        });
        for rule in edits {
            if let Effect::EditJson(edit) = &rule.effect {
                edit(value);
            }
        }
    }
}

fn answer(core: &Core, endpoint: Endpoint, incoming: &Incoming) -> Answer {
    let allowed = endpoint.methods();
    if !allowed.split(", ").any(|m| m == incoming.method.as_str()) {
        let why = format!("use {allowed} for this endpoint");
        let refusal = Refusal::new("invalid_request", "K4", why);
        return Answer::refuse(StatusCode::METHOD_NOT_ALLOWED, refusal).with(ALLOW, allowed);
    }
    let Incoming {
        method,
        path,
        query,
        headers,
        form,
        body,
        ..
    } = incoming;
    let id = endpoint.id_in(path).unwrap_or_default();
    match endpoint {
        Endpoint::Discovery => discovery::discovery(core),
        Endpoint::Jwks => discovery::jwks(core),
        Endpoint::Authorize => authorize::authorize(core, method, headers, query, form),
        Endpoint::Token => token::token(core, headers, query, form),
        Endpoint::Userinfo => userinfo::userinfo(core, headers, query, form),
        Endpoint::Status => status::status(core, headers, id),
        Endpoint::OpenCase => cases::api::open(core, headers, body),
        Endpoint::ReadCase => cases::api::read(core, headers, id),
        Endpoint::DecideCase => cases::api::decide(core, headers, id, body),
        // Unreachable, because `respond` handles uploads.
        Endpoint::UploadCase => Answer::json(StatusCode::INTERNAL_SERVER_ERROR, json!({})),
        Endpoint::Health => Answer::json(StatusCode::OK, json!({ "status": "ok" })).no_store(),
        Endpoint::Verify => hosted::verify(core, method, headers, query, form),
        Endpoint::LlmsTxt => llms::llms_txt(core),
    }
}

fn plain(answer: Answer) -> (Response, Option<Refusal>) {
    let refusal = answer.refusal.clone();
    (answer.into_response(), refusal)
}

/// Creates a 404 response: JSON for a path below `/api/`, an HTML page for any other path (K4).
fn not_found(path: &str) -> Answer {
    if !path.starts_with("/api/") {
        return html::not_found(path);
    }
    let why = "unknown path; API paths end with a slash";
    Answer::refuse(StatusCode::NOT_FOUND, Refusal::new("not_found", "K4", why))
}

/// Reads the request body. Returns `None` if the body is too large or incomplete.
async fn read(body: Body) -> Option<Vec<u8>> {
    to_bytes(body, MAX_BODY).await.ok().map(Vec::from)
}

/// Returns the parameters for the log entry. Returns no parameters if the form is too large,
/// because the log keeps thousands of entries.
fn logged_params(params: &Params, size: usize) -> Params {
    if size > MAX_LOGGED_FORM {
        return Params::default();
    }
    params.clone()
}

fn too_large() -> Answer {
    let why = "the body is larger than 1 MiB or incomplete";
    let refusal = Refusal::new("invalid_request", "K26", why);
    Answer::refuse(StatusCode::PAYLOAD_TOO_LARGE, refusal)
}

/// Maximum size of logged parameters, in bytes.
const MAX_LOGGED_FORM: usize = 16 * 1024;

/// Maximum size of a request body, in bytes. No valid request has a larger body.
const MAX_BODY: usize = 1024 * 1024;
