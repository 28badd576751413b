//! What every cache does.

use std::fmt::{self, Debug};

use async_trait::async_trait;
#[cfg(any(feature = "postgres", feature = "redis"))]
use sha2::{Digest as _, Sha256};

use crate::kyc::assurance::Assurance;

/// Who: one person, as one tenant's client sees them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey {
    /// The issuer.
    pub issuer: String,
    /// The tenant's client.
    pub client_id: String,
    /// The person.
    pub subject: String,
}

impl PersonKey {
    /// 64 hexadecimal digits that name nobody, for a key in a store that others may read.
    #[cfg(any(feature = "postgres", feature = "redis"))]
    pub(super) fn hashed(&self) -> String {
        let mut digest = Sha256::new();
        for part in [&self.issuer, &self.client_id, &self.subject] {
            // With its length, or "ab" and "c" would be "a" and "bc".
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        base16ct::lower::encode_string(&digest)
    }
}

/// Shows no personal data.
impl Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonKey")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// The cache does not work: it is down, slow, or full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the assurance cache is not available")]
pub struct CacheUnavailable;

/// Keeps the last assurance of each person. Instances that share one share what they know: what one
/// learns is felt by the sessions of all.
///
/// [`MemoryCache`](super::MemoryCache) is for one instance. A cache of your own must pass
/// [`conformance`](super::conformance).
#[async_trait]
pub trait AssuranceCache: Debug + Send + Sync + 'static {
    /// The last that was kept.
    ///
    /// # Errors
    /// [`CacheUnavailable`]; KYCPort is then asked instead.
    async fn get(&self, person: &PersonKey) -> Result<Option<Assurance>, CacheUnavailable>;

    /// Keeps `assurance`, unless what is kept is to be believed more, as
    /// [`Assurance::or_newer`] says. Of any number of simultaneous calls the one to be believed
    /// most is kept.
    ///
    /// # Errors
    /// [`CacheUnavailable`].
    async fn put(&self, person: &PersonKey, assurance: Assurance) -> Result<(), CacheUnavailable>;

    /// Keeps nothing of the person any more.
    ///
    /// # Errors
    /// [`CacheUnavailable`].
    async fn forget(&self, person: &PersonKey) -> Result<(), CacheUnavailable>;
}
