//! Persons of a mock in another process.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    RemoteMock,
    admin_client::{AdminClient, RemoteError, segment},
};
use crate::wire::kyc::{KycStatus, KycTier};

#[derive(Deserialize)]
struct PersonView {
    id: String,
    slug: String,
    status: KycStatus,
    tier: KycTier,
}

/// Methods that create and find persons.
impl RemoteMock {
    /// Returns a builder for a person. `slug` is a short name that the test chooses.
    pub fn person(&self, slug: &str) -> NewRemotePerson {
        let mut facts = Map::new();
        facts.insert("slug".to_owned(), slug.into());
        NewRemotePerson {
            admin: self.admin.clone(),
            facts,
        }
    }

    /// Finds a person by slug, ID or email address.
    ///
    /// # Errors
    /// [`RemoteError`] if there is no such person, or the request to the mock failed.
    pub async fn find_person(&self, hint: &str) -> Result<RemotePerson, RemoteError> {
        let path = format!("/persons/{}", segment(hint));
        let person = self.admin.get(&path).await?;
        Ok(RemotePerson::new(self.admin.clone(), person))
    }
}

/// Builder for a person. Call [`create`](Self::create) to create the person.
#[must_use = "call `create` to create the person"]
pub struct NewRemotePerson {
    admin: AdminClient,
    facts: Map<String, Value>,
}

impl NewRemotePerson {
    /// Sets the tier of the person.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the builder of `MockIssuer` has the same method signature"
    )]
    pub fn tier(self, tier: KycTier) -> Self {
        self.with("tier", tier.as_str().into())
    }

    /// Sets the status of the person.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the builder of `MockIssuer` has the same method signature"
    )]
    pub fn status(self, status: KycStatus) -> Self {
        self.with("status", json!(status))
    }

    /// Sets the claim `aml_clear`. `None` removes the claim ([K31](crate::guide::contract)).
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

    /// Creates the person. Replaces an existing person with the same slug.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed, or the mock does not know a value.
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

/// A person of a mock in another process.
#[derive(Clone)]
pub struct RemotePerson {
    admin: AdminClient,
    id: String,
    slug: String,
}

impl RemotePerson {
    /// Returns the person ID, which is `sub` in tokens.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the short name that the test chose for the person.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Returns the current status and tier.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn status_and_tier(&self) -> Result<(KycStatus, KycTier), RemoteError> {
        let person: PersonView = self.admin.get(&self.path()).await?;
        Ok((person.status, person.tier))
    }

    /// Verifies the person at this tier.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn verify(&self, tier: KycTier) -> Result<(), RemoteError> {
        self.change(json!({ "status": "verified", "tier": tier }))
            .await
    }

    /// Sets the status to `rejected`.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn reject(&self) -> Result<(), RemoteError> {
        self.set_status(KycStatus::Rejected).await
    }

    /// Sets the status of the person.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn set_status(&self, status: KycStatus) -> Result<(), RemoteError> {
        self.change(json!({ "status": status })).await
    }

    /// Sets the tier of the person.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn set_tier(&self, tier: KycTier) -> Result<(), RemoteError> {
        self.change(json!({ "tier": tier })).await
    }

    /// Sets the claim `aml_clear`. `None` removes the claim ([K31](crate::guide::contract)).
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn set_aml_clear(&self, clear: Option<bool>) -> Result<(), RemoteError> {
        self.change(json!({ "aml_clear": clear })).await
    }

    /// Sets the time after which a verified person becomes `expired`, in whole seconds of the
    /// mock's clock ([K48](crate::guide::contract)).
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn expires_in(&self, time: Duration) -> Result<(), RemoteError> {
        self.change(json!({ "expires_in_seconds": time.as_secs() }))
            .await
    }

    fn new(admin: AdminClient, person: PersonView) -> Self {
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
