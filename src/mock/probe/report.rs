//! Report of a probe.

use std::fmt::{self, Display};

use super::finding::{Finding, Verdict};

/// Report of a probe: the results of checking a live issuer, by row of the contract.
#[derive(Debug, Clone)]
pub struct Report {
    origin: String,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(origin: String, findings: Vec<Finding>) -> Self {
        Self { origin, findings }
    }

    /// Returns all findings. Each row of [the contract](crate::guide::contract) has at least one
    /// finding.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns whether the probe reached the issuer for every check and found no difference.
    pub fn is_match(&self) -> bool {
        self.exit_code() == 0
    }

    /// Returns the exit code of a program that prints the report:
    /// - 0 if the report [is a match](Self::is_match).
    /// - 1 if a check differs.
    /// - 2 if no check differs but the probe could not complete at least one check.
    pub fn exit_code(&self) -> u8 {
        if self.count("differs") > 0 {
            return 1;
        }
        let judged_all = self.count("not reached") == 0 && self.count("match") > 0;
        if judged_all { 0 } else { 2 }
    }

    fn count(&self, label: &str) -> usize {
        let of_it = |finding: &&Finding| finding.verdict.label() == label;
        self.findings.iter().filter(of_it).count()
    }
}

impl Verdict {
    const LABELS: [&str; 4] = ["match", "differs", "not reached", "not probed"];

    /// Returns `match`, `differs`, `not reached` or `not probed`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Differs { .. } => "differs",
            Self::NotReached(_) => "not reached",
            Self::NotProbed(_) => "not probed",
        }
    }
}

/// Formats the finding as one line.
impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, what, verdict } = self;
        write!(f, "{:<11}  {row:<3}  {what}", verdict.label())?;
        match verdict {
            Verdict::Match => Ok(()),
            Verdict::Differs { expected, found } => {
                write!(f, ": expected {expected}, found {found}")
            }
            Verdict::NotReached(reason) => write!(f, ": {reason}"),
            Verdict::NotProbed(reason) => write!(f, ": {reason}"),
        }
    }
}

/// Formats one line for each finding, ordered by outcome, and a line with the counts.
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin.as_str() {
            "" => "No origin",
            origin => origin,
        };
        writeln!(f, "{origin} against the contract")?;
        for label in Verdict::LABELS {
            for finding in self
                .findings
                .iter()
                .filter(|it| it.verdict.label() == label)
            {
                writeln!(f, "{finding}")?;
            }
        }
        let counts = Verdict::LABELS.map(|label| format!("{} {label}", self.count(label)));
        f.write_str(&counts.join(", "))
    }
}
