//! The nouns of KYCPort's wire: plain types and names, one file per endpoint family, and no rules.
//!
//! The SDK and the mock issuer both build on these, so that a renamed field breaks both when
//! compiling; what either of them *does* with a field stays its own. Row ids (`K1` …) refer to
//! [the contract](crate::guide::contract).

pub mod authorize;
pub mod cases;
pub mod claims;
pub mod discovery;
pub mod jwks;
pub mod kyc;
pub mod token;
pub mod webhook;
mod word;
