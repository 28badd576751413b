//! What was looked at, and what came of it.

use std::fmt;

/// What came of one look, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is as it must be.
    Ok,
    /// It was not looked at, and the line says why.
    NotChecked,
    /// It works, and may not do what is meant.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at. Nothing secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// What was looked at.
    pub name: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it, if something is to be done.
    pub mend: Option<&'static str>,
}

/// What [`RelyingParty::doctor`](crate::RelyingParty::doctor) found. Display is for people: a line
/// for each thing that was looked at, and below it what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    pub(super) fn new(lines: Vec<Line>) -> Self {
        Self { lines }
    }

    /// What was looked at, in a fixed order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The line of that name.
    pub fn line(&self, name: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == name)
    }

    /// The worst that was found.
    pub fn worst(&self) -> Verdict {
        let verdicts = self.lines.iter().map(|line| line.verdict);
        verdicts.max().unwrap_or(Verdict::NotChecked)
    }

    /// Whether nothing has failed.
    pub fn is_healthy(&self) -> bool {
        self.worst() < Verdict::Fail
    }
}

impl Line {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            found: found.into(),
            mend: None,
        }
    }

    pub(super) fn with(
        verdict: Verdict,
        name: &'static str,
        found: impl Into<String>,
        mend: &'static str,
    ) -> Self {
        Self {
            name,
            verdict,
            found: found.into(),
            mend: Some(mend),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::NotChecked => "not checked",
            Self::Warn => "warning",
            Self::Fail => "FAILED",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{:<12} {:<14} {}", line.verdict, line.name, line.found)?;
            if let Some(mend) = line.mend {
                writeln!(f, "{:<27} -> {mend}", "")?;
            }
        }
        Ok(())
    }
}
