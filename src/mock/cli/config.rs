//! Configuration file of `kycport-mock`.

use std::{fs, path::Path};

use super::CliError;
use crate::mock::start::InitialState;

/// Reads the configuration file. An error contains the file name and the line. For an unknown name,
/// the error lists the known names.
pub(super) fn read(file: &Path) -> Result<InitialState, CliError> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
}
