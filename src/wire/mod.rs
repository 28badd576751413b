//! Types and names of KYCPort's protocol, one file per group of endpoints.
//!
//! The SDK and the mock issuer share these types, so a renamed field fails to compile in both. Row
//! ids (`K1` …) refer to [the contract](crate::guide::contract).

pub mod authorize;
pub mod cases;
pub mod claims;
pub mod discovery;
mod id;
pub mod jwks;
pub mod kyc;
pub mod token;
pub mod webhook;
mod word;

pub(crate) use id::{MAX_ID_BYTES, is_id};
