//! What becomes of a secret that is replaced.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of the old client secret or API key when it is replaced, which KYCPort does not
/// document (K97). In JSON it is its name in `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OldSecret {
    /// It ends at once.
    Ends,
    /// It is good beside the new one, until the next is made.
    Stays,
}

impl OldSecret {
    /// Puts `fresh` in the place of `current`.
    pub(in crate::mock) fn replace(
        self,
        current: &mut String,
        previous: &mut Option<String>,
        fresh: String,
    ) {
        let old = std::mem::replace(current, fresh);
        *previous = (self == Self::Stays).then_some(old);
    }
}
