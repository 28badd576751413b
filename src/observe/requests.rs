//! Spans, log events and metrics of HTTP requests to this app.

use std::{fmt::Display, future::Future};

use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{count, log_key::Pseudonym};

/// Route of this crate. Each request to the route has a span. A problem response contains the
/// `reference` of the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Login,
    StepUp,
    StepUpState,
    Callback,
    Logout,
}

impl Route {
    fn span(self, reference: &impl Display) -> Span {
        match self {
            Self::Login => {
                info_span!(target: "kycport::request", "kycport.login", %reference, outcome = Empty)
            }
            Self::StepUp => {
                info_span!(target: "kycport::request", "kycport.step_up", %reference, outcome = Empty)
            }
            Self::StepUpState => {
                info_span!(target: "kycport::request", "kycport.step_up_state", %reference, outcome = Empty)
            }
            Self::Callback => {
                info_span!(target: "kycport::request", "kycport.callback", %reference, outcome = Empty)
            }
            Self::Logout => {
                info_span!(target: "kycport::request", "kycport.logout", %reference, outcome = Empty)
            }
        }
    }
}

/// Serves a route of this crate in a span. `what` returns the response and an outcome code.
pub(crate) async fn serve<T>(
    route: Route,
    reference: &impl Display,
    what: impl Future<Output = (T, &'static str)>,
) -> T {
    let span = route.span(reference);
    let (answer, outcome) = what.instrument(span.clone()).await;
    span.record("outcome", outcome);
    if route == Route::Callback {
        count!(LOGINS, outcome);
    }
    answer
}

/// Runs the check of a guarded route in a span. `what` returns the result and a decision code.
pub(crate) async fn guard<T, F>(
    reference: &impl Display,
    tier: &str,
    what: impl FnOnce(GuardSpan) -> F,
) -> T
where
    F: Future<Output = (T, &'static str)>,
{
    let span = info_span!(
        target: "kycport::request", "kycport.guard",
        %reference, tier, person = Empty, outcome = Empty
    );
    let (answer, decision) = what(GuardSpan(span.clone())).instrument(span.clone()).await;
    span.record("outcome", decision);
    count!(GUARD_DECISIONS, decision);
    answer
}

/// Span of a guard. The field `person` is set after the guard has read the session.
pub(crate) struct GuardSpan(Span);

impl GuardSpan {
    pub(crate) fn know(&self, person: Pseudonym<'_>) {
        self.0.record("person", tracing::field::display(person));
    }
}

/// Reports that a person does not meet a requirement.
pub(crate) fn requirement_not_met(
    reference: &impl Display,
    requirement: &'static str,
    person: Pseudonym<'_>,
) {
    tracing::info!(
        name: "kycport.guard.denied", target: "kycport::request",
        requirement, %reference, %person, "a person does not meet the requirement of a route"
    );
}

/// Reports a problem response for a fault of the caller.
pub(crate) fn request_rejected(code: &'static str, reference: &impl Display) {
    tracing::info!(
        name: "kycport.request.rejected", target: "kycport::request",
        code, %reference, "a request was rejected"
    );
    count!(PROBLEMS, code);
}

/// Reports a problem response for a fault of this server or of KYCPort.
pub(crate) fn request_failed(code: &'static str, reference: &impl Display) {
    tracing::error!(
        name: "kycport.request.failed", target: "kycport::request",
        code, %reference, "a request failed"
    );
    count!(PROBLEMS, code);
}

/// Reports that an upload or another request of the document capture was rejected.
pub(crate) fn capture_rejected(code: &'static str, reference: &impl Display) {
    tracing::info!(
        name: "kycport.capture.rejected", target: "kycport::request",
        code, %reference, "a request of the document capture was rejected"
    );
    count!(PROBLEMS, code);
}

/// Reports that an upload contained parts that a browser must not send.
pub(crate) fn parts_dropped(parts: usize) {
    tracing::warn!(
        name: "kycport.capture.parts_dropped", target: "kycport::request",
        parts, "dropped parts of an upload that a browser may not set"
    );
}
