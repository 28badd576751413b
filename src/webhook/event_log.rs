//! Log of handled events. Each event takes effect once, even if KYCPort delivers the event several
//! times.

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

/// Log of completed events, and of events that a handler is processing (K62). The log is cheap to
/// clone.
///
/// Call [`begin`](Self::begin) and handle the event. Then call [`complete`](Self::complete). If the
/// handler failed, call [`release`](Self::release) instead. A process can then handle KYCPort's
/// next delivery. If the process ends before this call, another process can begin when the lease
/// expires. The lease must be longer than the timeout of the handler;
/// [`DeliveryPolicy`](super::DeliveryPolicy) checks this rule.
///
/// The [`MemoryStore`](crate::store::MemoryStore) serves one process. Several processes must share
/// a store. Without a shared store, each process handles every event.
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
    /// The caller has the lease and must handle the event before the lease ends.
    Acquired(EventLease),
    /// Another caller has the lease for at most this duration. Use the duration for `Retry-After`.
    /// A duration does not depend on the clock of the store, which may differ.
    InFlight(Duration),
    /// The event took effect earlier.
    Done,
}

/// Result of completing or releasing an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum SettleOutcome {
    /// The event is completed or released.
    Applied,
    /// Another caller has the lease, or the event is done. The call did not change the stored
    /// event.
    Lost,
}

/// Lease on an event. Only the holder of the lease may handle and complete the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLease {
    event: EventKey,
    key: LeaseKey,
    token: LeaseToken,
    retention: Duration,
}

impl EventLog {
    /// Creates the log of one receiver. Each receiver handles every event. Receivers with equal
    /// names and one store share the events.
    pub fn new(store: impl Store, receiver: &str) -> Self {
        let namespace = digest("kycport receiver", &[]);
        Self::within(Arc::new(store), namespace, receiver)
    }

    /// Creates the event log of one receiver within a relying party.
    pub(crate) fn within(store: Arc<dyn Store>, namespace: [u8; 16], receiver: &str) -> Self {
        Self {
            store,
            namespace,
            receiver: receiver.into(),
        }
    }

    /// Acquires the lease on the event, if the event is not done and no other caller has the lease.
    /// If several callers call simultaneously, one caller acquires the lease. `retention` is the
    /// time for which the store remembers a completed event.
    ///
    /// Not cancel safe: after a cancelled call, the lease may exist until it expires.
    ///
    /// # Errors
    /// Returns [`StoreError`]. After an error, do not handle the event, and respond with 503.
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
            match within_deadline(StoreOperation::ACQUIRE, acquire).await? {
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

    /// Records that the event took effect. A caller may repeat the call with its lease. A call
    /// after the end of the lease succeeds if no other caller has acquired a lease on the event.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the outcome is unknown: call the method again.
    pub async fn complete(&self, lease: &EventLease) -> Result<SettleOutcome, StoreError> {
        self.settle(lease, lease.completion()).await
    }

    /// Releases the lease. The next caller can then acquire the event.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the outcome is unknown: the lease then expires later.
    pub async fn release(&self, lease: &EventLease) -> Result<SettleOutcome, StoreError> {
        self.settle(lease, Settlement::Release).await
    }

    async fn settle(
        &self,
        lease: &EventLease,
        settlement: Settlement,
    ) -> Result<SettleOutcome, StoreError> {
        let settle = self.store.settle(&lease.key, lease.token, settlement);
        let settled = within_deadline(StoreOperation::SETTLE, settle).await?;
        Ok(outcome(settled))
    }
}

impl EventLease {
    /// Returns the key of the event.
    pub fn event(&self) -> &EventKey {
        &self.event
    }

    /// Returns the time for which the store remembers the completed event.
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// Records in the caller's transaction that the event took effect. The commit of the
    /// transaction writes the effect and the record together. Roll back on [`SettleOutcome::Lost`],
    /// because another caller has the lease on the event. After the commit, the receiver completes
    /// the event a second time. The second completion has no effect.
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
    /// Returns [`StoreError`] if the store fails: roll back the transaction.
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
