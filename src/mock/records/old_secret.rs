//! Validity of a secret after its rotation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Validity of the old client secret or API key after a rotation. KYCPort does not document this
/// validity (K97). In JSON, each variant is its name in `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OldSecret {
    /// The mock rejects the old secret immediately.
    Ends,
    /// The mock accepts the old secret and the new secret until the next rotation.
    Stays,
}

impl OldSecret {
    /// Replaces `current` with `fresh`. Keeps the old secret in `previous`, or removes the old
    /// secret.
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
