//! Persons in the JSON format of the admin API, which is also the format of the configuration file.
//! The server and its Rust clients share these types.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    nullable::Nullable,
    texts::{Name, check_name},
    values::{StatusValue, TierValue},
};
use crate::{
    clock::Timestamp,
    mock::{
        core::Core,
        deliveries::event::rfc3339,
        error::MockError,
        persons::{NewPerson, Person},
        records::person::PersonRecord,
        tenants::Tenant,
    },
    wire::kyc::{KycStatus, KycTier},
};

/// Person to create. Default: The person is verified at `t2` and has passed the AML check.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPerson")]
pub(in crate::mock) struct PersonSpec {
    /// Short name. The mock derives the person ID from the slug.
    #[schemars(with = "Name")]
    pub(in crate::mock) slug: String,
    pub(in crate::mock) name: Option<String>,
    pub(in crate::mock) email: Option<String>,
    pub(in crate::mock) email_verified: Option<bool>,
    #[serde(default, deserialize_with = "known::<_, StatusValue, _>")]
    #[schemars(with = "Option<StatusValue>")]
    pub(in crate::mock) status: Option<KycStatus>,
    #[serde(default, deserialize_with = "known::<_, TierValue, _>")]
    #[schemars(with = "Option<TierValue>")]
    pub(in crate::mock) tier: Option<KycTier>,
    /// AML result. `null` omits `aml_clear` from every response (K31).
    #[serde(default, skip_serializing_if = "Nullable::is_absent")]
    pub(in crate::mock) aml_clear: Nullable<bool>,
    /// Time until the verification expires, in seconds, by the issuer's clock (K48).
    pub(in crate::mock) expires_in_seconds: Option<u64>,
    /// Tenants that can see this person (K46). Default: all tenants.
    #[serde(default)]
    pub(in crate::mock) only_for: Vec<String>,
}

/// Changes of a person. The mock applies all changes together and queues at most one event.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::mock) struct PersonChange {
    pub(in crate::mock) name: Option<String>,
    pub(in crate::mock) email: Option<String>,
    pub(in crate::mock) email_verified: Option<bool>,
    #[serde(deserialize_with = "known::<_, StatusValue, _>")]
    #[schemars(with = "Option<StatusValue>")]
    pub(in crate::mock) status: Option<KycStatus>,
    #[serde(deserialize_with = "known::<_, TierValue, _>")]
    #[schemars(with = "Option<TierValue>")]
    pub(in crate::mock) tier: Option<KycTier>,
    /// AML result. `null` omits `aml_clear` from every response (K31).
    #[serde(skip_serializing_if = "Nullable::is_absent")]
    pub(in crate::mock) aml_clear: Nullable<bool>,
    /// Time until the verification expires, in seconds, by the issuer's clock (K48).
    pub(in crate::mock) expires_in_seconds: Option<u64>,
}

/// Current state of a person.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Person")]
pub(in crate::mock) struct PersonView {
    /// Person ID, which is `sub` in tokens and `person_id` in the tenant API.
    pub(in crate::mock) id: String,
    pub(in crate::mock) slug: String,
    name: String,
    email: String,
    email_verified: bool,
    #[schemars(with = "String")]
    pub(in crate::mock) status: KycStatus,
    #[schemars(with = "String")]
    pub(in crate::mock) tier: KycTier,
    /// AML result, or `null` if responses omit `aml_clear`.
    aml_clear: Option<bool>,
    expires_at: Option<String>,
    /// Tenants that see this person, or `null` for all tenants.
    visible_to: Option<Vec<String>>,
}

impl PersonSpec {
    /// Creates the person. Replaces an existing person with the same slug.
    pub(in crate::mock) fn create(self, core: &Arc<Core>) -> Result<Person, MockError> {
        check_name("slug", &self.slug)?;
        let change = PersonChange {
            name: self.name,
            email: self.email,
            email_verified: self.email_verified,
            status: self.status,
            tier: self.tier,
            aml_clear: self.aml_clear,
            expires_in_seconds: self.expires_in_seconds,
        };
        let now = core.now();
        let mut person =
            NewPerson::new(Arc::clone(core), &self.slug).with(|record| change.apply(record, now));
        for tenant in &self.only_for {
            person = person.only_for(&Tenant::ensure(Arc::clone(core), tenant));
        }
        Ok(person.create())
    }
}

impl PersonChange {
    pub(in crate::mock) fn apply(self, to: &mut PersonRecord, now: Timestamp) {
        if let Some(name) = self.name {
            to.name = name;
        }
        if let Some(email) = self.email {
            to.email = email;
        }
        if let Some(verified) = self.email_verified {
            to.email_verified = verified;
        }
        if let Some(tier) = self.tier {
            to.tier = tier;
        }
        self.aml_clear.set(&mut to.aml_clear, |clear| clear);
        if let Some(status) = self.status {
            to.settle(status);
        }
        if let Some(seconds) = self.expires_in_seconds {
            to.expires = Some(now.saturating_add(Duration::from_secs(seconds)));
        }
    }
}

impl From<PersonRecord> for PersonView {
    fn from(person: PersonRecord) -> Self {
        Self {
            id: person.id,
            slug: person.slug,
            name: person.name,
            email: person.email,
            email_verified: person.email_verified,
            status: person.status,
            tier: person.tier,
            aml_clear: person.aml_clear,
            expires_at: person.expires.map(rfc3339),
            visible_to: person.visible_to.map(|all| all.into_iter().collect()),
        }
    }
}

/// Reads one of the values of `V`. A client can send any value, but the mock accepts only known
/// values.
fn known<'de, D: Deserializer<'de>, V: Deserialize<'de> + Into<T>, T>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<V>::deserialize(from)?.map(Into::into))
}
