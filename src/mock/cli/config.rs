//! Configuration file of `kycport-mock`.

use std::{fs, path::Path};

use super::CliError;
use crate::mock::start::InitialState;

/// Reads the file. An error names the file and the line, and lists the known names if a name is
/// unknown.
pub(super) fn read(file: &Path) -> Result<InitialState, CliError> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
}
