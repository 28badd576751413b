//! Clients.

use std::sync::Arc;

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    no::No,
    route::{Nothing, Route},
};
use crate::mock::{
    oidc::client::Client,
    records::{client::ClientRecord, old_secret::OldSecret},
    start::{ClientKind, ClientSpec, texts::RedirectUri},
};

/// A client, and its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Client")]
pub(super) struct ClientView {
    id: String,
    /// `null` for a public client.
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

/// A redirect URI to register.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redirect {
    /// To be matched byte for byte (K12); HTTPS, or plain `http` on loopback (K73).
    #[schemars(with = "RedirectUri")]
    redirect_uri: String,
}

/// How a secret is replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// What becomes of the one before (K97).
    pub(super) old: OldSecret,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/clients", "listClients", "All clients.", list),
        Route::new(
            Method::POST,
            "/clients",
            "createClient",
            "Registers a client; one of the same id is replaced.",
            create,
        )
        .created(),
        Route::new(
            Method::GET,
            "/clients/{client}",
            "readClient",
            "A client.",
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
            "Replaces the secret of a confidential client.",
            rotate,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Nothing) -> Result<Vec<ClientView>, No> {
    let all = admin.core.clients().all();
    Ok(all.into_iter().map(Into::into).collect())
}

pub(super) fn create(admin: &Admin, _: &str, client: ClientSpec) -> Result<ClientView, No> {
    let client = client.create(&admin.core)?;
    read(admin, client.id(), Nothing {})
}

pub(super) fn read(admin: &Admin, id: &str, _: Nothing) -> Result<ClientView, No> {
    Ok(record(admin, id)?.into())
}

pub(super) fn register(admin: &Admin, id: &str, uri: Redirect) -> Result<ClientView, No> {
    let client = Client::new(Arc::clone(&admin.core), record(admin, id)?);
    client.register_redirect_uri(uri.redirect_uri)?;
    read(admin, id, Nothing {})
}

pub(super) fn rotate(admin: &Admin, id: &str, how: Rotation) -> Result<ClientView, No> {
    let client = Client::new(Arc::clone(&admin.core), record(admin, id)?);
    if client.rotate_secret(how.old).is_none() {
        return Err(No::conflict("a public client has no secret"));
    }
    read(admin, id, Nothing {})
}

pub(super) fn record(admin: &Admin, id: &str) -> Result<ClientRecord, No> {
    let known = admin.core.clients().get(id);
    known.ok_or_else(|| No::not_found("client"))
}
