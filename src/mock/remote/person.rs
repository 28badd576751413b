//! Persons of a mock in another process.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use super::{
    RemoteMock,
    admin_client::{AdminClient, RemoteError},
};
use crate::{
    mock::{
        http::segment,
        start::{
            nullable::Nullable,
            person::{PersonChange, PersonSpec, PersonView},
        },
    },
    wire::kyc::{KycStatus, KycTier},
};

/// Methods that create and find persons.
impl RemoteMock {
    /// Returns a builder for a person. `slug` is a short name that the test chooses.
    pub fn person(&self, slug: &str) -> NewRemotePerson {
        NewRemotePerson {
            admin: self.admin.clone(),
            spec: PersonSpec {
                slug: slug.to_owned(),
                ..PersonSpec::default()
            },
        }
    }

    /// Finds a person by slug, ID or email address.
    ///
    /// # Errors
    /// [`RemoteError`] if there is no such person, or the request to the mock failed.
    pub async fn find_person(&self, hint: &str) -> Result<RemotePerson, RemoteError> {
        let path = format!("/persons/{}", segment::encode(hint));
        let person = self.admin.get(&path).await?;
        Ok(RemotePerson::new(self.admin.clone(), person))
    }
}

/// Builder for a person. Call [`create`](Self::create) to create the person.
#[must_use = "call `create` to create the person"]
pub struct NewRemotePerson {
    admin: AdminClient,
    spec: PersonSpec,
}

impl NewRemotePerson {
    /// Sets the tier of the person.
    pub fn tier(mut self, tier: KycTier) -> Self {
        self.spec.tier = Some(tier);
        self
    }

    /// Sets the status of the person.
    pub fn status(mut self, status: KycStatus) -> Self {
        self.spec.status = Some(status);
        self
    }

    /// Sets the claim `aml_clear`. `None` removes the claim ([K31](crate::guide::contract)).
    pub fn aml_clear(mut self, clear: Option<bool>) -> Self {
        self.spec.aml_clear = Nullable::of(clear);
        self
    }

    /// Sets the email address.
    pub fn email(mut self, email: &str) -> Self {
        self.spec.email = Some(email.to_owned());
        self
    }

    /// Sets the full name.
    pub fn name(mut self, name: &str) -> Self {
        self.spec.name = Some(name.to_owned());
        self
    }

    /// Creates the person. Replaces an existing person with the same slug.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed, or the mock does not know a value.
    pub async fn create(self) -> Result<RemotePerson, RemoteError> {
        let person = self.admin.post("/persons", &self.spec).await?;
        Ok(RemotePerson::new(self.admin, person))
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
        self.change(|person| {
            person.status = Some(KycStatus::Verified);
            person.tier = Some(tier);
        })
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
        self.change(|person| person.status = Some(status)).await
    }

    /// Sets the tier of the person.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn set_tier(&self, tier: KycTier) -> Result<(), RemoteError> {
        self.change(|person| person.tier = Some(tier)).await
    }

    /// Sets the claim `aml_clear`. `None` removes the claim ([K31](crate::guide::contract)).
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn set_aml_clear(&self, clear: Option<bool>) -> Result<(), RemoteError> {
        self.change(|person| person.aml_clear = Nullable::of(clear))
            .await
    }

    /// Sets the time after which a verified person becomes `expired`, in whole seconds of the
    /// mock's clock ([K48](crate::guide::contract)).
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn expires_in(&self, time: Duration) -> Result<(), RemoteError> {
        self.change(|person| person.expires_in_seconds = Some(time.as_secs()))
            .await
    }

    fn new(admin: AdminClient, person: PersonView) -> Self {
        Self {
            admin,
            id: person.id,
            slug: person.slug,
        }
    }

    async fn change(&self, change: impl FnOnce(&mut PersonChange)) -> Result<(), RemoteError> {
        let mut body = PersonChange::default();
        change(&mut body);
        let _: PersonView = self.admin.patch(&self.path(), &body).await?;
        Ok(())
    }

    fn path(&self) -> String {
        format!("/persons/{}", segment::encode(&self.id))
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
