//! The configuration file.

use std::{fs, path::Path};

use super::Sentence;
use crate::mock::start::Start;

/// Names the file, the line and what is wrong there; of a name that is not known, those that are.
pub(super) fn read(file: &Path) -> Result<Start, Sentence> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
}
