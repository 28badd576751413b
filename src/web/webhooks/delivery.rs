//! Delivery that a handler receives.

use std::fmt::{self, Debug};

use crate::{
    kyc::Assurance,
    webhook::{Event, EventKind, EventLease},
    wire::kyc::KycStatus,
};

/// Delivery of one verified event. The signature matches, and the event is recent and not yet
/// completed. No other handler holds the lease on the event.
///
/// `Debug` hides personal data.
#[derive(Clone)]
pub struct Delivery {
    pub(super) event: Event,
    pub(super) lease: EventLease,
    pub(super) secret_name: String,
    pub(super) assurance: Option<Assurance>,
}

impl Delivery {
    /// Returns the event. The event may be older than an event that was already handled (K62). For
    /// the current result, see [`assurance`](Self::assurance).
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Converts the delivery into its event.
    pub fn into_event(self) -> Event {
        self.event
    }

    /// Returns the verification result that KYCPort's status endpoint returned for this delivery.
    /// Store this value instead of the values in the event, because events can arrive in any order.
    /// Returns `None` if the event concerns no person, or if there is no tenant key.
    pub fn assurance(&self) -> Option<&Assurance> {
        self.assurance.as_ref()
    }

    /// Returns whether the person is rejected, according to the status endpoint. Without a result
    /// of the status endpoint, returns whether the event is a rejection. The result is missing if
    /// there is no tenant key or if KYCPort rejects the query. KYCPort may have withdrawn the
    /// rejection after the event.
    pub fn is_rejection(&self) -> bool {
        let said = match (&self.assurance, &self.event.kind) {
            (Some(assurance), _) => assurance.kyc_status.as_ref(),
            (None, EventKind::StatusChanged { kyc_status, .. }) => kyc_status.as_ref(),
            (None, _) => None,
        };
        said == Some(&KycStatus::Rejected)
    }

    /// Returns the lease on the event. With the lease, the handler can complete the event in its
    /// own transaction ([`EventLease::complete_in`]). The transaction then commits the completion
    /// together with the effect of the event. If the handler does not complete the event, the
    /// receiver completes the event when the handler returns.
    pub fn lease(&self) -> &EventLease {
        &self.lease
    }

    /// Returns the name of the secret that matched. Secrets of the configuration are named
    /// `current` and `previous`.
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

/// How the receiver handles an event of an unknown type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnknownEventPolicy {
    /// Acknowledges an event of an unknown type and logs the type.
    #[default]
    Acknowledge,
    /// Passes an event of an unknown type to the handler.
    Handle,
}
