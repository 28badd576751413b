//! Routes of the login router.

use axum::{
    Router,
    routing::{MethodRouter, get, post},
};
use http::{HeaderMap, HeaderValue, Method, header::ALLOW};

use super::{
    context::RequestContext,
    login::{callback, login, step_up, step_up_state},
    pages::problem::Problem,
    request::audience::Audience,
    settings::Settings,
    signed_in::{logout::logout, me::me},
};

pub(super) fn router<S: Clone + Send + Sync + 'static>(settings: &Settings) -> Router<S> {
    Router::new()
        .route(&settings.login_path(), only("GET", get(login)))
        .route(
            &format!("{}/step-up", settings.prefix),
            only("GET", get(step_up)),
        )
        .route(
            &format!("{}/step-up/state", settings.prefix),
            only("GET, HEAD, POST", get(step_up_state).post(step_up_state)),
        )
        .route(&settings.callback_path, only("GET", get(callback)))
        .route(
            &format!("{}/logout", settings.prefix),
            only("POST", post(logout)),
        )
        .route(
            &format!("{}/me", settings.prefix),
            only("GET, HEAD", get(me)),
        )
}

/// Responds to other methods with 405 and the allowed methods (RFC 9110 section 15.5.6).
fn only<S: Clone + Send + Sync + 'static>(
    allowed: &'static str,
    route: MethodRouter<S>,
) -> MethodRouter<S> {
    let refuse = async move |context: RequestContext, method: Method, headers: HeaderMap| {
        let audience = Audience::of(&method, &headers);
        let mut response = Problem::MethodNotAllowed.answer(audience, &context);
        let allowed = HeaderValue::from_static(allowed);
        response.headers_mut().insert(ALLOW, allowed);
        response
    };
    // axum would call the GET handler for HEAD, and the GET handlers of the login routes have side
    // effects.
    let route = if allowed == "GET" {
        route.head(refuse)
    } else {
        route
    };
    route.fallback(refuse)
}
