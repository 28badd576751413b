//! Result of one check.

use super::{
    client::{ProbeResponse, ProbeResult},
    difference::Difference,
};

/// Result of one check, or a row of the contract that the probe could not check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The row of [the contract](crate::guide::contract), such as `K6`.
    pub row: &'static str,
    /// The property that the probe checked.
    pub what: String,
    /// The result of the check.
    pub verdict: Verdict,
}

/// Outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The issuer behaves as the row of the contract says.
    Match,
    /// The behavior of the issuer differs from the row of the contract.
    Differs {
        /// The behavior that the row requires.
        expected: String,
        /// The behavior of the issuer, without control characters and truncated.
        found: String,
    },
    /// The issuer sent no response, or a 429 or 5xx response.
    NotReached(String),
    /// The probe cannot check this row with read-only requests.
    NotProbed(&'static str),
}

impl Finding {
    /// Evaluates a response. Without a response, the verdict is [`Verdict::NotReached`].
    pub(super) fn of(
        row: &'static str,
        what: impl Into<String>,
        result: &ProbeResult,
        judge: impl FnOnce(&ProbeResponse) -> Result<(), Difference>,
    ) -> Self {
        let verdict = match result {
            Err(reason) => Verdict::NotReached(reason.clone()),
            Ok(response) => match judge(response) {
                Ok(()) => Verdict::Match,
                Err(Difference { expected, found }) => Verdict::Differs { expected, found },
            },
        };
        let what = what.into();
        Self { row, what, verdict }
    }
}
