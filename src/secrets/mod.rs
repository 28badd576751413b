//! Secrets that change while the app runs: where new ones come from, and which is in use.
//!
//! A [`SecretProvider`] says what they are, [`ConfigBuilder::secrets`] takes it, and
//! [`RelyingParty::reload_secrets`] asks it: on a signal, on a timer, when a file changes. What is
//! new is tried before it replaces what works. See [the manual](crate::guide::secrets).
//!
//! [`ConfigBuilder::secrets`]: crate::ConfigBuilder::secrets
//! [`RelyingParty::reload_secrets`]: crate::RelyingParty::reload_secrets

mod files;
mod flaw;
mod kind;
mod live;
mod provider;
mod slot;
mod trial;
mod webhook;

pub use files::SecretFiles;
pub use flaw::SecretFlaw;
pub use kind::SecretKind;
pub(crate) use live::LiveSecrets;
pub(crate) use provider::SharedProvider;
pub use provider::{SecretProvider, Secrets, SecretsUnavailable};
pub(crate) use slot::{Offer, Slot};
pub(crate) use trial::{Said, Trial, trial};
pub(crate) use webhook::{
    Believed, MAX_WEBHOOK_SECRETS, MIN_WEBHOOK_SECRET_BYTES, WebhookOffer, WebhookSecrets,
};
