//! Rotation of secrets without a restart.
//!
//! A [`SecretProvider`] returns the current secrets. Pass it to [`ConfigBuilder::secrets`], and
//! call [`RelyingParty::reload_secrets`] on a signal, on a timer or when a file changes. The crate
//! activates a new client secret or tenant key only after KYCPort accepts it. See [the
//! manual](crate::guide::secrets).
//!
//! [`ConfigBuilder::secrets`]: crate::ConfigBuilder::secrets
//! [`RelyingParty::reload_secrets`]: crate::RelyingParty::reload_secrets

mod candidate_check;
mod files;
mod invalid;
mod kind;
mod live;
mod provider;
mod rotating;
mod webhook;

pub(crate) use candidate_check::{CandidateCheck, CredentialVerdict, check_candidate};
pub use files::SecretFiles;
pub use invalid::InvalidSecret;
pub use kind::SecretKind;
pub(crate) use live::LiveSecrets;
pub(crate) use provider::SharedProvider;
pub use provider::{SecretProvider, Secrets, SecretsUnavailable};
pub(crate) use rotating::{Candidacy, RotatingSecret};
pub(crate) use webhook::{
    ActiveSecret, MAX_WEBHOOK_SECRETS, MIN_WEBHOOK_SECRET_BYTES, WebhookCandidacy, WebhookSecrets,
};
