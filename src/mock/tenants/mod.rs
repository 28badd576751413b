//! Handles to tenants, which own clients and API keys (K40, K43).

pub(super) mod access;

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use crate::mock::{core::Core, records::old_secret::OldSecret, webhooks::Webhooks};

/// A tenant at the mock. A tenant has clients and an API key for server-to-server calls.
///
/// By default, a tenant sees every person. A person that a test [created for other
/// tenants](super::NewPerson::only_for) becomes visible after the person signs in to a client of
/// the tenant ([K46](crate::guide::contract)).
#[derive(Clone)]
pub struct Tenant {
    core: Arc<Core>,
    id: String,
    api_key: String,
}

impl Tenant {
    /// Returns the ID of the tenant, as [`Client::tenant`](super::Client::tenant) does.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the API key at the time when this handle was created. The mock generates new keys at
    /// every start ([K40](crate::guide::contract)).
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Replaces the API key and returns the new key. `old` states whether the previous key stays
    /// valid ([K97](crate::guide::contract)).
    pub fn rotate_api_key(&self, old: OldSecret) -> String {
        let mut tenants = self.core.tenants();
        tenants.change(&self.id, |tenant| tenant.rotate_api_key(old));
        tenants.ensure(&self.id).api_key
    }

    /// Returns the handle to the tenant's webhook deliveries.
    pub fn webhooks(&self) -> Webhooks {
        Webhooks::new(Arc::clone(&self.core), &self.id)
    }

    /// Revokes the permission of the API key to read statuses. The response to a status request is
    /// then 403 ([K43](crate::guide::contract)).
    pub fn revoke_status_right(&self) {
        self.may_read_status(false);
    }

    /// Grants the API key the permission to read statuses.
    pub fn grant_status_right(&self) {
        self.may_read_status(true);
    }

    /// Returns the tenant with this ID. Creates the tenant if it does not exist.
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

/// The `Debug` output contains no API key.
impl Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
