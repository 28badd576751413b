//! Sessions: the key in the cookie, the stored records, the tokens and the administration.

mod admin;
mod creation;
mod id;
mod key;
mod login_write;
mod record;
mod refresh;
mod renewal;
mod revocation;
mod revoker;
mod sessions;
mod token_error;
mod tokens;
mod version;

pub use admin::{SessionSummary, Sessions};
pub use id::{InvalidSessionId, SessionId};
pub use revocation::Revocation;
pub use token_error::AccessTokenError;

pub(crate) use sessions::{LONGEST_SESSION, SessionLimits};
pub(super) use {
    creation::{Created, NewSession},
    key::SessionKey,
    record::Session,
    renewal::Renewed,
    revocation::TokenStatus,
    revoker::TokenRevoker,
    sessions::{LiveSession, SessionRecords},
    tokens::AccessTokens,
};
