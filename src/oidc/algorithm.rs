//! What the one algorithm is called.

use crate::wire::claims;

/// By which names the one algorithm may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AlgorithmNames {
    /// `EdDSA` alone (K22, RFC 8037).
    #[default]
    EdDsa,
    /// `EdDSA`, and the fully specified `Ed25519` (RFC 9864).
    EdDsaOrEd25519,
}

impl AlgorithmNames {
    pub(super) fn admits(self, name: &str) -> bool {
        name == claims::ALG_EDDSA || (self == Self::EdDsaOrEd25519 && name == "Ed25519")
    }
}
