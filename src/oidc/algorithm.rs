//! Names of the signature algorithm.

use crate::wire::claims;

/// Accepted names of the signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AlgorithmNames {
    /// Accepts only `EdDSA` (K22, RFC 8037).
    #[default]
    EdDsa,
    /// Accepts `EdDSA`, and the fully specified name `Ed25519` (RFC 9864).
    EdDsaOrEd25519,
}

impl AlgorithmNames {
    pub(super) fn admits(self, name: &str) -> bool {
        name == claims::ALG_EDDSA || (self == Self::EdDsaOrEd25519 && name == "Ed25519")
    }
}
