//! Requests of browsers and of this app's pages.

use std::{fmt::Display, future::Future};

use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{count, log_key::Pseudonym};

/// One of this crate's own routes. Each is a span, and `reference` is what the answer shows if it
/// is a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Login,
    StepUp,
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
            Self::Callback => {
                info_span!(target: "kycport::request", "kycport.callback", %reference, outcome = Empty)
            }
            Self::Logout => {
                info_span!(target: "kycport::request", "kycport.logout", %reference, outcome = Empty)
            }
        }
    }
}

/// Serves one of this crate's own routes: the answer, and a code for how it went.
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

/// Judges a request to a guarded route: what comes of it, and a code for that.
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

/// The span of a guard, which learns later who is judged.
pub(crate) struct GuardSpan(Span);

impl GuardSpan {
    pub(crate) fn know(&self, person: Pseudonym<'_>) {
        self.0.record("person", tracing::field::display(person));
    }
}

/// Somebody falls short of a requirement.
pub(crate) fn fell_short(reference: &impl Display, shortfall: &'static str, person: Pseudonym<'_>) {
    tracing::info!(
        name: "kycport.guard.denied", target: "kycport::request",
        shortfall, %reference, %person, "a person fell short of a requirement"
    );
}

/// A request is answered with a problem that is the caller's.
pub(crate) fn request_refused(code: &'static str, reference: &impl Display) {
    tracing::info!(
        name: "kycport.request.rejected", target: "kycport::request",
        code, %reference, "a request was refused"
    );
    count!(PROBLEMS, code);
}

/// A request is answered with a problem that is this server's or KYCPort's.
pub(crate) fn request_failed(code: &'static str, reference: &impl Display) {
    tracing::error!(
        name: "kycport.request.failed", target: "kycport::request",
        code, %reference, "a request could not be served"
    );
    count!(PROBLEMS, code);
}

/// An upload, or what else a page asked of a case, does not go on.
pub(crate) fn capture_refused(code: &'static str, reference: &impl Display) {
    tracing::info!(
        name: "kycport.capture.rejected", target: "kycport::request",
        code, %reference, "a capture does not go on"
    );
    count!(PROBLEMS, code);
}

/// An upload had parts that a browser has no say in.
pub(crate) fn parts_dropped(parts: usize) {
    tracing::warn!(
        name: "kycport.capture.parts_dropped", target: "kycport::request",
        parts, "an upload had parts that are not handed on"
    );
}
