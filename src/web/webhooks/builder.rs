//! Settings of a webhook receiver.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;

use super::{
    delivery::{Delivery, UnknownEventPolicy},
    intake::Intake,
    names::ReceiverNames,
    processing::{Callbacks, EventUpdates, Handler, HandlerError, PersonResolver, Processing},
    receiver::WebhookReceiver,
};
use crate::{
    clock::{Clock, SystemClock},
    observe::{self, LogKey},
    state::State,
    store::{MemoryStore, Store},
    webhook::{
        DeliveryPolicy, DeliveryPolicyError, EventLog, EventReader, VerifierError, WebhookVerifier,
    },
};

/// Default time limit of a body.
const DEFAULT_BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Default name of a receiver.
const DEFAULT_NAME: &str = "default";
/// Namespace for all receivers that have no relying party.
const NO_NAMESPACE: [u8; 16] = [0; 16];

/// Builder for a [`WebhookReceiver`].
#[must_use = "a builder has no effect until `build` is called"]
pub struct WebhookReceiverBuilder {
    verifier: Result<WebhookVerifier, VerifierError>,
    handler: Handler,
    person: Option<PersonResolver>,
    reader: EventReader,
    policy: DeliveryPolicy,
    store: Option<Arc<dyn Store>>,
    namespace: [u8; 16],
    name: Option<String>,
    names: ReceiverNames,
    unknown_events: UnknownEventPolicy,
    body_deadline: Duration,
    updates: Option<EventUpdates>,
    log_key: LogKey,
    clock: Option<Arc<dyn Clock>>,
}

/// Error from [`WebhookReceiverBuilder::build`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// No webhook secret is configured, or a secret is invalid.
    #[error("webhooks cannot be verified: {0}. Set KYCPORT_WEBHOOK_SECRET, or call .verifier(..)")]
    Verifier(#[from] VerifierError),
    /// The time limit of a body is zero.
    #[error("body_deadline is zero: set a positive duration")]
    BodyDeadline,
    /// The time limits of a delivery contradict each other.
    #[error(transparent)]
    Policy(DeliveryPolicyError),
    /// This relying party already has a receiver with this name.
    #[error(
        "a receiver named {0:?} exists already, and each event would reach only one of the two: \
         set another name with .name(..)"
    )]
    NameTaken(String),
    /// The receiver has a store, but no relying party and no name.
    #[error(
        "a receiver without a relying party that stores its events needs a name: set one with \
         .name(..), and include the tenant and the environment"
    )]
    NameMissing,
}

impl WebhookReceiver {
    /// Starts a builder for a receiver without a relying party. `verifier` verifies deliveries, and
    /// `handler` receives each event. This receiver updates no sessions, and its deliveries have
    /// no [`assurance`](Delivery::assurance).
    ///
    /// ```
    /// use kycport::{Secret, web::WebhookReceiver, webhook::WebhookVerifier};
    ///
    /// let secret = Secret::new("a secret of sixteen bytes or more");
    /// let verifier = WebhookVerifier::builder().secret("current", secret).build()?;
    /// let receiver = WebhookReceiver::builder(verifier, async |delivery| {
    ///     println!("{}", delivery.event().event_type());
    ///     Ok::<(), std::io::Error>(())
    /// })
    /// .build()?;
    /// let app: axum::Router = axum::Router::new().route_service("/webhooks/kycport", receiver);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder<H, F, E>(verifier: WebhookVerifier, handler: H) -> WebhookReceiverBuilder
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        WebhookReceiverBuilder::new(Ok(verifier), handler)
    }
}

impl WebhookReceiverBuilder {
    pub(in crate::web) fn new<H, F, E>(
        verifier: Result<WebhookVerifier, VerifierError>,
        handler: H,
    ) -> Self
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let handler = move |delivery| {
            let handled = handler(delivery);
            async move {
                handled
                    .await
                    .map_err(|error| HandlerError::new(error.into()))
            }
            .boxed()
        };
        Self {
            verifier,
            handler: Arc::new(handler),
            person: None,
            reader: EventReader::default(),
            policy: DeliveryPolicy::default(),
            store: None,
            namespace: NO_NAMESPACE,
            name: None,
            names: ReceiverNames::default(),
            unknown_events: UnknownEventPolicy::default(),
            body_deadline: DEFAULT_BODY_DEADLINE,
            updates: None,
            log_key: LogKey::of_this_process(),
            clock: None,
        }
    }

    pub(in crate::web) fn updates(mut self, updates: EventUpdates) -> Self {
        self.updates = Some(updates);
        self
    }

    /// Stores events in the relying party's store and namespace.
    pub(in crate::web) fn keeping_in(mut self, state: &State, names: ReceiverNames) -> Self {
        self.store = Some(Arc::clone(state.store()));
        self.namespace = state.namespace().bytes();
        self.names = names;
        self
    }

    pub(in crate::web) fn log_key(mut self, key: LogKey) -> Self {
        self.log_key = key;
        self
    }

    /// Sets the verifier, which defines the secrets, the signature scheme and the size limit.
    /// Default: the secrets of the configuration, with the scheme that tenants observe (K61).
    pub fn verifier(mut self, verifier: WebhookVerifier) -> Self {
        self.verifier = Ok(verifier);
        self
    }

    /// Sets the reader, which locates the fields in a body (K63).
    pub fn reader(mut self, reader: EventReader) -> Self {
        self.reader = reader;
        self
    }

    /// Maps the person value of an event, such as a wallet address, to a subject. Default: the value
    /// is the subject (K33).
    ///
    /// The receiver calls `resolver` once per delivery, with the value that the
    /// [`reader`](Self::reader) finds. The resolver returns the `sub` of the person's tokens, or
    /// `None` if the app does not know the person. In the handler,
    /// [`Event::person_id`](crate::webhook::Event::person_id) is the subject. The resolver and the
    /// handler share the time limit of the handler.
    ///
    /// If the resolver returns `None` or a text that cannot be a subject, the response is 503 with
    /// the code `unknown_person`, also for an event of an unknown type. KYCPort redelivers the event,
    /// because the app may learn the person's address later. If the resolver returns an error, panics or takes too long, the
    /// response is 503 with the code `person_unavailable`. The log contains the error's `Display`
    /// text, so the text must contain no personal data.
    ///
    /// ```
    /// # use kycport::{Config, RelyingParty};
    /// use kycport::webhook::{EventFieldPaths, EventReader};
    ///
    /// # let config = Config::builder("my-client", "https://app.example.com/auth/callback")
    /// #     .webhook_secret("a secret of sixteen bytes or more")
    /// #     .build()?;
    /// # let kycport = RelyingParty::new(config)?;
    /// # async fn subject_of(address: String) -> Result<Option<String>, std::io::Error> { Ok(None) }
    /// let mut paths = EventFieldPaths::default();
    /// paths.person_id = vec!["/address".to_owned()];
    /// let webhooks = kycport
    ///     .webhooks(async |_delivery| Ok::<(), std::io::Error>(()))
    ///     .reader(EventReader::new(paths)?)
    ///     .person(async |address| subject_of(address).await);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn person<R, F, E>(mut self, resolver: R) -> Self
    where
        R: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Option<String>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let resolver = move |value| {
            let resolved = resolver(value);
            async move {
                resolved
                    .await
                    .map_err(|error| HandlerError::new(error.into()))
            }
            .boxed()
        };
        self.person = Some(Arc::new(resolver));
        self
    }

    /// Sets the time limits of a delivery. Default: see [`DeliveryPolicy`].
    pub fn policy(mut self, policy: DeliveryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the store in which the receiver records handled events. Default: the store of the
    /// configuration. A receiver without a relying party uses memory, which suits a single process.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the name of this receiver. Each receiver handles every event. Instances of one receiver
    /// share a name. Only one of these instances handles an event. Default: `default`.
    ///
    /// A name is required if a receiver has a store and no relying party. Another tenant or
    /// environment may use the same store and may have events with equal ids. Include the tenant
    /// and the environment in the name, for example `acme-staging`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets how the receiver handles an event of an unknown type.
    pub fn unknown_events(mut self, what: UnknownEventPolicy) -> Self {
        self.unknown_events = what;
        self
    }

    /// Sets the time limit of a body. Default: 10 s.
    pub fn body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = deadline;
        self
    }

    /// Sets the clock for checking the age of events. Default: the clock of the configuration, or
    /// the system clock for a receiver without a relying party.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the receiver.
    ///
    /// # Errors
    /// Returns [`ReceiverError`] if a setting cannot be used.
    pub fn build(self) -> Result<WebhookReceiver, ReceiverError> {
        let verifier = self.verifier?;
        if self.body_deadline.is_zero() {
            return Err(ReceiverError::BodyDeadline);
        }
        self.policy.check().map_err(ReceiverError::Policy)?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let has_namespace = self.namespace != NO_NAMESPACE;
        let own_name = match self.name {
            Some(name) => name,
            None if self.store.is_some() && !has_namespace => {
                return Err(ReceiverError::NameMissing);
            }
            None => DEFAULT_NAME.to_owned(),
        };
        let Some(name) = self.names.take(&own_name) else {
            return Err(ReceiverError::NameTaken(own_name));
        };
        let store = self.store.unwrap_or_else(|| {
            observe::webhooks_in_memory();
            Arc::new(MemoryStore::new(1, Arc::clone(&clock)))
        });
        let log = EventLog::within(store, self.namespace, &own_name);
        let processing = Processing::new(
            self.reader,
            self.policy,
            log,
            self.unknown_events,
            Callbacks {
                handler: self.handler,
                person: self.person,
            },
            self.updates,
            Arc::clone(&clock),
        );
        let intake = Intake::new(verifier, self.body_deadline);
        Ok(WebhookReceiver::new(
            intake,
            processing,
            self.log_key,
            clock,
            name,
        ))
    }
}

impl Debug for WebhookReceiverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookReceiverBuilder")
            .field("verifier", &self.verifier)
            .field("policy", &self.policy)
            .field("unknown_events", &self.unknown_events)
            .finish_non_exhaustive()
    }
}
