//! Keys for the verification of signatures.

use std::sync::{Arc, PoisonError, RwLock};

use super::{
    mac::{MacKey, key_bytes},
    scheme::{SecretEncoding, SignatureScheme},
};
use crate::{
    clock::Timestamp,
    observe,
    secret::Secret,
    secrets::{ActiveSecret, InvalidSecret, MIN_WEBHOOK_SECRET_BYTES, WebhookSecrets},
};

/// Named secret with its derived key.
#[derive(Clone)]
pub(super) struct NamedKey {
    pub(super) name: String,
    pub(super) secret: Secret,
    pub(super) key: MacKey,
    /// Time at which the secret expires.
    until: Option<Timestamp>,
}

/// Keys of a verifier: fixed keys, or keys that change with the active secrets.
#[derive(Clone)]
pub(super) enum Keys {
    Fixed(Arc<[NamedKey]>),
    Live(Arc<LiveKeys>),
}

pub(super) struct LiveKeys {
    fixed: Vec<NamedKey>,
    secrets: Arc<WebhookSecrets>,
    scheme: SignatureScheme,
    /// Keys that were derived last, with the generation of their secrets.
    derived: RwLock<(u64, Arc<[NamedKey]>)>,
}

impl NamedKey {
    pub(super) fn new(
        scheme: &SignatureScheme,
        name: &str,
        secret: Secret,
    ) -> Result<Self, InvalidSecret> {
        Ok(Self {
            name: name.to_owned(),
            key: key_of(scheme, secret.expose())?,
            secret,
            until: None,
        })
    }

    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Keys {
    pub(super) fn live(
        fixed: Vec<NamedKey>,
        secrets: Arc<WebhookSecrets>,
        scheme: SignatureScheme,
    ) -> Self {
        let derived = derive(&fixed, &secrets, &scheme);
        Self::Live(Arc::new(LiveKeys {
            fixed,
            secrets,
            scheme,
            derived: RwLock::new(derived),
        }))
    }

    pub(super) fn now(&self) -> Arc<[NamedKey]> {
        let live = match self {
            Self::Fixed(keys) => return Arc::clone(keys),
            Self::Live(live) => live,
        };
        let (generation, keys) = {
            let derived = live.derived.read().unwrap_or_else(PoisonError::into_inner);
            (derived.0, Arc::clone(&derived.1))
        };
        if generation == live.secrets.generation() {
            return keys;
        }
        // Derive the keys under the lock. Otherwise keys from older secrets could replace newer
        // keys.
        let mut derived = live.derived.write().unwrap_or_else(PoisonError::into_inner);
        *derived = derive(&live.fixed, &live.secrets, &live.scheme);
        Arc::clone(&derived.1)
    }

    /// Reports that a delivery was signed with this key.
    pub(super) fn verified_by(&self, key: &NamedKey, now: Timestamp) {
        if let Self::Live(live) = self {
            live.secrets.verified_by(&key.secret, now);
        }
    }
}

fn derive(
    fixed: &[NamedKey],
    secrets: &WebhookSecrets,
    scheme: &SignatureScheme,
) -> (u64, Arc<[NamedKey]>) {
    let (generation, active) = secrets.active();
    let derived = active.into_iter().filter_map(|active| {
        let ActiveSecret {
            name,
            secret,
            until,
        } = active;
        match NamedKey::new(scheme, &name, secret) {
            Ok(key) => Some(NamedKey { until, ..key }),
            Err(problem) => {
                observe::webhook_secret_invalid(&name, &problem);
                None
            }
        }
    });
    (generation, fixed.iter().cloned().chain(derived).collect())
}

fn key_of(scheme: &SignatureScheme, text: &str) -> Result<MacKey, InvalidSecret> {
    if let Some(problem) = InvalidSecret::in_text(text) {
        return Err(problem);
    }
    let (text, encoding) = match scheme {
        SignatureScheme::Body(scheme) => (text, scheme.secret),
        SignatureScheme::Timestamped(_) => (text, SecretEncoding::Utf8),
        SignatureScheme::StandardWebhooks => (
            text.strip_prefix("whsec_").unwrap_or(text),
            SecretEncoding::Base64,
        ),
    };
    let bytes = key_bytes(text, encoding).ok_or(InvalidSecret::Encoding)?;
    if bytes.len() < MIN_WEBHOOK_SECRET_BYTES {
        return Err(InvalidSecret::Short);
    }
    MacKey::new(&bytes).ok_or(InvalidSecret::Encoding)
}
