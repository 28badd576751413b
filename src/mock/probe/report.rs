//! What a probe found, all together.

use std::fmt::{self, Display};

use super::finding::{Finding, Verdict};

/// What was found at a live issuer, row by row.
#[derive(Debug, Clone)]
pub struct Report {
    origin: String,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(origin: String, findings: Vec<Finding>) -> Self {
        Self { origin, findings }
    }

    /// Everything, one or more for each row of [the contract](crate::guide::contract).
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether nothing differs and everything that was to be looked at was reached.
    pub fn is_match(&self) -> bool {
        self.exit_code() == 0
    }

    /// What a program ends with: 0 if this [is a match](Self::is_match), 1 if anything differs, 2 if
    /// nothing does and something was not reached.
    pub fn exit_code(&self) -> u8 {
        if self.count("differs") > 0 {
            return 1;
        }
        let judged_all = self.count("not reached") == 0 && self.count("match") > 0;
        if judged_all { 0 } else { 2 }
    }

    fn count(&self, word: &str) -> usize {
        let of_it = |finding: &&Finding| finding.verdict.word() == word;
        self.findings.iter().filter(of_it).count()
    }
}

impl Verdict {
    const WORDS: [&str; 4] = ["match", "differs", "not reached", "not probed"];

    /// `match`, `differs`, `not reached` or `not probed`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Differs { .. } => "differs",
            Self::NotReached(_) => "not reached",
            Self::NotProbed(_) => "not probed",
        }
    }
}

/// A line.
impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, what, verdict } = self;
        write!(f, "{:<11}  {row:<3}  {what}", verdict.word())?;
        match verdict {
            Verdict::Match => Ok(()),
            Verdict::Differs { expected, found } => {
                write!(f, ": expected {expected}, found {found}")
            }
            Verdict::NotReached(why) => write!(f, ": {why}"),
            Verdict::NotProbed(why) => write!(f, ": {why}"),
        }
    }
}

/// A line for each finding, in the order of the words, and one that counts.
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin.as_str() {
            "" => "No origin",
            origin => origin,
        };
        writeln!(f, "{origin} against the contract")?;
        for word in Verdict::WORDS {
            for finding in self.findings.iter().filter(|it| it.verdict.word() == word) {
                writeln!(f, "{finding}")?;
            }
        }
        let counts = Verdict::WORDS.map(|word| format!("{} {word}", self.count(word)));
        f.write_str(&counts.join(", "))
    }
}
