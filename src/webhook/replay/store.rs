//! What every replay store does.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use async_trait::async_trait;
use rand::Rng as _;

use crate::webhook::event::EventKey;

/// Remembers which events were handled, and which are being handled, so that one that is delivered
/// again takes effect once (K62).
///
/// Begin, handle, then complete; or release, so that KYCPort's next attempt is handled. Whoever
/// dies in between is replaced when the lease ends, so a lease is longer than a handler may take
/// ([`DeliveryTiming`](super::DeliveryTiming) sees to that). The token fences: who was replaced can
/// settle nothing any more.
///
/// [`MemoryReplayStore`](super::MemoryReplayStore) is for one instance; several share a store, or
/// each handles the event. A store of your own must pass [`conformance`](super::conformance).
#[async_trait]
pub trait ReplayStore: Debug + Send + Sync + 'static {
    /// Takes the event, if nobody has it and it is not done. Of any number of simultaneous calls
    /// one acquires it.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`]: do not handle the event; answer 503.
    async fn begin(&self, key: &EventKey, lease: Duration)
    -> Result<Begun, ReplayStoreUnavailable>;

    /// Says that the event took effect, to be remembered for `retention` from now. The same token
    /// may say so again. It may also say so late, if nobody acquired the event since.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`]: what is kept is not known.
    async fn complete(
        &self,
        key: &EventKey,
        token: &LeaseToken,
        retention: Duration,
    ) -> Result<Settled, ReplayStoreUnavailable>;

    /// Gives the event back, not done, so that the next to begin acquires it.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`]: what is kept is not known; the lease ends by itself.
    async fn release(
        &self,
        key: &EventKey,
        token: &LeaseToken,
    ) -> Result<Settled, ReplayStoreUnavailable>;
}

/// Whose an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Begun {
    /// Yours, until the lease ends.
    Acquired(LeaseToken),
    /// Somebody else's, for so long at most. Not a moment, because a shared store's clock is not
    /// yours: it is what `Retry-After` says.
    InFlight(Duration),
    /// Nobody's any more: it took effect.
    Done,
}

/// What became of a completion or a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// It is as you say.
    Applied,
    /// The token is not the event's any more, or the event is done: nothing was changed.
    Lost,
}

/// Who holds an event: 128 random bits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LeaseToken(String);

impl LeaseToken {
    /// A new one, for a store to give out.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        Self(base16ct::lower::encode_string(&bytes))
    }

    /// 32 hexadecimal digits, in lower case, for a store to keep and compare.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(…)")
    }
}

/// The replay store does not work: it is down, slow, or full. Whether an event was handled cannot
/// be known then, so it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the replay store is not available")]
pub struct ReplayStoreUnavailable;
