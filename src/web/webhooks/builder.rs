//! The settings of a receiver.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;

use super::{
    delivery::{Delivery, UnknownEvents},
    intake::Intake,
    processing::{Failed, Handler, Processing, Told},
    receiver::WebhookReceiver,
};
use crate::{
    clock::{Clock, SystemClock},
    observe::{self, LogKey},
    webhook::{
        DeliveryTiming, EventReader, MemoryReplayStore, ReplayStore, VerifierError, WebhookVerifier,
    },
};

/// How long a body may take to come if nothing else is said.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// So many events are remembered in memory if no store is given.
const REMEMBERED: usize = 100_000;

/// Settings on their way to a [`WebhookReceiver`].
#[must_use = "nothing comes of it before `build`"]
pub struct WebhookReceiverBuilder {
    verifier: Result<WebhookVerifier, VerifierError>,
    handler: Handler,
    reader: EventReader,
    timing: DeliveryTiming,
    store: Option<Arc<dyn ReplayStore>>,
    unknown_events: UnknownEvents,
    body_deadline: Duration,
    told: Option<Told>,
    log_key: LogKey,
    clock: Option<Arc<dyn Clock>>,
}

/// A receiver cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// There is no secret that deliveries could be verified with, or one that cannot be used.
    #[error("webhooks cannot be verified: {0}. Set KYCPORT_WEBHOOK_SECRET, or give a verifier")]
    Verifier(#[from] VerifierError),
    /// No body could ever come.
    #[error("the deadline of a body is zero")]
    BodyDeadline,
}

impl WebhookReceiverBuilder {
    pub(in crate::web) fn new<H, F, E>(
        verifier: Result<WebhookVerifier, VerifierError>,
        handler: H,
    ) -> Self
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let handler = move |delivery| {
            let handled = handler(delivery);
            async move { handled.await.map_err(|_| Failed) }.boxed()
        };
        Self {
            verifier,
            handler: Arc::new(handler),
            reader: EventReader::default(),
            timing: DeliveryTiming::default(),
            store: None,
            unknown_events: UnknownEvents::default(),
            body_deadline: BODY_DEADLINE,
            told: None,
            log_key: LogKey::of_this_process(),
            clock: None,
        }
    }

    pub(in crate::web) fn told(mut self, told: Told) -> Self {
        self.told = Some(told);
        self
    }

    pub(in crate::web) fn log_key(mut self, key: LogKey) -> Self {
        self.log_key = key;
        self
    }

    /// Who is believed: several secrets, another scheme, another cap. By default the secrets of the
    /// configuration, in the scheme that tenants observe (K61).
    pub fn verifier(mut self, verifier: WebhookVerifier) -> Self {
        self.verifier = Ok(verifier);
        self
    }

    /// Where things stand in a body (K63).
    pub fn reader(mut self, reader: EventReader) -> Self {
        self.reader = reader;
        self
    }

    /// How old an event may be, how long its handler may take, and how long it is remembered. The
    /// question to KYCPort counts as part of the handler.
    pub fn timing(mut self, timing: DeliveryTiming) -> Self {
        self.timing = timing;
        self
    }

    /// Where it is remembered which events are done: in memory, which is for one instance, if
    /// nothing is said.
    pub fn replay_store(mut self, store: impl ReplayStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// What becomes of events of a type that this version does not know.
    pub fn unknown_events(mut self, what: UnknownEvents) -> Self {
        self.unknown_events = what;
        self
    }

    /// How long a body may take to come: 10 s.
    pub fn body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = deadline;
        self
    }

    /// The clock that events are held against: that of the configuration, or the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Puts it together. That the times fit each other is [`DeliveryTiming`]'s to see to.
    ///
    /// # Errors
    /// [`ReceiverError`].
    pub fn build(self) -> Result<WebhookReceiver, ReceiverError> {
        let verifier = self.verifier?;
        if self.body_deadline.is_zero() {
            return Err(ReceiverError::BodyDeadline);
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let store = self.store.unwrap_or_else(|| {
            observe::webhooks_in_memory();
            Arc::new(MemoryReplayStore::new(REMEMBERED, Arc::clone(&clock)))
        });
        let processing = Processing::new(
            self.reader,
            self.timing,
            store,
            self.unknown_events,
            self.handler,
            self.told,
            Arc::clone(&clock),
        );
        let intake = Intake::new(verifier, self.body_deadline);
        Ok(WebhookReceiver::new(
            intake,
            processing,
            self.log_key,
            clock,
        ))
    }
}

impl Debug for WebhookReceiverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookReceiverBuilder")
            .field("verifier", &self.verifier)
            .field("timing", &self.timing)
            .field("unknown_events", &self.unknown_events)
            .finish_non_exhaustive()
    }
}
