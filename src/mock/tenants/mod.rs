//! Tenants: whose clients and API keys they are (K40, K43).

pub(super) mod access;

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use crate::mock::{core::Core, records::old_secret::OldSecret, webhooks::Webhooks};

/// A tenant at the mock: it has clients, and an API key for calls from server to server.
///
/// A tenant sees a person if the person was not created [for others
/// alone](super::NewPerson::only_for), or since they signed in to one of its clients (K46).
#[derive(Clone)]
pub struct Tenant {
    core: Arc<Core>,
    id: String,
    api_key: String,
}

impl Tenant {
    /// Its name, as [`Client::tenant`](super::Client::tenant) gives it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its API key when this handle was made, fresh at every start (K40).
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Replaces its API key, and gives the new one; `old` says what becomes of the one before it
    /// (K97).
    pub fn rotate_api_key(&self, old: OldSecret) -> String {
        let mut tenants = self.core.tenants();
        tenants.change(&self.id, |tenant| tenant.rotate_api_key(old));
        tenants.ensure(&self.id).api_key
    }

    /// What is delivered to it.
    pub fn webhooks(&self) -> Webhooks {
        Webhooks::new(Arc::clone(&self.core), &self.id)
    }

    /// From here its key may not read statuses: 403 (K43).
    pub fn revoke_status_right(&self) {
        self.may_read_status(false);
    }

    /// Its key may read statuses again.
    pub fn grant_status_right(&self) {
        self.may_read_status(true);
    }

    /// The tenant of this id, which comes into being if there is none.
    pub(super) fn ensure(core: Arc<Core>, id: &str) -> Self {
        let record = core.tenants().ensure(id);
        Self {
            core,
            id: record.id,
            api_key: record.api_key,
        }
    }

    fn may_read_status(&self, may: bool) {
        let mut tenants = self.core.tenants();
        tenants.change(&self.id, |tenant| tenant.may_read_status = may);
    }
}

/// Shows no key.
impl Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
