//! Persons at a mock in another process.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    RemoteMock,
    call::{Admin, RemoteError, segment},
};
use crate::wire::kyc::{KycStatus, KycTier};

#[derive(Deserialize)]
struct PersonView {
    id: String,
    slug: String,
    status: KycStatus,
    tier: KycTier,
}

/// Persons.
impl RemoteMock {
    /// A person to create, by the short name that the test uses.
    pub fn person(&self, slug: &str) -> NewRemotePerson {
        let mut facts = Map::new();
        facts.insert("slug".to_owned(), slug.into());
        NewRemotePerson {
            admin: self.admin.clone(),
            facts,
        }
    }

    /// A person that was created, by slug, id or email address.
    ///
    /// # Errors
    /// [`RemoteError`] if there is none, or it could not be asked.
    pub async fn find_person(&self, hint: &str) -> Result<RemotePerson, RemoteError> {
        let path = format!("/persons/{}", segment(hint));
        let person = self.admin.get(&path).await?;
        Ok(RemotePerson::new(self.admin.clone(), person))
    }
}

/// A person about to be created; [`create`](Self::create) does it.
#[must_use = "a person is created by `create`"]
pub struct NewRemotePerson {
    admin: Admin,
    facts: Map<String, Value>,
}

impl NewRemotePerson {
    /// Sets the tier.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "called as the mock in process is"
    )]
    pub fn tier(self, tier: KycTier) -> Self {
        self.with("tier", tier.as_str().into())
    }

    /// Sets the status.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "called as the mock in process is"
    )]
    pub fn status(self, status: KycStatus) -> Self {
        self.with("status", json!(status))
    }

    /// Sets `aml_clear`; with `None` it is left out of every answer (K31).
    pub fn aml_clear(self, clear: Option<bool>) -> Self {
        self.with("aml_clear", json!(clear))
    }

    /// Sets the email address.
    pub fn email(self, email: &str) -> Self {
        self.with("email", email.into())
    }

    /// Sets the full name.
    pub fn name(self, name: &str) -> Self {
        self.with("name", name.into())
    }

    /// Creates the person; one of the same slug is overwritten.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked, or a word is none that it knows.
    pub async fn create(self) -> Result<RemotePerson, RemoteError> {
        let person = self.admin.post("/persons", &self.facts).await?;
        Ok(RemotePerson::new(self.admin, person))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.facts.insert(name.to_owned(), value);
        self
    }
}

impl Debug for NewRemotePerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRemotePerson").finish_non_exhaustive()
    }
}

/// A person at a mock in another process.
#[derive(Clone)]
pub struct RemotePerson {
    admin: Admin,
    id: String,
    slug: String,
}

impl RemotePerson {
    /// The `sub` of the tokens.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The short name by which a test calls the person.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Status and tier now.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn standing(&self) -> Result<(KycStatus, KycTier), RemoteError> {
        let person: PersonView = self.admin.get(&self.path()).await?;
        Ok((person.status, person.tier))
    }

    /// Verifies the person to this tier.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn verify(&self, tier: KycTier) -> Result<(), RemoteError> {
        self.change(json!({ "status": "verified", "tier": tier }))
            .await
    }

    /// Rejects the person.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn reject(&self) -> Result<(), RemoteError> {
        self.set_status(KycStatus::Rejected).await
    }

    /// Sets the status.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn set_status(&self, status: KycStatus) -> Result<(), RemoteError> {
        self.change(json!({ "status": status })).await
    }

    /// Sets the tier.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn set_tier(&self, tier: KycTier) -> Result<(), RemoteError> {
        self.change(json!({ "tier": tier })).await
    }

    /// Sets `aml_clear`; with `None` it is left out of every answer (K31).
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn set_aml_clear(&self, clear: Option<bool>) -> Result<(), RemoteError> {
        self.change(json!({ "aml_clear": clear })).await
    }

    /// A verified person is `expired` in this time, whole seconds, by the mock's clock (K48).
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn expires_in(&self, time: Duration) -> Result<(), RemoteError> {
        self.change(json!({ "expires_in_seconds": time.as_secs() }))
            .await
    }

    fn new(admin: Admin, person: PersonView) -> Self {
        Self {
            admin,
            id: person.id,
            slug: person.slug,
        }
    }

    async fn change(&self, change: Value) -> Result<(), RemoteError> {
        let _: Value = self.admin.patch(&self.path(), &change).await?;
        Ok(())
    }

    fn path(&self) -> String {
        format!("/persons/{}", segment(&self.id))
    }
}

impl Debug for RemotePerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePerson")
            .field("id", &self.id)
            .field("slug", &self.slug)
            .finish_non_exhaustive()
    }
}
