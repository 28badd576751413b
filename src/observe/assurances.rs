//! What is known of people.

/// An answer of KYCPort's could not be recorded. Requests that need one ask again.
#[cfg(feature = "web")]
pub(crate) fn assurance_not_recorded() {
    tracing::warn!(
        name: "kycport.assurance.not_recorded", target: "kycport::assurance",
        "the store did not take an answer about a person; sessions see the previous one"
    );
}

/// There is nothing to ask about a person with.
#[cfg(feature = "web")]
pub(crate) fn no_access_token(error: &impl std::fmt::Display) {
    tracing::debug!(
        name: "kycport.assurance.no_access_token", target: "kycport::assurance",
        %error, "there is no access token to ask with"
    );
}

/// A decision is not confirmed by the status endpoint yet.
#[cfg(feature = "web")]
pub(crate) fn decision_not_confirmed() {
    tracing::warn!(
        name: "kycport.assurance.decision_not_confirmed", target: "kycport::assurance",
        "what a decision changed is not known to all sessions yet"
    );
}
