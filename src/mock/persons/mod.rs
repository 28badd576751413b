//! Persons: who is verified how far (K31, K33, K41).

pub(super) mod status;

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use crate::{
    clock::Timestamp,
    mock::{
        core::{Core, transition},
        records::person::PersonRecord,
        tenants::Tenant,
    },
    wire::kyc::{KycStatus, KycTier},
};

/// A person at the mock. What is changed here shows in the next token, userinfo and status
/// answer.
#[derive(Clone)]
pub struct Person {
    core: Arc<Core>,
    id: String,
    slug: String,
}

impl Person {
    /// The `sub` of the tokens, and the `person_id` of the API (K33). It follows from the slug,
    /// so that it is the same at every start.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The short name by which a test calls the person.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The email address.
    pub fn email(&self) -> String {
        self.read(|person| person.email.clone())
    }

    /// The full name.
    pub fn name(&self) -> String {
        self.read(|person| person.name.clone())
    }

    /// The tier now.
    pub fn tier(&self) -> KycTier {
        self.read(|person| person.tier.clone())
    }

    /// The status now.
    pub fn status(&self) -> KycStatus {
        self.read(|person| person.status.clone())
    }

    /// Sets the tier.
    pub fn set_tier(&self, tier: KycTier) {
        self.change(|person| person.tier = tier);
    }

    /// Sets the status. An [expiry](Self::expires_at) set before is forgotten.
    pub fn set_status(&self, status: KycStatus) {
        self.change(|person| person.settle(status));
    }

    /// Verifies the person to this tier, as when a pending verification passes.
    pub fn verify(&self, tier: KycTier) {
        self.change(|person| {
            person.tier = tier;
            person.settle(KycStatus::Verified);
        });
    }

    /// Rejects the person: the status becomes `rejected`, as when a pending verification fails.
    pub fn reject(&self) {
        self.set_status(KycStatus::Rejected);
    }

    /// From this moment of the issuer's clock a verified person is `expired`, in tokens, userinfo
    /// and status alike (K48).
    pub fn expires_at(&self, end: Timestamp) {
        self.change(|person| person.expires = Some(end));
    }

    /// [Expires](Self::expires_at) in this time from now, whole seconds, by the issuer's clock.
    pub fn expires_in(&self, time: Duration) {
        self.expires_at(self.core.now().saturating_add(time));
    }

    /// Sets `aml_clear`; with `None` the claim is absent (K31).
    pub fn set_aml_clear(&self, clear: Option<bool>) {
        self.change(|person| person.aml_clear = clear);
    }

    /// Sets the email address.
    pub fn set_email(&self, email: &str) {
        self.change(|person| email.clone_into(&mut person.email));
    }

    /// Sets whether the email address is verified.
    pub fn set_email_verified(&self, verified: bool) {
        self.change(|person| person.email_verified = verified);
    }

    /// Sets the full name.
    pub fn set_name(&self, name: &str) {
        self.change(|person| name.clone_into(&mut person.name));
    }

    pub(super) fn new(core: Arc<Core>, record: &PersonRecord) -> Self {
        Self {
            core,
            id: record.id.clone(),
            slug: record.slug.clone(),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&PersonRecord) -> T) -> T {
        read(&self.record())
    }

    pub(super) fn record(&self) -> PersonRecord {
        let known = self.core.person(&self.id);
        known.unwrap_or_else(|| PersonRecord::new(&self.slug))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut PersonRecord)) {
        transition::change(&self.core, &self.id, change);
    }
}

impl Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("id", &self.id)
            .field("slug", &self.slug)
            .finish_non_exhaustive()
    }
}

/// A person about to be created; [`create`](Self::create) does it.
///
/// Unless told otherwise: verified, `t2`, AML clear, `slug@example.test` (verified), and named
/// like the slug.
#[must_use = "a person is created by `create`"]
pub struct NewPerson {
    core: Arc<Core>,
    record: PersonRecord,
}

impl NewPerson {
    pub(super) fn new(core: Arc<Core>, slug: &str) -> Self {
        Self {
            core,
            record: PersonRecord::new(slug),
        }
    }

    /// Sets the tier.
    pub fn tier(mut self, tier: KycTier) -> Self {
        self.record.tier = tier;
        self
    }

    /// Sets the status.
    pub fn status(mut self, status: KycStatus) -> Self {
        self.record.status = status;
        self
    }

    /// Sets `aml_clear`.
    pub fn aml_clear(mut self, clear: bool) -> Self {
        self.record.aml_clear = Some(clear);
        self
    }

    /// Leaves `aml_clear` out of every answer (K31).
    pub fn aml_unknown(mut self) -> Self {
        self.record.aml_clear = None;
        self
    }

    /// Sets the email address.
    pub fn email(mut self, email: &str) -> Self {
        email.clone_into(&mut self.record.email);
        self
    }

    /// Sets whether the email address is verified.
    pub fn email_verified(mut self, verified: bool) -> Self {
        self.record.email_verified = verified;
        self
    }

    /// Sets the full name.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.record.name);
        self
    }

    /// Shows the person to this tenant alone: others get 404 until the person signs in to one of
    /// their clients (K46). Called again, to this one too. Otherwise every tenant sees them.
    pub fn only_for(mut self, tenant: &Tenant) -> Self {
        let seen_by = self.record.visible_to.get_or_insert_default();
        seen_by.insert(tenant.id().to_owned());
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut PersonRecord)) -> Self {
        change(&mut self.record);
        self
    }

    /// Creates the person; one of the same slug is overwritten.
    pub fn create(self) -> Person {
        let Self { core, record } = self;
        let person = Person::new(core, &record);
        person.core.persons().put(record);
        person
    }
}

impl Debug for NewPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPerson")
            .field("slug", &self.record.slug)
            .finish_non_exhaustive()
    }
}
