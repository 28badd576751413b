//! What is wrong with a configuration, and how to mend it.

use std::{borrow::Cow, fmt};

/// A setting, by its name in the builder and in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    name: &'static str,
    pub(super) variable: Option<&'static str>,
}

impl Setting {
    pub(super) const fn named(name: &'static str) -> Self {
        Self {
            name,
            variable: None,
        }
    }

    pub(super) const fn with_variable(name: &'static str, variable: &'static str) -> Self {
        Self {
            name,
            variable: Some(variable),
        }
    }

    pub(super) fn refuse(
        self,
        found: impl Into<Cow<'static, str>>,
        mend: impl Into<Cow<'static, str>>,
    ) -> ConfigError {
        ConfigError {
            setting: self,
            found: found.into(),
            mend: mend.into(),
        }
    }
}

/// A setting that cannot be used: which, what was found there (never a secret), and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {found}. {mend}")]
pub struct ConfigError {
    setting: Setting,
    found: Cow<'static, str>,
    mend: Cow<'static, str>,
}

impl ConfigError {
    /// The setting's name in the builder.
    pub fn setting(&self) -> &'static str {
        self.setting.name
    }

    /// The setting's name in the environment, if it has one there.
    pub fn variable(&self) -> Option<&'static str> {
        self.setting.variable
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variable {
            Some(variable) => write!(f, "{} ({variable})", self.name),
            None => f.write_str(self.name),
        }
    }
}
