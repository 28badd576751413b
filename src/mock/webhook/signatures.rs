//! By which secrets a delivery is signed.

/// How a delivery is signed while a secret is replaced (K80).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
