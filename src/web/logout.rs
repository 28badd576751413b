//! `POST {prefix}/logout`: ends the session here. KYCPort documents no logout of its own, so none is
//! asked for, and none can fail.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};

use super::{
    context::RequestContext,
    csrf, headers,
    problem::{Audience, Problem},
    redirect::see_other,
};

pub(super) async fn logout(
    context: RequestContext,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let audience = Audience::of(&method, &headers);
    let settings = context.settings();
    // The layer has judged this for whoever bears a session cookie; nobody else posts here either.
    if !csrf::is_same_origin(&method, &headers, &settings.own_origins) {
        return Problem::CrossSite.answer(audience, settings);
    }
    if let Some(key) = context.session_key() {
        // Unless it is gone from the store it is not gone: the cookie stays, to try again.
        if context.sessions().end(key).await.is_err() {
            return Problem::StoreUnavailable.answer(audience, settings);
        }
    }
    context.delete_session_cookie();
    match audience {
        Audience::Page => see_other("/"),
        Audience::Fetch => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            headers::keep_private(response.headers_mut());
            response
        }
    }
}
