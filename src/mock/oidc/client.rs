//! Clients: who may ask (K12, K20).

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use crate::mock::{
    core::Core,
    error::MockError,
    random,
    records::{
        client::{ClientRecord, check_redirect_uri},
        old_secret::OldSecret,
    },
};

/// A registered client, and the handle to it.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
    record: ClientRecord,
}

impl Client {
    /// The `client_id`.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// The `client_secret` that it was registered with; none for a public client.
    pub fn secret(&self) -> Option<&str> {
        self.record.secret.as_deref()
    }

    /// Replaces the `client_secret`, and gives the new one; `old` says what becomes of the one
    /// before it (K97). A public client stays one: none.
    pub fn rotate_secret(&self, old: OldSecret) -> Option<String> {
        let mut new = None;
        self.core.clients().change(&self.record.id, |client| {
            if let Some(secret) = &mut client.secret {
                old.replace(secret, &mut client.old_secret, random::token());
                new = Some(secret.clone());
            }
        });
        new
    }

    /// The `client_secret` as it is now.
    pub(crate) fn present_secret(&self) -> Option<String> {
        let known = self.core.clients().get(&self.record.id);
        known.map_or_else(|| self.record.secret.clone(), |client| client.secret)
    }

    /// The name that the authorize page shows.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The tenant it belongs to.
    pub fn tenant(&self) -> &str {
        &self.record.tenant
    }

    /// Registers a redirect URI, to be matched byte for byte (K12).
    ///
    /// Plain `http` is taken on a loopback address or `localhost`, which KYCPort does not
    /// document: tests and examples run there (K73).
    ///
    /// # Errors
    /// [`MockError::RedirectUri`] if it is not an absolute HTTPS URI, has a fragment, or carries
    /// a user name.
    pub fn register_redirect_uri(&self, uri: impl AsRef<str>) -> Result<(), MockError> {
        let uri = uri.as_ref();
        check_redirect_uri(uri)?;
        self.core.clients().change(&self.record.id, |client| {
            if !client.has_redirect_uri(uri) {
                client.redirect_uris.push(uri.to_owned());
            }
        });
        Ok(())
    }

    pub(in crate::mock) fn new(core: Arc<Core>, record: ClientRecord) -> Self {
        Self { core, record }
    }

    pub(in crate::mock) fn record(&self) -> &ClientRecord {
        &self.record
    }
}

/// Shows no secret.
impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.record.id)
            .field("tenant", &self.record.tenant)
            .field("confidential", &self.record.secret.is_some())
            .finish_non_exhaustive()
    }
}

/// A client about to be registered; [`create`](Self::create) does it.
#[must_use = "a client is registered by `create`"]
pub struct NewClient {
    core: Arc<Core>,
    record: ClientRecord,
}

impl NewClient {
    pub(in crate::mock) fn new(core: Arc<Core>, name: &str) -> Self {
        Self {
            core,
            record: ClientRecord {
                id: random::name("client_"),
                secret: Some(random::token()),
                old_secret: None,
                name: name.to_owned(),
                tenant: name.to_owned(),
                redirect_uris: Vec::new(),
            },
        }
    }

    /// Makes it a public client: without a secret (K20).
    pub fn public(mut self) -> Self {
        self.record.secret = None;
        self
    }

    /// Sets the `client_id`, which is random otherwise.
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.record.id);
        self
    }

    /// Sets the `client_secret`, which is random otherwise: for an app whose environment names one.
    pub fn secret(mut self, secret: &str) -> Self {
        self.record.secret = Some(secret.to_owned());
        self
    }

    /// Sets the tenant, which is named like the client otherwise.
    pub fn tenant(mut self, tenant: &str) -> Self {
        tenant.clone_into(&mut self.record.tenant);
        self
    }

    /// Registers it. A client of the same id is replaced.
    pub fn create(self) -> Client {
        self.core.tenants().ensure(&self.record.tenant);
        self.core.clients().insert(self.record.clone());
        Client::new(self.core, self.record)
    }
}

impl Debug for NewClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewClient")
            .field("id", &self.record.id)
            .finish_non_exhaustive()
    }
}
