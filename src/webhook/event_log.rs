//! Log of handled events: each event takes effect once, however often it is delivered.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use super::event::EventKey;
use crate::{
    observe::StoreOperation,
    store::{
        Acquired, LeaseFamily, LeaseKey, LeaseToken, SettleIn, Settlement, Store, StoreError,
        digest, within_deadline,
    },
};

/// Log of which events were handled, and which are being handled (K62). Cheap to clone.
///
/// Call [`begin`](Self::begin), handle the event, then [`complete`](Self::complete) it; or
/// [`release`](Self::release) it, so that KYCPort's next delivery is handled. If the process ends in
/// between, another one can begin when the lease ends. The lease must be longer than the handler may
/// take ([`DeliveryPolicy`](super::DeliveryPolicy) ensures that).
///
/// [`MemoryStore`](crate::store::MemoryStore) serves one process. Several processes share a store,
/// or each handles the event.
///
/// ```
/// # use std::time::Duration;
/// use kycport::{store::MemoryStore, webhook::{BeginOutcome, EventKey, EventLog}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kycport::store::StoreError> {
/// let log = EventLog::new(MemoryStore::default(), "orders");
/// let (lease, retention) = (Duration::from_secs(60), Duration::from_secs(97 * 3600));
/// if let BeginOutcome::Acquired(lease) = log.begin(&EventKey::of("evt_1"), lease, retention).await? {
///     // handle it …
///     let _ = log.complete(&lease).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EventLog {
    store: Arc<dyn Store>,
    namespace: [u8; 16],
    receiver: Arc<str>,
}

/// Result of [`EventLog::begin`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum BeginOutcome {
    /// The caller handles the event, until the lease ends.
    Acquired(EventLease),
    /// Another caller handles the event, for this long at most. It is a duration and not a time,
    /// because the store's clock may be another: it fits `Retry-After`.
    InFlight(Duration),
    /// The event took effect.
    Done,
}

/// Result of completing or releasing an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum SettleOutcome {
    /// The log says so now.
    Applied,
    /// The lease is another caller's by now, or the event is done. Nothing was changed.
    Lost,
}

/// Lease on an event: the right to handle it and to say that it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLease {
    event: EventKey,
    key: LeaseKey,
    token: LeaseToken,
    retention: Duration,
}

impl EventLog {
    /// Makes the log of one receiver. Receivers with different names each handle every event;
    /// receivers with the same name on the same store share the work.
    pub fn new(store: impl Store, receiver: &str) -> Self {
        let namespace = digest("kycport receiver", &[]);
        Self::within(Arc::new(store), namespace, receiver)
    }

    /// Makes the log of a receiver of one relying party.
    pub(crate) fn within(store: Arc<dyn Store>, namespace: [u8; 16], receiver: &str) -> Self {
        Self {
            store,
            namespace,
            receiver: receiver.into(),
        }
    }

    /// Takes the event, if no other caller has it and it is not done. Of any number of simultaneous
    /// calls one acquires it. `retention` is how long a completed event is remembered.
    ///
    /// # Errors
    /// [`StoreError`]: do not handle the event, and answer 503. Cancelling the call may leave the
    /// event acquired until the lease ends.
    pub async fn begin(
        &self,
        event: &EventKey,
        lease: Duration,
        retention: Duration,
    ) -> Result<BeginOutcome, StoreError> {
        let parts = [self.receiver.as_bytes(), event.as_str().as_bytes()];
        let key = LeaseKey::of(self.namespace, LeaseFamily::Event, &parts);
        let token = LeaseToken::random();
        let acquire = self.store.acquire(&key, token, lease);
        Ok(
            match within_deadline(StoreOperation::Acquire, acquire).await? {
                Acquired::Granted { .. } => BeginOutcome::Acquired(EventLease {
                    event: event.clone(),
                    key,
                    token,
                    retention,
                }),
                Acquired::Held(left) => BeginOutcome::InFlight(left),
                Acquired::Done(_) => BeginOutcome::Done,
            },
        )
    }

    /// Records that the event took effect. It may be called again with the same lease, and late, if
    /// no other caller has acquired the event since.
    ///
    /// # Errors
    /// [`StoreError`]: the outcome is unknown. Call it again.
    pub async fn complete(&self, lease: &EventLease) -> Result<SettleOutcome, StoreError> {
        self.settle(lease, lease.completion()).await
    }

    /// Gives the event back, not done, so that the next caller acquires it.
    ///
    /// # Errors
    /// [`StoreError`]: the outcome is unknown. The lease ends by itself.
    pub async fn release(&self, lease: &EventLease) -> Result<SettleOutcome, StoreError> {
        self.settle(lease, Settlement::Release).await
    }

    async fn settle(
        &self,
        lease: &EventLease,
        settlement: Settlement,
    ) -> Result<SettleOutcome, StoreError> {
        let settle = self.store.settle(&lease.key, lease.token, settlement);
        let settled = within_deadline(StoreOperation::Settle, settle).await?;
        Ok(outcome(settled))
    }
}

impl EventLease {
    /// Key of the event.
    pub fn event(&self) -> &EventKey {
        &self.event
    }

    /// How long it is remembered that the event took effect.
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// Records that the event took effect, inside the caller's own transaction: when that commits,
    /// the effect and the record of it are there together. On [`SettleOutcome::Lost`] another caller
    /// has the event: roll back. The receiver completes the event once more afterwards, which
    /// changes nothing.
    ///
    /// `store` must be the receiver's store, and `connection` a connection to the same database:
    ///
    /// ```ignore
    /// let mut transaction = pool.begin().await?;
    /// // write the effect …
    /// let settled = delivery.lease().complete_in(&store, &mut *transaction).await?;
    /// if settled == SettleOutcome::Applied {
    ///     transaction.commit().await?;
    /// }
    /// ```
    ///
    /// # Errors
    /// [`StoreError`]: roll back.
    pub async fn complete_in<C: ?Sized>(
        &self,
        store: &impl SettleIn<C>,
        connection: &mut C,
    ) -> Result<SettleOutcome, StoreError> {
        let settle = store.settle_in(connection, &self.key, self.token, self.completion());
        Ok(outcome(settle.await?))
    }

    fn completion(&self) -> Settlement {
        Settlement::Done {
            result: Bytes::new(),
            keep_for: self.retention,
        }
    }
}

fn outcome(settled: bool) -> SettleOutcome {
    if settled {
        SettleOutcome::Applied
    } else {
        SettleOutcome::Lost
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog")
            .field("store", &self.store)
            .field("receiver", &self.receiver)
            .finish_non_exhaustive()
    }
}
