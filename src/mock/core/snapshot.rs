//! Snapshot of an issuer's initial state, for a reset.

use super::Core;
use crate::mock::{
    deliveries::job::EndpointRecord,
    jws::key_ring::KeyRing,
    records::{case::CaseBook, client::Clients, grants::Grants, person::Persons, tenant::Tenants},
    switches::Switches,
};

/// Initial state of an issuer. The snapshot contains no data that a test created after the start.
pub(in crate::mock) struct Snapshot {
    switches: Switches,
    keys: KeyRing,
    clients: Clients,
    tenants: Tenants,
    persons: Persons,
    endpoints: Vec<EndpointRecord>,
}

impl Snapshot {
    pub(in crate::mock) fn of(core: &Core) -> Self {
        Self {
            switches: core.switches(),
            keys: core.keys().clone(),
            clients: core.clients().clone(),
            tenants: core.tenants().clone(),
            persons: core.persons().clone(),
            endpoints: core.outbox().endpoints().to_vec(),
        }
    }

    /// Restores the initial state, including the secrets and the keys. A running app therefore
    /// stays connected. Faults with a guard remain installed, because the guard owns them.
    pub(in crate::mock) fn restore(&self, core: &Core) {
        core.switch(|switches| self.switches.clone_into(switches));
        self.keys.clone_into(&mut core.keys());
        self.clients.clone_into(&mut core.clients());
        self.tenants.clone_into(&mut core.tenants());
        *core.cases() = CaseBook::default();
        let mut persons = core.persons();
        self.persons.clone_into(&mut persons);
        core.outbox().reset(self.endpoints.clone());
        drop(persons);
        *core.grants() = Grants::default();
        core.log().clear();
    }
}
