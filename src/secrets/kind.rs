//! Kinds of secrets.

use std::fmt;

/// Kind of a secret, for logs and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretKind {
    /// Secret with which the client authenticates at the token endpoint (K20).
    ClientSecret,
    /// Key with which the tenant calls the API (K40).
    TenantApiKey,
    /// Secret with which KYCPort signs webhook deliveries (K60).
    WebhookSecret,
    /// Secret with which KYCPort signed webhook deliveries before the last rotation.
    PreviousWebhookSecret,
}

impl SecretKind {
    /// Returns the name of the environment variable. The provider
    /// from [`SecretFiles::in_directory`](super::SecretFiles::in_directory) reads a file with this
    /// name.
    pub fn variable(self) -> &'static str {
        match self {
            Self::ClientSecret => "KYCPORT_CLIENT_SECRET",
            Self::TenantApiKey => "KYCPORT_TENANT_API_KEY",
            Self::WebhookSecret => "KYCPORT_WEBHOOK_SECRET",
            Self::PreviousWebhookSecret => "KYCPORT_WEBHOOK_SECRET_PREVIOUS",
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.variable())
    }
}
