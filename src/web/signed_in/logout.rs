//! `POST {prefix}/logout`: ends the session here, or with `everywhere=1` in the form or in the query
//! all sessions of the person. KYCPort documents no logout of its own, so none is asked for, and none can fail.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header::CONTENT_TYPE};
use url::form_urlencoded;

use crate::{
    observe::{self, Cause, Route},
    web::{
        context::RequestContext,
        pages::problem::Problem,
        request::{audience::Audience, csrf, headers, redirect::see_other},
    },
};

/// The form is not longer …
const MAX_FORM_BYTES: usize = 4096;
/// … and here in so long.
const FORM_DEADLINE: Duration = Duration::from_secs(10);

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// How far somebody is signed out.
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
    // The layer has judged this for whoever bears a session cookie; nobody else posts here either.
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

/// Unless it is gone from the store it is not gone: the cookie stays, to try again.
async fn end_session(context: &RequestContext) -> Result<(), Problem> {
    let Some(key) = context.session_key() else {
        return Ok(());
    };
    context.sessions().end_by_key(key, Cause::Logout).await?;
    Ok(())
}

/// Without a live session it is not known whose the others are, and that is said: who reads "signed
/// out" must not think of them as ended.
async fn end_all_sessions(context: &RequestContext) -> Result<(), Problem> {
    let live = context.session().await?.ok_or(Problem::SignedOut)?;
    let session = &live.session;
    context
        .sessions()
        .revoke_all(&session.issuer, &session.subject, Cause::LogoutEverywhere)
        .await?;
    Ok(())
}

/// What cannot be read is not taken for "here": more may have been asked for.
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
