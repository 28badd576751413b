//! Log events about a person's verification status.

/// Logs that the store did not store a status of KYCPort. Later requests that need the status read
/// it again from KYCPort.
pub(crate) fn assurance_not_recorded() {
    tracing::warn!(
        name: "kycport.assurance.not_recorded", target: "kycport::assurance",
        "could not store a person's status; sessions use the previous status"
    );
}

/// Logs that a person's status cannot be read without an access token.
pub(crate) fn no_access_token(error: &impl std::fmt::Display) {
    tracing::debug!(
        name: "kycport.assurance.no_access_token", target: "kycport::assurance",
        %error, "no access token is available to read a person's status"
    );
}

/// Logs that the status endpoint has not confirmed a decision yet.
pub(crate) fn decision_not_confirmed() {
    tracing::warn!(
        name: "kycport.assurance.decision_not_confirmed", target: "kycport::assurance",
        "the status endpoint has not confirmed a decision; some sessions may use the previous status"
    );
}
