//! The signing keys.

use std::sync::Arc;

use axum::http::Method;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Admin,
    no::No,
    route::{Nothing, Route},
};
use crate::mock::oidc::keys::Keys;

/// The keys' ids.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Keys")]
pub(super) struct KeysView {
    /// The one that signs.
    active: String,
    /// Those in the served set.
    published: Vec<String>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/keys", "readKeys", "The keys' ids.", read),
        Route::new(
            Method::POST,
            "/keys/publish_next",
            "publishNextKey",
            "Publishes a fresh key that does not sign yet.",
            publish_next,
        ),
        Route::new(
            Method::POST,
            "/keys/promote",
            "promoteKey",
            "From here the next key signs.",
            promote,
        ),
        Route::new(
            Method::POST,
            "/keys/retire_old",
            "retireOldKeys",
            "Takes every key that signed before out of the set.",
            retire_old,
        ),
        Route::new(
            Method::POST,
            "/keys/rotate",
            "rotateKeys",
            "All three at once.",
            rotate,
        ),
    ]
}

pub(super) fn read(admin: &Admin, _: &str, _: Nothing) -> Result<KeysView, No> {
    let keys = keys(admin);
    Ok(KeysView {
        active: keys.active_kid(),
        published: keys.published_kids(),
    })
}

pub(super) fn publish_next(admin: &Admin, _: &str, _: Nothing) -> Result<KeysView, No> {
    keys(admin).publish_next();
    read(admin, "", Nothing {})
}

pub(super) fn promote(admin: &Admin, _: &str, _: Nothing) -> Result<KeysView, No> {
    keys(admin).promote();
    read(admin, "", Nothing {})
}

pub(super) fn retire_old(admin: &Admin, _: &str, _: Nothing) -> Result<KeysView, No> {
    keys(admin).retire_old();
    read(admin, "", Nothing {})
}

pub(super) fn rotate(admin: &Admin, _: &str, _: Nothing) -> Result<KeysView, No> {
    keys(admin).rotate();
    read(admin, "", Nothing {})
}

fn keys(admin: &Admin) -> Keys {
    Keys::new(Arc::clone(&admin.core))
}
