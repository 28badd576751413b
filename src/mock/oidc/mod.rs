//! OpenID Connect endpoints of KYCPort.

pub(super) mod authorize;
pub(super) mod client;
pub(super) mod discovery;
pub(super) mod hosted;
pub(super) mod keys;
pub(super) mod mint;
pub(super) mod token;
pub(super) mod userinfo;
