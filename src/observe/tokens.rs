//! Log events and metrics of rejected tokens.

use super::count;

/// Reports that a token was rejected. `claim` is the name of the invalid claim, or empty.
pub(crate) fn token_rejected(
    token: &'static str,
    reason: &'static str,
    claim: &'static str,
    refusal: &impl std::fmt::Display,
) {
    tracing::info!(
        name: "kycport.token.rejected", target: "kycport::token",
        token, reason, claim, %refusal, "a token was rejected"
    );
    count!(TOKENS_REJECTED, token, reason, claim);
}

/// Reports that an access token could not be verified, because no keys are available.
#[cfg(feature = "web")]
pub(crate) fn token_unverifiable(error: &impl super::Reason) {
    let reason = error.reason();
    tracing::warn!(
        name: "kycport.token.unverifiable", target: "kycport::token",
        reason, %error, "an access token could not be verified"
    );
}
