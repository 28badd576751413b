//! `POST {prefix}/logout` ends this session. With `everywhere=1` in the form or the query, the
//! route ends all sessions of the person.
//!
//! KYCPort documents no logout endpoint, so the logout sends no request to KYCPort.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header::CONTENT_TYPE};
use tracing::Instrument as _;
use url::form_urlencoded;

use crate::{
    observe::{self, Cause, Route},
    store::StoreError,
    web::{
        context::RequestContext,
        pages::problem::Problem,
        request::{audience::Audience, csrf, headers, redirect::see_other},
    },
};

/// Maximum length of the form, in bytes.
const MAX_FORM_BYTES: usize = 4096;
/// Maximum time to receive the form.
const FORM_DEADLINE: Duration = Duration::from_secs(10);

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// Sessions to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    ThisSession,
    AllSessions,
}

pub(in crate::web) async fn logout(
    context: RequestContext,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let audience = Audience::of(&method, &headers);
    observe::serve(Route::Logout, context.reference(), async {
        match end(&context, &method, &uri, &headers, body).await {
            Ok(()) => {
                context.delete_session_cookie();
                for name in context.login_cookies().names(&headers) {
                    context.delete_cookie(&name);
                }
                (signed_out(audience), "signed_out")
            }
            Err(problem) => (problem.answer(audience, &context), problem.code()),
        }
    })
    .await
}

async fn end(
    context: &RequestContext,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Problem> {
    // The layer checks requests with a session cookie. The logout also requires that requests
    // without a session cookie are same-origin.
    if !csrf::is_same_origin(method, headers, &context.settings().own_origins) {
        return Err(Problem::CrossSite);
    }
    match scope(uri, headers, body).await? {
        Scope::ThisSession => end_session(context).await,
        Scope::AllSessions => end_all_sessions(context).await,
    }
}

fn signed_out(audience: Audience) -> Response {
    match audience {
        Audience::Page => see_other("/"),
        Audience::Fetch => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            headers::keep_private(response.headers_mut());
            response
        }
    }
}

/// Ends this session. If the store fails, keeps the cookie. The person can then try again.
async fn end_session(context: &RequestContext) -> Result<(), Problem> {
    let sessions = context.sessions();
    if let Some(live) = context.session().await? {
        sessions.end(&live.owner, live.id, Cause::Logout).await?;
    } else if let Some(key) = context.session_key() {
        sessions.end_unusable(key, Cause::Logout).await?;
    }
    Ok(())
}

/// Ends all sessions of the person. Without an active session, the person is unknown. The response
/// is then an error, because the person may still be signed in elsewhere.
async fn end_all_sessions(context: &RequestContext) -> Result<(), Problem> {
    let live = context.session().await?.ok_or(Problem::SignedOut)?;
    let sessions = context.sessions().clone();
    // The revocation runs in a separate task, which completes even if the browser closes the
    // connection.
    let revoke = async move {
        let session = &live.session;
        sessions
            .revoke_all(&session.issuer, &session.subject, Cause::LogoutEverywhere)
            .await
    };
    let revoked = tokio::spawn(revoke.in_current_span()).await;
    revoked.unwrap_or(Err(StoreError::Failed))?;
    Ok(())
}

/// Reads which sessions the logout ends. A form that cannot be read is an error, because the form
/// may ask to end all sessions.
async fn scope(uri: &Uri, headers: &HeaderMap, body: Body) -> Result<Scope, Problem> {
    let read = tokio::time::timeout(FORM_DEADLINE, to_bytes(body, MAX_FORM_BYTES)).await;
    let Ok(Ok(form)) = read else {
        return Err(Problem::MalformedForm);
    };
    if !form.is_empty() && !is_form(headers) {
        return Err(Problem::MalformedForm);
    }
    let query = uri.query().unwrap_or_default().as_bytes();
    Ok(
        if asks_for_everywhere(query) || asks_for_everywhere(&form) {
            Scope::AllSessions
        } else {
            Scope::ThisSession
        },
    )
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.get(..FORM.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

fn asks_for_everywhere(pairs: &[u8]) -> bool {
    form_urlencoded::parse(pairs)
        .any(|(name, value)| name == "everywhere" && !matches!(&*value, "" | "0" | "false"))
}
