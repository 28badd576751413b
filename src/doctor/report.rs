//! What was looked at, and what came of it.

use std::fmt;

/// What came of one look, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
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
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What came of it.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do about it, if something is to be done.
    pub remedy: Option<&'static str>,
}

/// What [`RelyingParty::doctor`](crate::RelyingParty::doctor) found. Display is for people: a line
/// for each thing that was looked at, and below it what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    lines: Vec<Check>,
}

impl Report {
    pub(super) fn new(lines: Vec<Check>) -> Self {
        Self { lines }
    }

    /// What was looked at, in a fixed order.
    pub fn checks(&self) -> &[Check] {
        &self.lines
    }

    /// The line of that name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.lines.iter().find(|line| line.name == name)
    }

    /// The worst that was found.
    pub fn worst(&self) -> Status {
        let verdicts = self.lines.iter().map(|line| line.status);
        verdicts.max().unwrap_or(Status::NotChecked)
    }

    /// Whether nothing has failed.
    pub fn is_healthy(&self) -> bool {
        self.worst() < Status::Fail
    }
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    pub(super) fn with(
        status: Status,
        name: &'static str,
        found: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self {
            name,
            status,
            found: found.into(),
            remedy: Some(remedy),
        }
    }
}

impl fmt::Display for Status {
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
            writeln!(f, "{:<12} {:<14} {}", line.status, line.name, line.found)?;
            if let Some(remedy) = line.remedy {
                writeln!(f, "{:<27} -> {remedy}", "")?;
            }
        }
        Ok(())
    }
}
