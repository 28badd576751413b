//! What was found about one row.

use super::ask::{Asked, Seen};

/// One thing that was looked at, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The row of [the contract](crate::guide::contract), such as `K6`.
    pub row: &'static str,
    /// What was looked at.
    pub what: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is as the row says.
    Match,
    /// It is not.
    Differs {
        /// What the row says.
        expected: String,
        /// What is there, printable and cut.
        found: String,
    },
    /// It was to be looked at, and nothing came that could be judged: no answer, a 429 or a 5xx.
    NotReached(String),
    /// It cannot be looked at by reading.
    NotProbed(&'static str),
}

/// Why something is not as a row says.
pub(super) struct Difference {
    expected: String,
    found: String,
}

impl Finding {
    /// Judges an answer, if there is one.
    pub(super) fn of(
        row: &'static str,
        what: impl Into<String>,
        asked: &Asked,
        judge: impl FnOnce(&Seen) -> Result<(), Difference>,
    ) -> Self {
        let verdict = match asked {
            Err(why) => Verdict::NotReached(why.clone()),
            Ok(seen) => match judge(seen) {
                Ok(()) => Verdict::Match,
                Err(Difference { expected, found }) => Verdict::Differs { expected, found },
            },
        };
        let what = what.into();
        Self { row, what, verdict }
    }
}

/// The two as they are shown; what was found may hold anything.
pub(super) fn differs(expected: impl Into<String>, found: &str) -> Difference {
    let printable = |c: &char| !c.is_control();
    Difference {
        expected: expected.into(),
        found: found.chars().filter(printable).take(MOST_SHOWN).collect(),
    }
}

pub(super) fn same(expected: &str, found: &str) -> Result<(), Difference> {
    if expected == found {
        return Ok(());
    }
    Err(differs(expected, found))
}

const MOST_SHOWN: usize = 160;
