//! Tokens that are not believed.

use super::count;

/// A token is not believed. `claim` is which claim it was, if it was one.
pub(crate) fn token_refused(
    token: &'static str,
    reason: &'static str,
    claim: &'static str,
    refusal: &impl std::fmt::Display,
) {
    tracing::info!(
        name: "kycport.token.rejected", target: "kycport::token",
        token, reason, claim, %refusal, "a token was refused"
    );
    count!(TOKENS_REFUSED, token, reason, claim);
}

/// A bearer's token cannot be judged, for want of keys.
#[cfg(feature = "web")]
pub(crate) fn token_not_judged(error: &impl super::Reason) {
    let reason = error.reason();
    tracing::warn!(
        name: "kycport.token.unverifiable", target: "kycport::token",
        reason, %error, "an access token could not be judged"
    );
}
