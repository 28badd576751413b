//! What is known of people.

#[cfg(feature = "web")]
use super::count;

/// The cache does not work, or not in time. `operation` is `read` or `write`.
#[cfg(feature = "web")]
pub(crate) fn cache_failed(operation: &'static str) {
    tracing::warn!(
        name: "kycport.assurance.cache_failed", target: "kycport::assurance",
        operation, "the assurance cache does not work"
    );
    count!(CACHE_FAILURES, operation);
}

/// What the cache has is of a time that is yet to come.
#[cfg(feature = "web")]
pub(crate) fn cache_ahead() {
    tracing::warn!(
        name: "kycport.assurance.cache_ahead", target: "kycport::assurance",
        "the assurance cache is ahead of the clock: asking again"
    );
}

/// What the cache has is no assurance.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) fn kept_assurance_unreadable() {
    tracing::warn!(
        name: "kycport.assurance.unreadable", target: "kycport::assurance",
        "an assurance that is kept cannot be understood"
    );
}

/// Two sources say different things of a person, as of the same moment.
pub(crate) fn sources_differ(one: &impl std::fmt::Debug, other: &impl std::fmt::Debug) {
    tracing::warn!(
        name: "kycport.assurance.sources_differ", target: "kycport::assurance",
        ?one, ?other, "two sources differ about a person; the stricter is believed"
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
