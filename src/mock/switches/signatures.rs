//! By which secrets a delivery is signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a delivery is signed while a secret is replaced (K80). In JSON it is its name in
/// `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliverySignatures {
    /// By the present secret alone.
    #[default]
    Current,
    /// By the present secret and the one before it, in one header with a comma between.
    BothInOneHeader,
    /// By the present secret and the one before it, in a header each.
    BothInTwoHeaders,
}
