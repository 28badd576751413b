//! OpenID Connect client without a web framework.
//!
//! The [`OidcClient`] signs people in and verifies tokens. The client caches the discovery document
//! and the keys. The functions [`verify_id_token`] and [`verify_access_token`] validate tokens with
//! the rules of the client. The results of these functions depend only on the token, the keys, the
//! expectations and the time.

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
#[cfg(feature = "web")]
mod revocation;
mod settings;
mod token_endpoint;
mod userinfo;
mod validation_error;

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
#[cfg(feature = "web")]
pub(crate) use revocation::RevokedToken;
pub use settings::ResponseIssuer;
pub use userinfo::{Userinfo, UserinfoError};
pub use validation_error::{ClaimError, TokenKind, TokenPart, TokenValidationError};

#[cfg(feature = "web")]
pub(crate) use callback::printable;
pub(crate) use checkup::Checkup;
#[cfg(feature = "web")]
pub(crate) use client::AuthorizationCode;
#[cfg(feature = "web")]
pub(crate) use login::SEED_BYTES;
pub(crate) use metadata::{MetadataPolicy, RESERVED_PARAMETERS};
pub(crate) use settings::Settings;
