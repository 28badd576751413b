//! Report of the checks.

use std::fmt;

/// Result of a check, ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// The check passed.
    Ok,
    /// The check did not run, and its message states the reason.
    NotChecked,
    /// The checked part works, but possibly not as intended.
    Warn,
    /// The check failed.
    Fail,
}

/// Result of one check. The result contains no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Name of the check.
    pub name: &'static str,
    /// Status of the check.
    pub status: Status,
    /// Description of the finding.
    pub found: String,
    /// Action to take, if an action is necessary.
    pub remedy: Option<&'static str>,
}

/// Report of [`RelyingParty::doctor`](crate::RelyingParty::doctor). `Display` writes one line per
/// check, followed by the action to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(checks: Vec<Check>) -> Self {
        Self { checks }
    }

    /// Returns the checks, in a fixed order.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Returns the check with this name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|line| line.name == name)
    }

    /// Returns the worst status of all checks.
    pub fn worst(&self) -> Status {
        let statuses = self.checks.iter().map(|line| line.status);
        statuses.max().unwrap_or(Status::NotChecked)
    }

    /// Returns whether no check failed.
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
        for line in &self.checks {
            writeln!(f, "{:<12} {:<14} {}", line.status, line.name, line.found)?;
            if let Some(remedy) = line.remedy {
                writeln!(f, "{:<27} -> {remedy}", "")?;
            }
        }
        Ok(())
    }
}
