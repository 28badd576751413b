//! Handling of a replaced secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Validity of the old client secret or API key after a rotation. KYCPort does not document it
/// (K97). In JSON, a variant is its name in `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OldSecret {
    /// The old secret is rejected immediately.
    Ends,
    /// The old secret stays valid in addition to the new secret, until the next rotation.
    Stays,
}

impl OldSecret {
    /// Replaces `current` by `fresh`, and keeps or drops the old secret.
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
