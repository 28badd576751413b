//! Whether KYCPort accepts a secret, without doing anything with it.

use rand::distr::{Alphanumeric, SampleString as _};

use crate::secret::Secret;

/// What an answer says of the secret that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is the right one, if the question is judged by the secret at all.
    Yes,
    /// It is refused.
    No,
    /// Something else.
    Unclear,
    /// There was no answer, or none of KYCPort's.
    Nothing,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    Accepted,
    Rejected,
    /// Nobody answered.
    Unreachable,
    /// The answer does not say.
    Unclear,
}

/// Asks with `secret` and, if that is taken, with one that nobody has: only if that is refused did
/// the first answer say anything.
pub(crate) async fn trial<F>(secret: &Secret, ask: impl Fn(Secret) -> F) -> Trial
where
    F: Future<Output = Said>,
{
    match ask(secret.clone()).await {
        Said::Yes => {}
        Said::No => return Trial::Rejected,
        Said::Unclear => return Trial::Unclear,
        Said::Nothing => return Trial::Unreachable,
    }
    let nobodys = Alphanumeric.sample_string(&mut rand::rng(), 32);
    match ask(Secret::new(nobodys)).await {
        Said::No => Trial::Accepted,
        Said::Yes | Said::Unclear => Trial::Unclear,
        Said::Nothing => Trial::Unreachable,
    }
}
