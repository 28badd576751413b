//! Handle and builder for clients (K12, K20).

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

/// Handle to a registered client.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
    record: ClientRecord,
}

impl Client {
    /// Returns the `client_id`.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Returns the `client_secret` from the registration, or `None` for a public client.
    pub fn secret(&self) -> Option<&str> {
        self.record.secret.as_deref()
    }

    /// Rotates the `client_secret` and returns the new secret. `old` states whether the old secret
    /// stays valid (K97). Returns `None` for a public client, which has no secret.
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

    /// Returns the current `client_secret`.
    pub(crate) fn current_secret(&self) -> Option<String> {
        let known = self.core.clients().get(&self.record.id);
        known.map_or_else(|| self.record.secret.clone(), |client| client.secret)
    }

    /// Returns the name that the sign-in page shows.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Returns the ID of the client's tenant.
    pub fn tenant(&self) -> &str {
        &self.record.tenant
    }

    /// Registers a redirect URI. The mock compares redirect URIs byte by byte (K12).
    ///
    /// The mock also accepts `http` for a loopback address or `localhost`, because tests and
    /// examples run there. KYCPort does not document whether it accepts `http` (K73).
    ///
    /// # Errors
    /// [`MockError::RedirectUri`] if the URI is not an absolute HTTPS URI, has a fragment, or
    /// contains a user name.
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

/// Omits the `client_secret` from the `Debug` output.
impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.record.id)
            .field("tenant", &self.record.tenant)
            .field("confidential", &self.record.secret.is_some())
            .finish_non_exhaustive()
    }
}

/// Builder for a client. [`create`](Self::create) registers the client.
#[must_use = "call `create` to register the client"]
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

    /// Makes the client public. A public client has no secret (K20).
    pub fn public(mut self) -> Self {
        self.record.secret = None;
        self
    }

    /// Sets the `client_id`. Default: a random ID.
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.record.id);
        self
    }

    /// Sets the `client_secret`, for an app with a fixed secret. Default: a random secret.
    pub fn secret(mut self, secret: &str) -> Self {
        self.record.secret = Some(secret.to_owned());
        self
    }

    /// Sets the tenant ID. Default: the name of the client.
    pub fn tenant(mut self, tenant: &str) -> Self {
        tenant.clone_into(&mut self.record.tenant);
        self
    }

    /// Registers the client. Replaces an existing client with the same ID.
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
