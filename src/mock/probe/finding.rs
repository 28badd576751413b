//! Result of one check.

use super::{
    client::{ProbeResponse, ProbeResult},
    difference::Difference,
};

/// Result of one check, or of a row that the probe could not check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The row of [the contract](crate::guide::contract), such as `K6`.
    pub row: &'static str,
    /// The property that was checked.
    pub what: String,
    /// The result of the check.
    pub verdict: Verdict,
}

/// Outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The issuer behaves as the row says.
    Match,
    /// The issuer behaves differently.
    Differs {
        /// The behavior that the row requires.
        expected: String,
        /// The behavior of the issuer, without control characters and truncated.
        found: String,
    },
    /// The issuer sent no usable response: no response, a 429 or a 5xx.
    NotReached(String),
    /// The probe cannot check this row with read-only requests.
    NotProbed(&'static str),
}

impl Finding {
    /// Evaluates a response, if there is one.
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
