//! Secrets that sign a tenant's webhook deliveries.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::mock::{random, switches::Switches};

/// A tenant's current and previous webhook secret.
#[derive(Clone)]
pub(in crate::mock) struct Secrets {
    pub(in crate::mock) current: String,
    pub(in crate::mock) previous: Option<String>,
}

impl Secrets {
    /// Generates a new secret. Secrets differ at every start.
    pub(in crate::mock) fn generate() -> Self {
        Self {
            current: fresh(),
            previous: None,
        }
    }

    /// Returns the current secret in the format that the tenant receives. A Standard Webhooks
    /// secret is `whsec_` and base64.
    pub(in crate::mock) fn for_tenant(&self, switches: &Switches) -> String {
        if switches.webhook_standard_signature && !self.current.starts_with(STANDARD_PREFIX) {
            format!("{STANDARD_PREFIX}{}", STANDARD.encode(&self.current))
        } else {
            self.current.clone()
        }
    }

    pub(in crate::mock) fn rotate(&mut self) {
        let old = std::mem::replace(&mut self.current, fresh());
        self.previous = Some(old);
    }
}

/// Prefix of each Standard Webhooks secret.
const STANDARD_PREFIX: &str = "whsec_";

/// Returns the key that signs a Standard Webhooks delivery. The key is the decoded base64 after
/// `whsec_`. For a secret without this prefix, the key is the bytes of the text.
pub(in crate::mock) fn standard_key(secret: &str) -> Vec<u8> {
    let encoded = secret.strip_prefix(STANDARD_PREFIX);
    let decoded = encoded.and_then(|it| STANDARD.decode(it).ok());
    decoded.unwrap_or_else(|| secret.as_bytes().to_vec())
}

/// Generates a secret in KYCPort's format.
pub(in crate::mock) fn fresh() -> String {
    format!("hook_{}", random::token())
}
