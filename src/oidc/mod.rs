//! OpenID Connect without a web framework: asking apart from judging.
//!
//! [`OidcClient`] signs people in and verifies tokens, with discovery and keys cached.
//! [`verify_id_token`] and [`verify_access_token`] are the same judges as pure functions of bytes,
//! keys, expectations and time.

mod access_token;
mod algorithm;
mod cached;
mod callback;
mod checkup;
mod claims;
mod client;
mod exchange;
mod id_token;
mod jws;
mod keys;
mod login;
mod metadata;
mod outcome;
mod provider;
mod reason;
mod refusal;
#[cfg(feature = "web")]
mod revocation;
mod settings;
mod token_endpoint;
mod userinfo;

pub use access_token::{
    AccessTokenClaims, AccessTokenProfile, ExpectedAccessToken, verify_access_token,
};
pub use algorithm::AlgorithmNames;
pub use callback::{AuthorizationError, CallbackParams, CallbackParamsError};
pub use client::OidcClient;
pub use exchange::ExchangeError;
pub use id_token::{ExpectedIdToken, IdTokenClaims, verify_id_token};
pub use jws::MAX_TOKEN_BYTES;
pub use keys::{KeySet, KeySetError, MAX_KEYS};
pub use login::{AcrRequirement, LoginRequest, PendingAuthorization, Prompt};
pub use metadata::{MetadataError, UndeclaredCapabilities};
pub use outcome::{Authenticated, LoginError, TokenSet, VerifyError};
pub use provider::ProviderError;
pub use refusal::{ClaimError, TokenKind, TokenPart, TokenValidationError};
#[cfg(feature = "web")]
pub(crate) use revocation::RevokedToken;
pub use settings::ResponseIssuer;
pub use userinfo::{Userinfo, UserinfoError};

#[cfg(feature = "web")]
pub(crate) use callback::printable;
pub(crate) use checkup::Checkup;
#[cfg(feature = "web")]
pub(crate) use client::AuthorizationCode;
#[cfg(feature = "web")]
pub(crate) use login::SEED_BYTES;
pub(crate) use metadata::{MetadataPolicy, RESERVED_PARAMETERS};
pub(crate) use settings::Settings;
