//! Logins, from the click to the session.

use std::fmt::Display;

use super::{Reason, count, log_key::Pseudonym};

/// What a login is for.
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

/// A browser is sent to KYCPort.
pub(crate) fn login_begun(purpose: Purpose) {
    let purpose = purpose.code();
    tracing::debug!(
        name: "kycport.login.started", target: "kycport::login",
        purpose, "a login begins"
    );
    count!(LOGINS_BEGUN, purpose);
}

/// A browser came back, and somebody has a session.
pub(crate) fn signed_in(purpose: Purpose, person: Pseudonym<'_>, session: Pseudonym<'_>) {
    let purpose = purpose.code();
    tracing::info!(
        name: "kycport.login.signed_in", target: "kycport::login",
        purpose, %person, %session, "a person signed in"
    );
}

/// A browser came back with something that is no answer of KYCPort's.
pub(crate) fn callback_malformed(error: &impl Display, reference: &impl Display) {
    tracing::info!(
        name: "kycport.login.malformed", target: "kycport::login",
        %error, %reference, "a callback was malformed"
    );
}

/// A login is over without a session. `kycport_code` is KYCPort's word, made printable.
pub(crate) fn login_failed(
    error: &impl Reason,
    kycport_code: Option<&str>,
    reference: &impl Display,
) {
    let reason = error.reason();
    tracing::warn!(
        name: "kycport.login.failed", target: "kycport::login",
        reason, kycport_code, %error, %reference, "a login did not end in a sign-in"
    );
}
