//! Spans, log events and metrics of webhook deliveries.

use std::{
    fmt::{Debug, Display},
    future::Future,
};

use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{count, log_key::Pseudonym};

/// Span of a delivery. The fields of the span are recorded when they become known.
#[derive(Debug, Clone)]
pub(crate) struct DeliverySpan(Span);

/// Runs the processing of a delivery in a new span.
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

/// Event of a delivery, for logs. The type is escaped, because an unknown type is untrusted text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventName<'a> {
    pub(crate) event: Pseudonym<'a>,
    pub(crate) event_type: &'a str,
}

/// Result of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered<'a> {
    /// The delivery is acknowledged.
    Accepted,
    /// The delivery is rejected because of its content.
    Rejected,
    /// The app does not know the person of the event.
    UnknownPerson,
    /// The app failed to process the delivery. The text is the error of the handler or the resolver.
    Failed(Option<&'a str>),
    /// Signed delivery that is not a valid event, with the reason.
    Unreadable(&'static str),
}

impl DeliverySpan {
    /// Runs `what` in this span. A spawned task then also logs in this span.
    pub(crate) fn around<F: Future>(&self, what: F) -> tracing::instrument::Instrumented<F> {
        what.instrument(self.0.clone())
    }

    /// Logs and counts the result. Each delivery has one log line.
    pub(crate) fn end(
        &self,
        delivered: Delivered<'_>,
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
            Delivered::Accepted => tracing::info!(
                name: "kycport.delivery.accepted", target: "kycport::delivery",
                code, event, event_type, %reference, "a webhook delivery was accepted"
            ),
            Delivered::Rejected => tracing::info!(
                name: "kycport.delivery.rejected", target: "kycport::delivery",
                code, event, event_type, %reference, "a webhook delivery was rejected"
            ),
            Delivered::UnknownPerson => tracing::warn!(
                name: "kycport.delivery.person_unknown", target: "kycport::delivery",
                code, event, event_type, %reference,
                "the app does not know the person of a webhook delivery"
            ),
            Delivered::Failed(error) => tracing::error!(
                name: "kycport.delivery.failed", target: "kycport::delivery",
                code, event, event_type, error, %reference, "a webhook delivery failed"
            ),
            Delivered::Unreadable(why) => tracing::error!(
                name: "kycport.delivery.unreadable", target: "kycport::delivery",
                code, why, %reference, "KYCPort sent a webhook delivery that is not a valid event"
            ),
        }
        count!(DELIVERIES, code);
    }
}

/// Logs possible reasons for a signature mismatch.
pub(crate) fn signature_mismatch(diagnosis: &impl Debug) {
    tracing::warn!(
        name: "kycport.delivery.mismatch", target: "kycport::delivery",
        ?diagnosis, "the signature of a webhook delivery does not match"
    );
}
