//! Handles to persons and their verification state (K31, K33, K41).

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

/// A person at the mock. A change applies to the next token, userinfo response and status response.
#[derive(Clone)]
pub struct Person {
    core: Arc<Core>,
    id: String,
    slug: String,
}

impl Person {
    /// Returns the person ID, which is `sub` in tokens and `person_id` in the tenant API
    /// ([K33](crate::guide::contract)).
    ///
    /// The mock derives the ID from the slug, so a slug has the same ID at every start.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the short name that the test chose for the person.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Returns the email address.
    pub fn email(&self) -> String {
        self.read(|person| person.email.clone())
    }

    /// Returns the full name.
    pub fn name(&self) -> String {
        self.read(|person| person.name.clone())
    }

    /// Returns the current tier.
    pub fn tier(&self) -> KycTier {
        self.read(|person| person.tier.clone())
    }

    /// Returns the current status.
    pub fn status(&self) -> KycStatus {
        self.read(|person| person.status.clone())
    }

    /// Sets the tier of the person.
    pub fn set_tier(&self, tier: KycTier) {
        self.change(|person| person.tier = tier);
    }

    /// Sets the status and removes the [expiry](Self::expires_at).
    pub fn set_status(&self, status: KycStatus) {
        self.change(|person| person.settle(status));
    }

    /// Verifies the person at this tier, as after a successful verification.
    pub fn verify(&self, tier: KycTier) {
        self.change(|person| {
            person.tier = tier;
            person.settle(KycStatus::Verified);
        });
    }

    /// Sets the status to `rejected`, as after a failed verification.
    pub fn reject(&self) {
        self.set_status(KycStatus::Rejected);
    }

    /// Sets the time at which a verified person becomes `expired`, by the issuer's clock. Tokens,
    /// userinfo and the status endpoint then contain the new status
    /// ([K48](crate::guide::contract)).
    pub fn expires_at(&self, end: Timestamp) {
        self.change(|person| person.expires = Some(end));
    }

    /// Sets the [expiry](Self::expires_at) to this time from now, in whole seconds of the issuer's
    /// clock.
    pub fn expires_in(&self, time: Duration) {
        self.expires_at(self.core.now().saturating_add(time));
    }

    /// Sets the claim `aml_clear`. `None` removes the claim ([K31](crate::guide::contract)).
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

/// Builder for a person. Call [`create`](Self::create) to create the person.
///
/// Default values: the person is `verified` at tier `t2` and has passed the AML check. The email
/// address is `slug@example.test` and is verified. The name is the slug with an upper-case first
/// letter.
#[must_use = "call `create` to create the person"]
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

    /// Sets the tier of the person.
    pub fn tier(mut self, tier: KycTier) -> Self {
        self.record.tier = tier;
        self
    }

    /// Sets the status of the person.
    pub fn status(mut self, status: KycStatus) -> Self {
        self.record.status = status;
        self
    }

    /// Sets the claim `aml_clear`.
    pub fn aml_clear(mut self, clear: bool) -> Self {
        self.record.aml_clear = Some(clear);
        self
    }

    /// Omits `aml_clear` from every token and response ([K31](crate::guide::contract)).
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

    /// Makes the person visible only to this tenant. Each further call of this method adds a
    /// tenant.
    ///
    /// Other tenants get the response 404 until the person signs in to one of the tenant's clients
    /// ([K46](crate::guide::contract)).
    pub fn only_for(mut self, tenant: &Tenant) -> Self {
        let seen_by = self.record.visible_to.get_or_insert_default();
        seen_by.insert(tenant.id().to_owned());
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut PersonRecord)) -> Self {
        change(&mut self.record);
        self
    }

    /// Creates the person. Replaces an existing person with the same slug.
    pub fn create(self) -> Person {
        let Self { core, mut record } = self;
        if record.status == KycStatus::Verified {
            record.verified_at = Some(core.now());
        }
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
