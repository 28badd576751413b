//! Log events and metrics of logins.

use std::fmt::Display;

use super::{Reason, count, log_key::Pseudonym};

/// Purpose of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    SignIn,
    StepUp,
}

impl Purpose {
    fn code(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::StepUp => "step_up",
        }
    }
}

/// Reports that a login redirects a browser to KYCPort.
pub(crate) fn login_started(purpose: Purpose) {
    let purpose = purpose.code();
    tracing::debug!(
        name: "kycport.login.started", target: "kycport::login",
        purpose, "a login started"
    );
    count!(LOGINS_STARTED, purpose);
}

/// Reports that a login created a session.
pub(crate) fn signed_in(purpose: Purpose, person: Pseudonym<'_>, session: Pseudonym<'_>) {
    let purpose = purpose.code();
    tracing::info!(
        name: "kycport.login.signed_in", target: "kycport::login",
        purpose, %person, %session, "a person signed in"
    );
}

/// Reports that a step-up whose code arrived too late starts again.
pub(crate) fn step_up_restarted(reference: &impl Display) {
    tracing::info!(
        name: "kycport.step_up.restarted", target: "kycport::login",
        %reference, "a step-up returned too late and started again"
    );
}

/// Reports that a person got the reason page instead of a further step-up.
pub(crate) fn step_up_loop(tier: &str, person: Pseudonym<'_>, reference: &impl Display) {
    tracing::warn!(
        name: "kycport.step_up.loop", target: "kycport::login",
        tier, %person, %reference, "KYCPort sent a person back twice without the required result"
    );
}

/// Reports that a callback is not a valid authorization response.
pub(crate) fn callback_malformed(error: &impl Display, reference: &impl Display) {
    tracing::info!(
        name: "kycport.login.malformed", target: "kycport::login",
        %error, %reference, "a login callback was malformed"
    );
}

/// Reports that a login failed. `kycport_code` is KYCPort's error code, with other characters than
/// printable ASCII replaced.
pub(crate) fn login_failed(
    error: &impl Reason,
    kycport_code: Option<&str>,
    reference: &impl Display,
) {
    let reason = error.reason();
    tracing::warn!(
        name: "kycport.login.failed", target: "kycport::login",
        reason, kycport_code, %error, %reference, "a login failed"
    );
}
