//! Admin API routes for clients.

use std::sync::Arc;

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    api_error::ApiError,
    route::{Empty, Route},
};
use crate::mock::{
    oidc::client::Client,
    records::{client::ClientRecord, old_secret::OldSecret},
    start::{ClientKind, ClientSpec, texts::RedirectUri},
};

/// Registered client with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Client")]
pub(super) struct ClientView {
    id: String,
    /// Secret of the client, or `null` for a public client.
    secret: Option<String>,
    kind: ClientKind,
    name: String,
    tenant: String,
    redirect_uris: Vec<String>,
}

impl From<ClientRecord> for ClientView {
    fn from(client: ClientRecord) -> Self {
        let kind = match client.secret {
            Some(_) => ClientKind::Confidential,
            None => ClientKind::Public,
        };
        Self {
            id: client.id,
            secret: client.secret,
            kind,
            name: client.name,
            tenant: client.tenant,
            redirect_uris: client.redirect_uris,
        }
    }
}

/// Body of a request that registers a redirect URI.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redirect {
    /// The mock compares the URI byte by byte (K12). The URI must use HTTPS, except for loopback
    /// hosts (K73).
    #[schemars(with = "RedirectUri")]
    redirect_uri: String,
}

/// Body of a request that rotates a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// Whether the old secret stays valid (K97).
    pub(super) old: OldSecret,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/clients",
            "listClients",
            "Lists all clients.",
            list,
        ),
        Route::new(
            Method::POST,
            "/clients",
            "createClient",
            "Registers a client. Replaces an existing client with the same ID.",
            create,
        )
        .created(),
        Route::new(
            Method::GET,
            "/clients/{client}",
            "readClient",
            "Returns a client.",
            read,
        ),
        Route::new(
            Method::POST,
            "/clients/{client}/redirect_uris",
            "registerRedirectUri",
            "Registers a redirect URI.",
            register,
        ),
        Route::new(
            Method::POST,
            "/clients/{client}/rotate_secret",
            "rotateClientSecret",
            "Rotates the secret of a confidential client.",
            rotate,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Empty) -> Result<Vec<ClientView>, ApiError> {
    let all = admin.core.clients().all();
    Ok(all.into_iter().map(Into::into).collect())
}

pub(super) fn create(admin: &Admin, _: &str, client: ClientSpec) -> Result<ClientView, ApiError> {
    let client = client.create(&admin.core)?;
    read(admin, client.id(), Empty {})
}

pub(super) fn read(admin: &Admin, id: &str, _: Empty) -> Result<ClientView, ApiError> {
    Ok(record(admin, id)?.into())
}

pub(super) fn register(admin: &Admin, id: &str, uri: Redirect) -> Result<ClientView, ApiError> {
    let client = Client::new(Arc::clone(&admin.core), record(admin, id)?);
    client.register_redirect_uri(uri.redirect_uri)?;
    read(admin, id, Empty {})
}

pub(super) fn rotate(admin: &Admin, id: &str, rotation: Rotation) -> Result<ClientView, ApiError> {
    let client = Client::new(Arc::clone(&admin.core), record(admin, id)?);
    if client.rotate_secret(rotation.old).is_none() {
        return Err(ApiError::conflict("a public client has no secret"));
    }
    read(admin, id, Empty {})
}

pub(super) fn record(admin: &Admin, id: &str) -> Result<ClientRecord, ApiError> {
    let known = admin.core.clients().get(id);
    known.ok_or_else(|| ApiError::not_found("client"))
}
