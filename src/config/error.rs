//! Error types of the configuration.

use std::{borrow::Cow, fmt};

/// Setting with its names in the builder and in the environment.
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
        remedy: impl Into<Cow<'static, str>>,
    ) -> ConfigError {
        ConfigError {
            setting: self,
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// Error for an invalid setting. The error contains the name of the setting, the problem and a
/// remedy. The error never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {found}. {remedy}")]
pub struct ConfigError {
    setting: Setting,
    found: Cow<'static, str>,
    remedy: Cow<'static, str>,
}

impl ConfigError {
    /// Returns the setting's name in the builder.
    pub fn setting(&self) -> &'static str {
        self.setting.name
    }

    /// Returns the setting's environment variable, if it has one.
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
