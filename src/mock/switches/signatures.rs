//! Selection of the secrets that sign a delivery.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Signatures of a delivery during the rotation of a secret (K80). In JSON, each variant is its
/// name in `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliverySignatures {
    /// One signature, which uses the current secret.
    #[default]
    Current,
    /// Two signatures in one header, separated by a comma. One signature uses the current secret,
    /// and the other uses the previous secret.
    BothInOneHeader,
    /// Two signatures in two headers. One signature uses the current secret, and the other uses the
    /// previous secret.
    BothInTwoHeaders,
}
