//! `GET {prefix}/me` returns the signed-in person as JSON, for scripts of the page.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    kyc::Assurance,
    web::{
        context::RequestContext,
        pages::problem::Problem,
        request::{audience::Audience, headers},
        session::LiveSession,
        settings::SignedOutMe,
    },
    wire::claims::AML_CLEAR,
};

/// Times are Unix timestamps in seconds. The request does not extend the session, so a page that
/// polls this route does not keep the session active.
pub(in crate::web) async fn me(
    context: RequestContext,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let settings = context.settings();
    match context.session().await {
        Ok(Some(live)) => {
            let assurance = live.latest.or_unknown(live.session.created_at);
            let mut person = describe(&live, &assurance);
            if settings.me_shows_aml
                && let Some(Value::Object(shown)) = person.get_mut("assurance")
            {
                shown.insert(AML_CLEAR.to_owned(), json!(assurance.aml_clear));
            }
            json_response(&person)
        }
        Ok(None) => match settings.signed_out_me {
            SignedOutMe::Null => json_response(&Value::Null),
            SignedOutMe::Unauthorized => Problem::SignedOut.answer(Audience::Fetch, &context),
        },
        Err(_) => Problem::StoreUnavailable.answer(Audience::of(&method, &headers), &context),
    }
}

fn describe(live: &LiveSession, assurance: &Assurance) -> Value {
    let session = &live.session;
    json!({
        "issuer": session.issuer,
        "subject": session.subject,
        "claims": {
            "email": session.email,
            "email_verified": session.email_verified,
            "name": session.name,
        },
        "scopes": session.scopes,
        "assurance": {
            "kyc_status": assurance.kyc_status,
            "kyc_tier": assurance.kyc_tier,
            "checked_at": assurance.checked_at.as_unix(),
            "source": assurance.source,
        },
        "auth_time": session.auth_time.map(Timestamp::as_unix),
        "session": {
            "id": live.id,
            "created_at": session.created_at.as_unix(),
            "idle_expires_at": live.idle_expires_at.as_unix(),
            "expires_at": session.expires_at.as_unix(),
        },
    })
}

/// Returns this value as a JSON response that no cache keeps.
pub(in crate::web) fn json_response(value: &Value) -> Response {
    let mut response = Body::from(value.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers::keep_private(headers);
    response
}
