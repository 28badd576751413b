//! Which secret.

use std::fmt;

/// Which secret: what logs and errors call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretKind {
    /// With which the client authenticates at the token endpoint (K20).
    ClientSecret,
    /// With which the tenant calls the API (K40).
    TenantApiKey,
    /// With which KYCPort signs its deliveries (K60).
    WebhookSecret,
    /// With which KYCPort signed until lately.
    PreviousWebhookSecret,
}

impl SecretKind {
    /// Its name in the environment, which is that of its file in a directory too.
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
