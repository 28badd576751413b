//! Selection of the secrets that sign a delivery.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Signatures of a delivery during the rotation of a secret (K80). In JSON, each variant is its
/// name in `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliverySignatures {
    /// One signature with the current secret.
    #[default]
    Current,
    /// Two signatures in one header, separated by a comma. The first signature uses the current
    /// secret, and the second signature uses the previous secret.
    BothInOneHeader,
    /// Two signatures in two headers. The first signature uses the current secret, and the second
    /// signature uses the previous secret.
    BothInTwoHeaders,
}
