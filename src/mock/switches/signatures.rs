//! Selection of the secrets that sign a delivery.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Signatures of a delivery during the rotation of a secret (K80). In JSON, the variants have
/// `snake_case` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliverySignatures {
    /// One signature, with the current secret.
    #[default]
    Current,
    /// Signatures with the current and the previous secret, in one header, separated by a comma.
    BothInOneHeader,
    /// Signatures with the current and the previous secret, in two headers.
    BothInTwoHeaders,
}
