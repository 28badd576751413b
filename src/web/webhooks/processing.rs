//! Processing of a verified event: parse, check the age, acquire the lease, handle, complete.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    answer::Outcome,
    assurance_update::{AssuranceUpdater, ReportedAssurance, UpdateError},
    delivery::{Delivery, UnknownEventPolicy},
};
use crate::{
    cases::CaseClient,
    clock::Clock,
    kyc::Assurance,
    webhook::{
        BeginOutcome, DeliveryPolicy, Event, EventKind, EventLease, EventLog, EventReader,
        SettleOutcome, VerifiedPayload,
    },
    wire::{is_id, status_aliases::StatusAliases},
};

/// Handler of the app, with its error type erased.
pub(super) type Handler =
    Arc<dyn Fn(Delivery) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// Resolver of the app, with its error type erased. The resolver maps the person value of an event
/// to a subject.
pub(super) type PersonResolver =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Option<String>, HandlerError>> + Send + Sync>;

/// Functions of the app that process events.
pub(super) struct Callbacks {
    pub(super) handler: Handler,
    pub(super) person: Option<PersonResolver>,
}

/// Error text of the app's handler or resolver, for the log.
#[derive(Debug)]
pub(super) struct HandlerError(String);

impl HandlerError {
    /// Maximum length of a logged error text, in characters.
    const MAX_CHARS: usize = 512;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the error is boxed only to log its text"
    )]
    pub(super) fn new(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        // The text may contain untrusted input, so the function replaces control characters.
        let text = error.to_string();
        let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self(printable.take(Self::MAX_CHARS).collect())
    }
}

/// Outcome of an event that was not handled.
struct NotHandled {
    outcome: Outcome,
    error: Option<HandlerError>,
}

impl From<Outcome> for NotHandled {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            error: None,
        }
    }
}

/// Maximum number of concurrent handlers. KYCPort redelivers events that exceed this limit.
const MAX_CONCURRENT_HANDLERS: usize = 64;
/// Maximum number of attempts to record the completion of an event.
const ATTEMPTS_TO_COMPLETE: u32 = 3;
/// Pause after the first attempt to record the completion. Each further pause is twice as long.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// Processor of verified events.
pub(super) struct Processing {
    reader: EventReader,
    policy: DeliveryPolicy,
    log: EventLog,
    unknown_events: UnknownEventPolicy,
    callbacks: Callbacks,
    updates: Option<EventUpdates>,
    clock: Arc<dyn Clock>,
    turns: Semaphore,
}

/// Updates to make before the handler runs: the person's verification result, and the callers that
/// wait for a case.
#[derive(Debug, Clone)]
pub(crate) struct EventUpdates {
    pub(super) assurances: AssuranceUpdater,
    pub(super) cases: CaseClient,
    status_aliases: StatusAliases,
}

impl EventUpdates {
    pub(in crate::web) fn new(
        assurances: AssuranceUpdater,
        cases: CaseClient,
        status_aliases: StatusAliases,
    ) -> Self {
        Self {
            assurances,
            cases,
            status_aliases,
        }
    }

    /// Replaces a status in the event that has an alias.
    fn apply_aliases(&self, event: &mut Event) {
        if let EventKind::StatusChanged { kyc_status, .. } = &mut event.kind {
            *kyc_status = self.status_aliases.apply(kyc_status.take());
        }
    }
}

/// Processed event and its outcome.
pub(super) struct Processed {
    pub(super) outcome: Outcome,
    pub(super) event: Option<Event>,
    /// Error text, if the handler or the resolver returned an error.
    pub(super) error: Option<String>,
}

impl Processing {
    pub(super) fn new(
        reader: EventReader,
        policy: DeliveryPolicy,
        log: EventLog,
        unknown_events: UnknownEventPolicy,
        callbacks: Callbacks,
        updates: Option<EventUpdates>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            reader,
            policy,
            log,
            unknown_events,
            callbacks,
            updates,
            clock,
            turns: Semaphore::new(MAX_CONCURRENT_HANDLERS),
        }
    }

    /// Processes an event. Not cancel safe: run this function in its own task.
    pub(super) async fn process(&self, verified: VerifiedPayload) -> Processed {
        let mut event = match self.reader.read(&verified) {
            Ok(event) => event,
            Err(error) => {
                return Processed {
                    outcome: Outcome::InvalidEvent(error),
                    event: None,
                    error: None,
                };
            }
        };
        if let Some(updates) = &self.updates {
            updates.apply_aliases(&mut event);
        }
        let settled = self.settle(&mut event, verified.secret_name()).await;
        let (outcome, error) = match settled {
            Ok(outcome) => (outcome, None),
            Err(not_handled) => (not_handled.outcome, not_handled.error),
        };
        Processed {
            outcome,
            event: Some(event),
            error: error.map(|error| error.0),
        }
    }

    async fn settle(&self, event: &mut Event, secret_name: &str) -> Result<Outcome, NotHandled> {
        let checked = self
            .policy
            .tolerance
            .check(event.created_at, self.clock.now());
        checked.map_err(Outcome::TimestampError)?;
        let is_ignored = matches!(event.kind, EventKind::Unknown { .. })
            && self.unknown_events == UnknownEventPolicy::Acknowledge;
        if is_ignored && (event.person_id().is_none() || self.updates.is_none()) {
            return Ok(Outcome::Acknowledged);
        }
        let _turn = self.turns.try_acquire().map_err(|_| Outcome::Busy)?;
        let started = Instant::now();
        self.resolve_person(event).await?;
        if is_ignored {
            return Ok(self.acknowledge(event, started).await?);
        }
        let (key, policy) = (event.key(), &self.policy);
        let begun = self.log.begin(&key, policy.lease, policy.retention);
        let lease = match begun.await.map_err(|_| Outcome::StoreUnavailable)? {
            BeginOutcome::Acquired(lease) => lease,
            BeginOutcome::InFlight(left) => return Err(Outcome::InFlight(left).into()),
            BeginOutcome::Done => return Ok(Outcome::Duplicate),
        };
        match self.handle(event, &lease, secret_name, started).await {
            Ok(()) => Ok(self.complete(&lease).await?),
            Err(not_handled) => {
                // If the release fails, the lease expires later.
                let _ = self.log.release(&lease).await;
                Err(not_handled)
            }
        }
    }

    /// Replaces the person value of the event by the subject that the app's resolver returns. The
    /// caller has no lease on the event yet. A redelivery is therefore not a duplicate.
    async fn resolve_person(&self, event: &mut Event) -> Result<(), NotHandled> {
        let (Some(resolver), Some(person)) = (&self.callbacks.person, event.person_id_mut()) else {
            return Ok(());
        };
        let value = person.clone();
        // The resolver is called inside the async block, because it may panic before its first
        // await.
        let resolved = AssertUnwindSafe(async { resolver(value).await }).catch_unwind();
        match tokio::time::timeout(self.policy.handler_timeout, resolved).await {
            Ok(Ok(Ok(Some(subject)))) if is_id(&subject) => {
                *person = subject;
                Ok(())
            }
            Ok(Ok(Ok(_))) => Err(Outcome::UnknownPerson.into()),
            Ok(Ok(Err(error))) => Err(NotHandled {
                outcome: Outcome::PersonUnavailable,
                error: Some(error),
            }),
            // The resolver panicked or exceeded the time limit.
            Ok(Err(_)) | Err(_) => Err(Outcome::PersonUnavailable.into()),
        }
    }

    /// Returns the rest of the time limit for the resolver and the handler together.
    fn time_left(&self, started: Instant) -> Duration {
        let limit = self.policy.handler_timeout;
        limit.saturating_sub(started.elapsed())
    }

    /// Acknowledges an event of an unknown type that contains a person. Queries the person's status
    /// first, because the status may have changed. Does not record a completion, because a second
    /// query is harmless.
    async fn acknowledge(&self, event: &Event, started: Instant) -> Result<Outcome, Outcome> {
        match tokio::time::timeout(self.time_left(started), self.apply_updates(event)).await {
            Ok(Ok(_)) => Ok(Outcome::Acknowledged),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Outcome::HandlerTooSlow),
        }
    }

    /// Runs the updates and the handler with one time limit, which is shorter than the lease. If
    /// the handler panics or hangs, drops the handler before this function returns. Two handlers
    /// therefore never run for one event.
    async fn handle(
        &self,
        event: &Event,
        lease: &EventLease,
        secret_name: &str,
        started: Instant,
    ) -> Result<(), NotHandled> {
        let handled = async {
            let assurance = self.apply_updates(event).await;
            let assurance = assurance.map_err(Outcome::from)?;
            let delivery = Delivery {
                event: event.clone(),
                lease: lease.clone(),
                secret_name: secret_name.to_owned(),
                assurance,
            };
            // The handler is called inside the async block, because it may panic before its first
            // await.
            let handled = AssertUnwindSafe(async { (self.callbacks.handler)(delivery).await });
            match handled.catch_unwind().await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(NotHandled {
                    outcome: Outcome::HandlerFailed,
                    error: Some(error),
                }),
                Err(_) => Err(Outcome::HandlerPanicked.into()),
            }
        };
        tokio::time::timeout(self.time_left(started), handled)
            .await
            .unwrap_or(Err(Outcome::HandlerTooSlow.into()))
    }

    /// Updates the active sessions and the callers that wait for a case.
    async fn apply_updates(&self, event: &Event) -> Result<Option<Assurance>, UpdateError> {
        let Some(updates) = &self.updates else {
            return Ok(None);
        };
        match &event.kind {
            EventKind::StatusChanged {
                person_id,
                kyc_status,
                kyc_tier,
                aml_clear,
            } => {
                let reported = ReportedAssurance {
                    kyc_status: kyc_status.clone(),
                    kyc_tier: kyc_tier.clone(),
                    aml_clear: *aml_clear,
                    happened_at: event.created_at,
                };
                updates.assurances.update(person_id, Some(reported)).await
            }
            EventKind::CaseDecided { person_id, case_id } => {
                let status = updates.assurances.update(person_id, None).await;
                if let Some(case_id) = case_id {
                    updates.cases.poll_now(case_id);
                }
                status
            }
            EventKind::Unknown {
                person_id: Some(person_id),
                ..
            } => updates.assurances.update(person_id, None).await,
            EventKind::Unknown {
                person_id: None, ..
            } => Ok(None),
        }
    }

    /// Records the completion. Without the record, the handler would run again for the next
    /// delivery of the event.
    async fn complete(&self, lease: &EventLease) -> Result<Outcome, Outcome> {
        let mut backoff = INITIAL_BACKOFF;
        for attempt in 1..=ATTEMPTS_TO_COMPLETE {
            match self.log.complete(lease).await {
                Ok(SettleOutcome::Applied) => return Ok(Outcome::Handled),
                Ok(SettleOutcome::Lost) => return Err(Outcome::LeaseLost),
                Err(_) if attempt < ATTEMPTS_TO_COMPLETE => back_off(backoff).await,
                Err(_) => {}
            }
            backoff = backoff.saturating_mul(2);
        }
        Err(Outcome::CompletionNotRecorded)
    }
}

impl From<UpdateError> for Outcome {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::StatusUnavailable { retry_after } => {
                Self::StatusUnavailable { retry_after }
            }
            UpdateError::StoreUnavailable => Self::StoreUnavailable,
        }
    }
}

impl fmt::Debug for Processing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processing")
            .field("policy", &self.policy)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "a pause between two attempts")]
async fn back_off(backoff: Duration) {
    tokio::time::sleep(backoff).await;
}
