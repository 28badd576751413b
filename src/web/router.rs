//! The routes.

use axum::{
    Router,
    routing::{MethodRouter, get, post},
};
use http::StatusCode;

use super::{
    login::{callback, login, step_up},
    logout::logout,
    me::me,
    settings::Settings,
};

pub(super) fn router<S: Clone + Send + Sync + 'static>(settings: &Settings) -> Router<S> {
    Router::new()
        .route(&settings.login_path(), no_head(get(login)))
        .route(
            &format!("{}/step-up", settings.prefix),
            no_head(get(step_up)),
        )
        .route(&settings.callback_path, no_head(get(callback)))
        .route(&format!("{}/logout", settings.prefix), post(logout))
        .route(&format!("{}/me", settings.prefix), get(me))
}

/// axum answers HEAD with the GET handler. These have effects, which nobody means by HEAD.
fn no_head<S: Clone + Send + Sync + 'static>(route: MethodRouter<S>) -> MethodRouter<S> {
    route.head(async || StatusCode::METHOD_NOT_ALLOWED)
}
