//! What a handler is handed.

use std::fmt::{self, Debug};

use crate::{
    kyc::Assurance,
    webhook::{Event, EventKind, EventLease},
    wire::kyc::KycStatus,
};

/// One delivery of an event that is the handler's: the signature was good, the event is of our time
/// and not done yet, and nobody else has it.
///
/// Debug shows nothing of the person.
#[derive(Clone)]
pub struct Delivery {
    pub(super) event: Event,
    pub(super) lease: EventLease,
    pub(super) secret_name: String,
    pub(super) assurance: Option<Assurance>,
}

impl Delivery {
    /// What KYCPort says happened. It may have happened before what was handled already (K62): for
    /// where the person stands *now* see [`assurance`](Self::assurance).
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The event alone.
    pub fn into_event(self) -> Event {
        self.event
    }

    /// What KYCPort's status endpoint said of the person when this delivery came: to be written
    /// down instead of what stands in the event, and safe in whatever order events come. `None` if
    /// the event is about nobody, or if there is no tenant key to ask with.
    pub fn assurance(&self) -> Option<&Assurance> {
        self.assurance.as_ref()
    }

    /// Whether the person is rejected: by what the status endpoint said, or, if it said nothing, by
    /// the event. So a rejection is known where there is no tenant key, or KYCPort refuses to answer;
    /// then it may be one that was mended since.
    pub fn is_rejection(&self) -> bool {
        let said = match (&self.assurance, &self.event.kind) {
            (Some(assurance), _) => assurance.kyc_status.as_ref(),
            (None, EventKind::StatusChanged { kyc_status, .. }) => kyc_status.as_ref(),
            (None, _) => None,
        };
        said == Some(&KycStatus::Rejected)
    }

    /// Lease on the event, to complete it in a transaction of the handler's own: then the event is
    /// done if, and only if, its effect is there ([`EventLease::complete_in`]). Otherwise the
    /// receiver completes it when the handler ends.
    pub fn lease(&self) -> &EventLease {
        &self.lease
    }

    /// The name of the secret that matched: `current` or `previous`, if they came from the
    /// configuration.
    pub fn secret_name(&self) -> &str {
        &self.secret_name
    }
}

impl Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("event", &self.event)
            .field("secret_name", &self.secret_name)
            .finish_non_exhaustive()
    }
}

/// What becomes of events of a type that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnknownEventPolicy {
    /// They are acknowledged, and the log says which they were.
    #[default]
    Acknowledge,
    /// They are handled as all others are, once each.
    Handle,
}
