//! Judging deliveries by their signature.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    diagnosis::Diagnosis,
    keys::{Keys, NamedKey},
    mac::MacKey,
    presented,
    scheme::SignatureScheme,
    signature_error::SignatureError,
    tolerance::{TimestampError, TimestampTolerance},
    verified::VerifiedPayload,
};
use crate::{
    clock::{Clock, SystemClock},
    secret::Secret,
    secrets::{InvalidSecret, MAX_WEBHOOK_SECRETS, MIN_WEBHOOK_SECRET_BYTES, WebhookSecrets},
    wire::webhook,
};

/// The longest body that is taken if nothing else is said, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The most secrets that can be current at once.
pub const MAX_SECRETS: usize = MAX_WEBHOOK_SECRETS;
/// The shortest key that is taken, in bytes: 128 bits.
pub const MIN_SECRET_BYTES: usize = MIN_WEBHOOK_SECRET_BYTES;

/// How far a signed moment of a delivery may be from now, before and after.
const TOLERANCE: TimestampTolerance = TimestampTolerance {
    max_age: Duration::from_secs(300),
    max_ahead: Duration::from_secs(300),
};

/// Says of bytes and headers whether KYCPort sent them (K60, K61).
///
/// ```
/// use bytes::Bytes;
/// use http::HeaderMap;
/// use kycport::{Secret, webhook::{SignatureError, WebhookVerifier, sign_test_delivery}};
///
/// let secret = Secret::new("a secret of sixteen bytes or more");
/// let verifier = WebhookVerifier::builder().secret("2026-01", secret.clone()).build()?;
///
/// let body = Bytes::from_static(br#"{"id":"evt_1"}"#);
/// let (name, value) = sign_test_delivery(&secret, &body);
/// let headers = HeaderMap::from_iter([(name, value)]);
/// let verified = verifier.verify(&headers, body.clone())?;
/// assert_eq!(verified.secret_name(), "2026-01");
///
/// let changed = Bytes::from_static(br#"{"id":"evt_2"}"#);
/// assert_eq!(verifier.verify(&headers, changed), Err(SignatureError::Mismatch));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Reading what is in the bytes is another step, [`EventReader::read`](super::EventReader::read):
/// verified bytes can be queued first.
#[derive(Clone)]
pub struct WebhookVerifier {
    scheme: SignatureScheme,
    keys: Keys,
    max_body: usize,
    tolerance: TimestampTolerance,
    clock: Arc<dyn Clock>,
}

impl WebhookVerifier {
    /// Begins with what tenants observe of KYCPort (K61), and no secret.
    pub fn builder() -> WebhookVerifierBuilder {
        WebhookVerifierBuilder {
            scheme: SignatureScheme::default(),
            secrets: Vec::new(),
            live: None,
            max_body: MAX_BODY_BYTES,
            tolerance: TOLERANCE,
            clock: None,
        }
    }

    /// Judges the very bytes that came, before anything decodes or parses them. Asks nobody.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<VerifiedPayload, SignatureError> {
        if body.len() > self.max_body {
            return Err(SignatureError::TooLarge);
        }
        let presented = presented::read(&self.scheme, headers)?;
        let signed = presented.signed(&body);
        let keys = self.keys.now();
        let now = self.clock.now();
        let mut believed = keys.iter().filter(|named| named.is_believed(now));
        let matched = believed.find(|named| {
            let tag = named.key.sign(&signed);
            presented.tags.iter().any(|presented| presented.is(&tag))
        });
        let matched = matched.ok_or(SignatureError::Mismatch)?;
        if let Some(at) = presented.at {
            let timely = self.tolerance.check(at, now);
            timely.map_err(|untimely| match untimely {
                TimestampError::TooOld => SignatureError::TooOld,
                TimestampError::InFuture => SignatureError::InFuture,
            })?;
        }
        self.keys.verified_by(matched, now);
        Ok(VerifiedPayload::new(
            body,
            matched.name.clone(),
            presented.id,
            presented.at,
        ))
    }

    /// Judges the headers alone, before a body is read: whether there is a signature at all.
    ///
    /// # Errors
    /// [`SignatureError`], and never for what depends on the body.
    pub fn check_headers(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        presented::read(&self.scheme, headers).map(drop)
    }

    /// Looks for the reason of a [`SignatureError::Mismatch`], for the log of whoever sets webhooks up. It
    /// never makes a delivery good.
    ///
    /// It hashes the body a dozen times for each secret, and whoever knows the address can bring it
    /// about: call it now and then, not for each delivery.
    pub fn diagnose(&self, headers: &HeaderMap, body: &[u8]) -> Diagnosis {
        let body = body.get(..self.max_body).unwrap_or(body);
        let (keys, now) = (self.keys.now(), self.clock.now());
        let keys = keys.iter().filter(|named| named.is_believed(now));
        let keys = keys.map(|named| (named.secret.expose(), &named.key));
        Diagnosis::of(&self.scheme, keys, headers, body)
    }

    /// The longest body that is taken, in bytes: whoever reads it from the network stops there.
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// The names of the secrets that are believed now.
    pub fn secret_names(&self) -> Vec<String> {
        let (keys, now) = (self.keys.now(), self.clock.now());
        let keys = keys.iter().filter(|named| named.is_believed(now));
        keys.map(|named| named.name.clone()).collect()
    }
}

impl Debug for WebhookVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookVerifier")
            .field("scheme", &self.scheme)
            .field("secrets", &self.secret_names())
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

/// The settings of a [`WebhookVerifier`].
#[derive(Debug, Clone)]
#[must_use]
pub struct WebhookVerifierBuilder {
    scheme: SignatureScheme,
    secrets: Vec<(String, Secret)>,
    live: Option<Arc<WebhookSecrets>>,
    max_body: usize,
    tolerance: TimestampTolerance,
    clock: Option<Arc<dyn Clock>>,
}

impl WebhookVerifierBuilder {
    /// A secret that KYCPort may sign with. While one replaces another both are given, the new one
    /// first; `name` is what logs and [`VerifiedPayload::secret_name`] say of it.
    pub fn secret(mut self, name: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.secrets.push((name.into(), secret.into()));
        self
    }

    /// Believes these, as they are at each delivery, besides those that are given here.
    pub(crate) fn live(mut self, secrets: Arc<WebhookSecrets>) -> Self {
        self.live = Some(secrets);
        self
    }

    /// How deliveries are signed; as K61 says if nothing else is said.
    pub fn scheme(mut self, scheme: impl Into<SignatureScheme>) -> Self {
        self.scheme = scheme.into();
        self
    }

    /// The longest body that is taken, in bytes; 1 MiB if nothing is said.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How far a signed moment may be from now, where the scheme signs one; 5 min before and after
    /// if nothing is said.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = TimestampTolerance {
            max_age: tolerance,
            max_ahead: tolerance,
        };
        self
    }

    /// The clock that a signed moment is held against; the machine's if nothing is said.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Judges the settings.
    ///
    /// # Errors
    /// [`VerifierError`] for the first that cannot be used.
    pub fn build(self) -> Result<WebhookVerifier, VerifierError> {
        let live = self.live.as_ref().map(|live| live.active().1);
        let live = live.into_iter().flatten().map(|it| (it.name, it.secret));
        let all: Vec<_> = self.secrets.iter().cloned().chain(live).collect();
        if all.is_empty() {
            return Err(VerifierError::NoSecret);
        }
        if all.len() > MAX_SECRETS {
            return Err(VerifierError::TooManySecrets);
        }
        let mut keys: Vec<NamedKey> = Vec::new();
        for (name, secret) in all {
            if name.is_empty() || keys.iter().any(|other| other.name == name) {
                return Err(VerifierError::Name(name));
            }
            match NamedKey::new(&self.scheme, &name, secret) {
                Ok(key) => keys.push(key),
                Err(problem) => return Err(VerifierError::Secret { name, problem }),
            }
        }
        keys.truncate(self.secrets.len());
        let keys = match self.live {
            Some(live) => Keys::live(keys, live, self.scheme.clone()),
            None => Keys::Given(keys.into()),
        };
        Ok(WebhookVerifier {
            scheme: self.scheme,
            keys,
            max_body: self.max_body,
            tolerance: self.tolerance,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
        })
    }
}

/// A verifier cannot be built. Nothing of a secret is in here but its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// There is no secret: nothing could be verified.
    #[error("there is no webhook secret")]
    NoSecret,
    /// There are more than [`MAX_SECRETS`].
    #[error("there are more than {MAX_SECRETS} webhook secrets")]
    TooManySecrets,
    /// A secret's name is empty, or is another's.
    #[error("the name {0:?} of a webhook secret is empty or not its own")]
    Name(String),
    /// A secret cannot be used.
    #[error("webhook secret {name:?} {problem}")]
    Secret {
        /// The secret's name.
        name: String,
        /// What is wrong with it.
        problem: InvalidSecret,
    },
}

/// The header that KYCPort would send with `body` (K61), for an app's own tests. The scheme is the
/// default one.
pub fn sign_test_delivery(secret: &Secret, body: &[u8]) -> (HeaderName, HeaderValue) {
    let hex = MacKey::new(secret.expose().as_bytes()).map(|key| key.sign(&[body]).hex());
    let text = format!("{}{}", webhook::SIGNATURE_PREFIX, hex.unwrap_or_default());
    let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    (HeaderName::from_static(webhook::SIGNATURE), value)
}
