//! Deliveries of webhooks.

use std::{
    fmt::{Debug, Display},
    future::Future,
};

use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{count, log_key::Pseudonym};

/// The span of a delivery, which learns later what it is and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct DeliverySpan(Span);

/// Receives a delivery, in a span of its own.
pub(crate) async fn receive<T, F>(
    reference: &impl Display,
    what: impl FnOnce(DeliverySpan) -> F,
) -> T
where
    F: Future<Output = T>,
{
    let span = info_span!(
        target: "kycport::delivery", "kycport.delivery",
        %reference, event = Empty, event_type = Empty, outcome = Empty
    );
    what(DeliverySpan(span.clone())).instrument(span).await
}

/// Which event a delivery is of: its type made printable, for a type that is not known is text from
/// outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventName<'a> {
    pub(crate) event: Pseudonym<'a>,
    pub(crate) event_type: &'a str,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// Nothing more will come of it.
    Taken,
    /// Not taken, for what it is.
    Rejected,
    /// Not taken, for what is here.
    Failed,
    /// KYCPort signed something that is no event, and this is why it is none.
    Unreadable(&'static str),
}

impl DeliverySpan {
    /// Lets `what` go on in a task of its own, and in this span.
    pub(crate) fn around<F: Future>(&self, what: F) -> tracing::instrument::Instrumented<F> {
        what.instrument(self.0.clone())
    }

    /// One line for each delivery.
    pub(crate) fn end(
        &self,
        delivered: Delivered,
        code: &'static str,
        of: Option<EventName<'_>>,
        reference: &impl Display,
    ) {
        let event = of.map(|of| tracing::field::display(of.event));
        let event_type = of.map(|of| of.event_type);
        self.0.record("event", &event);
        self.0.record("event_type", event_type);
        self.0.record("outcome", code);
        match delivered {
            Delivered::Taken => tracing::info!(
                name: "kycport.delivery.accepted", target: "kycport::delivery",
                code, event, event_type, %reference, "a webhook"
            ),
            Delivered::Rejected => tracing::info!(
                name: "kycport.delivery.rejected", target: "kycport::delivery",
                code, event, event_type, %reference, "a webhook was refused"
            ),
            Delivered::Failed => tracing::error!(
                name: "kycport.delivery.failed", target: "kycport::delivery",
                code, event, event_type, %reference, "a webhook failed"
            ),
            Delivered::Unreadable(why) => tracing::error!(
                name: "kycport.delivery.unreadable", target: "kycport::delivery",
                code, why, %reference, "a webhook of KYCPort's is unreadable"
            ),
        }
        count!(DELIVERIES, code);
    }
}

/// Why a signature may not match.
pub(crate) fn signature_mismatch(diagnosis: &impl Debug) {
    tracing::warn!(
        name: "kycport.delivery.mismatch", target: "kycport::delivery",
        ?diagnosis, "the signature of a webhook does not match"
    );
}
