//! Admin API routes for the signing keys.

use std::sync::Arc;

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    api_error::ApiError,
    route::{Empty, Route},
};
use crate::mock::oidc::keys::Keys;

/// Key IDs of the issuer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Keys")]
pub(in crate::mock) struct KeysView {
    /// `kid` of the key that signs.
    pub(in crate::mock) active: String,
    /// `kid`s in the published key set.
    pub(in crate::mock) published: Vec<String>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/keys",
            "readKeys",
            "Returns the key IDs.",
            read,
        ),
        Route::new(
            Method::POST,
            "/keys/publish_next",
            "publishNextKey",
            "Publishes a new key but does not sign with it yet.",
            publish_next,
        ),
        Route::new(
            Method::POST,
            "/keys/promote",
            "promoteKey",
            "Makes the next key the signing key.",
            promote,
        ),
        Route::new(
            Method::POST,
            "/keys/retire_old",
            "retireOldKeys",
            "Removes all previous signing keys from the key set.",
            retire_old,
        ),
        Route::new(
            Method::POST,
            "/keys/rotate",
            "rotateKeys",
            "Publishes a new key, makes it the signing key and removes the previous keys.",
            rotate,
        ),
    ]
}

pub(super) fn read(admin: &Admin, _: &str, _: Empty) -> Result<KeysView, ApiError> {
    let keys = keys(admin);
    Ok(KeysView {
        active: keys.active_kid(),
        published: keys.published_kids(),
    })
}

pub(super) fn publish_next(admin: &Admin, _: &str, _: Empty) -> Result<KeysView, ApiError> {
    keys(admin).publish_next();
    read(admin, "", Empty {})
}

pub(super) fn promote(admin: &Admin, _: &str, _: Empty) -> Result<KeysView, ApiError> {
    keys(admin).promote();
    read(admin, "", Empty {})
}

pub(super) fn retire_old(admin: &Admin, _: &str, _: Empty) -> Result<KeysView, ApiError> {
    keys(admin).retire_old();
    read(admin, "", Empty {})
}

pub(super) fn rotate(admin: &Admin, _: &str, _: Empty) -> Result<KeysView, ApiError> {
    keys(admin).rotate();
    read(admin, "", Empty {})
}

fn keys(admin: &Admin) -> Keys {
    Keys::new(Arc::clone(&admin.core))
}
