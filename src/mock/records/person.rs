//! Stored persons (K31, K33, K41).

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::{
    clock::Timestamp,
    mock::random,
    wire::{
        cases::Outcome,
        kyc::{KycStatus, KycTier},
    },
};

#[derive(Clone)]
pub(in crate::mock) struct PersonRecord {
    pub(in crate::mock) id: String,
    pub(in crate::mock) slug: String,
    pub(in crate::mock) name: String,
    pub(in crate::mock) email: String,
    pub(in crate::mock) email_verified: bool,
    pub(in crate::mock) tier: KycTier,
    pub(in crate::mock) status: KycStatus,
    pub(in crate::mock) aml_clear: Option<bool>,
    /// The time at which the verification expires (K48).
    pub(in crate::mock) expires: Option<Timestamp>,
    /// Time of the last verification that succeeded (K31).
    pub(in crate::mock) verified_at: Option<Timestamp>,
    /// The tenants that can see this person. `None` means all tenants (K46).
    pub(in crate::mock) visible_to: Option<BTreeSet<String>>,
    /// The verification state in the last event that the mock queued about this person.
    pub(in crate::mock) last_reported: VerificationState,
}

/// The verification state that an event reports (K63).
pub(super) type VerificationState = (KycStatus, KycTier, Option<bool>);

impl PersonRecord {
    pub(in crate::mock) fn new(slug: &str) -> Self {
        let digest = Sha256::digest(slug.as_bytes());
        let mut letters = slug.chars();
        let name = letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect())
            .unwrap_or_default();
        Self {
            id: random::hex("person_", digest.get(..10).unwrap_or_default()),
            slug: slug.to_owned(),
            name,
            email: format!("{slug}@example.test"),
            email_verified: true,
            tier: KycTier::T2,
            status: KycStatus::Verified,
            aml_clear: Some(true),
            expires: None,
            verified_at: None,
            visible_to: None,
            last_reported: (KycStatus::Verified, KycTier::T2, Some(true)),
        }
    }

    pub(in crate::mock) fn verification_state(&self) -> VerificationState {
        (self.status.clone(), self.tier.clone(), self.aml_clear)
    }

    /// Sets the status and removes the expiry of the previous verification (K48).
    pub(in crate::mock) fn settle(&mut self, status: KycStatus) {
        self.status = status;
        self.expires = None;
    }

    /// Records the time of a verification that succeeded since the last event.
    pub(in crate::mock) fn record_verification(&mut self, now: Timestamp) {
        let reported = (&self.last_reported.0, &self.last_reported.1);
        let current = self.clone().at(now);
        let is_unchanged = reported == (&current.status, &current.tier);
        if current.status == KycStatus::Verified && !is_unchanged {
            self.verified_at = Some(now);
        }
    }

    /// Returns the time of the verification, if the person is or was verified.
    pub(in crate::mock) fn shown_verified_at(&self) -> Option<Timestamp> {
        let was_verified = matches!(self.status, KycStatus::Verified | KycStatus::Expired);
        self.verified_at.filter(|_| was_verified)
    }

    /// Applies the decision of a case to the person (K74).
    pub(in crate::mock) fn decided(&mut self, outcome: &Outcome, level: &KycTier, now: Timestamp) {
        let verified = self.clone().at(now).verified_tier();
        match outcome {
            Outcome::Approved => {
                let own = verified.filter(|own| own > level);
                self.tier = own.unwrap_or_else(|| level.clone());
                self.settle(KycStatus::Verified);
            }
            Outcome::Rejected => self.settle(KycStatus::Rejected),
            _ if verified.is_none() => self.settle(KycStatus::Pending),
            _ => {}
        }
    }

    /// Returns the record of the person as of `now`. The verification may have expired since the
    /// last change (K48).
    pub(in crate::mock) fn at(mut self, now: Timestamp) -> Self {
        let over = self.expires.is_some_and(|end| end <= now);
        if over && self.status == KycStatus::Verified {
            self.status = KycStatus::Expired;
        }
        self
    }

    /// Returns the tier if the person's verification is valid.
    pub(in crate::mock) fn verified_tier(&self) -> Option<KycTier> {
        (self.status == KycStatus::Verified).then(|| self.tier.clone())
    }

    /// Whether the person is verified at this tier or a higher tier.
    pub(in crate::mock) fn reaches(&self, tier: &KycTier) -> bool {
        self.verified_tier().is_some_and(|own| own.satisfies(tier))
    }

    pub(in crate::mock) fn is_visible_to(&self, tenant: &str) -> bool {
        self.visible_to
            .as_ref()
            .is_none_or(|tenants| tenants.contains(tenant))
    }

    /// Makes the person visible to a tenant after the person signed in to a client of the tenant
    /// (K46).
    pub(in crate::mock) fn show_to(&mut self, tenant: &str) {
        if let Some(tenants) = &mut self.visible_to {
            tenants.insert(tenant.to_owned());
        }
    }
}

/// All persons, in the order of creation. The sign-in page lists the persons in this order.
#[derive(Clone, Default)]
pub(in crate::mock) struct Persons(Vec<PersonRecord>);

impl Persons {
    /// Finds a person by ID, slug or email address.
    pub(in crate::mock) fn find(&self, hint: &str) -> Option<PersonRecord> {
        self.0
            .iter()
            .find(|p| p.id == hint || p.slug == hint || p.email == hint)
            .cloned()
    }

    pub(in crate::mock) fn all(&self) -> Vec<PersonRecord> {
        self.0.clone()
    }

    /// Stores a person. The mock queues no event when it creates a person (K86).
    pub(in crate::mock) fn put(&mut self, mut record: PersonRecord) {
        record.last_reported = record.verification_state();
        match self.0.iter_mut().find(|person| person.id == record.id) {
            Some(person) => *person = record,
            None => self.0.push(record),
        }
    }

    /// Returns a person for modification. Only [`transition`](crate::mock::core::transition) may
    /// change the verification state.
    pub(in crate::mock) fn find_mut(&mut self, id: &str) -> Option<&mut PersonRecord> {
        self.0.iter_mut().find(|person| person.id == id)
    }

    pub(in crate::mock) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PersonRecord> {
        self.0.iter_mut()
    }

    /// Returns the time of the next expiry after `now` (K48).
    pub(in crate::mock) fn next_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.0.iter().filter_map(|person| person.expires);
        ends.filter(|end| *end > now).min()
    }
}
