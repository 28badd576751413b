//! The keys that signatures are held against.

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

/// A secret by its name, ready to sign with.
#[derive(Clone)]
pub(super) struct NamedKey {
    pub(super) name: String,
    pub(super) secret: Secret,
    pub(super) key: MacKey,
    /// From then on it is not believed.
    until: Option<Timestamp>,
}

/// Those that were given, or those that are in use at the moment.
#[derive(Clone)]
pub(super) enum Keys {
    Given(Arc<[NamedKey]>),
    Live(Arc<LiveKeys>),
}

pub(super) struct LiveKeys {
    given: Vec<NamedKey>,
    secrets: Arc<WebhookSecrets>,
    scheme: SignatureScheme,
    /// What was derived last, and from which generation of the secrets.
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

    pub(super) fn is_believed(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Keys {
    pub(super) fn live(
        given: Vec<NamedKey>,
        secrets: Arc<WebhookSecrets>,
        scheme: SignatureScheme,
    ) -> Self {
        let derived = derive(&given, &secrets, &scheme);
        Self::Live(Arc::new(LiveKeys {
            given,
            secrets,
            scheme,
            derived: RwLock::new(derived),
        }))
    }

    pub(super) fn now(&self) -> Arc<[NamedKey]> {
        let live = match self {
            Self::Given(keys) => return Arc::clone(keys),
            Self::Live(live) => live,
        };
        let (generation, keys) = {
            let derived = live.derived.read().unwrap_or_else(PoisonError::into_inner);
            (derived.0, Arc::clone(&derived.1))
        };
        if generation == live.secrets.generation() {
            return keys;
        }
        // Under the lock, so that what was derived from older secrets is never put over newer.
        let mut derived = live.derived.write().unwrap_or_else(PoisonError::into_inner);
        *derived = derive(&live.given, &live.secrets, &live.scheme);
        Arc::clone(&derived.1)
    }

    /// A delivery was signed with this one.
    pub(super) fn verified_by(&self, key: &NamedKey, now: Timestamp) {
        if let Self::Live(live) = self {
            live.secrets.verified_by(&key.secret, now);
        }
    }
}

fn derive(
    given: &[NamedKey],
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
    (generation, given.iter().cloned().chain(derived).collect())
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
