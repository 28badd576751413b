//! Check of a candidate secret at KYCPort, without side effects.

use rand::distr::{Alphanumeric, SampleString as _};

use crate::secret::Secret;

/// What KYCPort's response says about the secret in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialVerdict {
    /// KYCPort accepted the secret, if the response to this request depends on the secret.
    Accepted,
    /// KYCPort rejected the secret.
    Rejected,
    /// The response does not tell whether the secret is valid.
    Unclear,
    /// No response arrived, or the response was not from KYCPort.
    NoResponse,
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CandidateCheck {
    Accepted,
    Rejected,
    /// KYCPort did not respond.
    Unreachable,
    /// The response does not tell whether the secret is valid.
    Unclear,
}

/// Sends a request with `secret` and, if KYCPort accepts it, another request with a random secret.
/// The check succeeds only if KYCPort rejects the random secret. If KYCPort accepts a random
/// secret, the response does not depend on the secret.
pub(crate) async fn check_candidate<F>(
    secret: &Secret,
    send: impl Fn(Secret) -> F,
) -> CandidateCheck
where
    F: Future<Output = CredentialVerdict>,
{
    match send(secret.clone()).await {
        CredentialVerdict::Accepted => {}
        CredentialVerdict::Rejected => return CandidateCheck::Rejected,
        CredentialVerdict::Unclear => return CandidateCheck::Unclear,
        CredentialVerdict::NoResponse => return CandidateCheck::Unreachable,
    }
    let random = Alphanumeric.sample_string(&mut rand::rng(), 32);
    match send(Secret::new(random)).await {
        CredentialVerdict::Rejected => CandidateCheck::Accepted,
        CredentialVerdict::Accepted | CredentialVerdict::Unclear => CandidateCheck::Unclear,
        CredentialVerdict::NoResponse => CandidateCheck::Unreachable,
    }
}
