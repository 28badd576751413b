//! Verification of webhook signatures.

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

/// Default maximum size of a body, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Maximum number of secrets that are valid simultaneously.
pub const MAX_SECRETS: usize = MAX_WEBHOOK_SECRETS;
/// Minimum length of a key, in bytes (128 bits).
pub const MIN_SECRET_BYTES: usize = MIN_WEBHOOK_SECRET_BYTES;

/// Default tolerance for a signed time.
const TOLERANCE: TimestampTolerance = TimestampTolerance {
    max_age: Duration::from_secs(300),
    max_ahead: Duration::from_secs(300),
};

/// Verifier for the signatures of KYCPort's deliveries (K60, K61).
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
/// The verifier does not parse the body: [`EventReader::read`](super::EventReader::read) parses the
/// body. An app can put a verified delivery into a queue before parsing.
#[derive(Clone)]
pub struct WebhookVerifier {
    scheme: SignatureScheme,
    keys: Keys,
    max_body: usize,
    tolerance: TimestampTolerance,
    clock: Arc<dyn Clock>,
}

impl WebhookVerifier {
    /// Returns a builder with the scheme that tenants observe at KYCPort (K61), and without
    /// secrets.
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

    /// Verifies the signature over the raw bytes of the body. Call this method before any component
    /// decodes or parses the body. The verifier sends no request.
    ///
    /// # Errors
    /// Returns [`SignatureError`] if the signature is missing, malformed or does not match.
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
        let mut valid = keys.iter().filter(|named| named.is_valid(now));
        let matched = valid.find(|named| {
            let tag = named.key.sign(&signed);
            presented.tags.iter().any(|presented| presented.is(&tag))
        });
        let matched = matched.ok_or(SignatureError::Mismatch)?;
        if let Some(at) = presented.at {
            let checked = self.tolerance.check(at, now);
            checked.map_err(|error| match error {
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

    /// Checks whether the headers contain a well-formed signature, before the body is read.
    ///
    /// # Errors
    /// Returns [`SignatureError`] if the signature is missing or malformed.
    pub fn check_headers(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        presented::read(&self.scheme, headers).map(drop)
    }

    /// Returns possible reasons for a [`SignatureError::Mismatch`], for the log. The delivery
    /// remains rejected.
    ///
    /// The method hashes the body about a dozen times for each secret, and every sender can cause a
    /// mismatch. Therefore limit the number of calls.
    pub fn diagnose(&self, headers: &HeaderMap, body: &[u8]) -> Diagnosis {
        let body = body.get(..self.max_body).unwrap_or(body);
        let (keys, now) = (self.keys.now(), self.clock.now());
        let keys = keys.iter().filter(|named| named.is_valid(now));
        let keys = keys.map(|named| (named.secret.expose(), &named.key));
        Diagnosis::of(&self.scheme, keys, headers, body)
    }

    /// Returns the maximum size of a body, in bytes. Stop reading a request when its body exceeds
    /// the maximum size.
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// Returns the names of the secrets that are currently valid.
    pub fn secret_names(&self) -> Vec<String> {
        let (keys, now) = (self.keys.now(), self.clock.now());
        let keys = keys.iter().filter(|named| named.is_valid(now));
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

/// Builder for a [`WebhookVerifier`].
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
    /// Adds a secret that KYCPort may use to sign deliveries. During a rotation, add the new secret
    /// first, then the old secret. `name` identifies the secret in logs and
    /// in [`VerifiedPayload::secret_name`].
    pub fn secret(mut self, name: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.secrets.push((name.into(), secret.into()));
        self
    }

    /// Also accepts the secrets in `secrets`, as they are at the time of each delivery.
    pub(crate) fn live(mut self, secrets: Arc<WebhookSecrets>) -> Self {
        self.live = Some(secrets);
        self
    }

    /// Sets the signature scheme. Default: the scheme of K61.
    pub fn scheme(mut self, scheme: impl Into<SignatureScheme>) -> Self {
        self.scheme = scheme.into();
        self
    }

    /// Sets the maximum size of a body, in bytes. Default: 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the maximum difference between a signed time and the clock, in the past and in the
    /// future. This limit applies only to schemes that sign a time. Default: 5 min.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = TimestampTolerance {
            max_age: tolerance,
            max_ahead: tolerance,
        };
        self
    }

    /// Sets the clock for checking a signed time. Default: the system clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the verifier.
    ///
    /// # Errors
    /// Returns [`VerifierError`] for the first invalid setting.
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
            None => Keys::Fixed(keys.into()),
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

/// Error from [`WebhookVerifierBuilder::build`]. The error contains the name of a secret, but not
/// the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// No secret is configured.
    #[error("no webhook secret is configured")]
    NoSecret,
    /// More than [`MAX_SECRETS`] secrets are configured.
    #[error("more than {MAX_SECRETS} webhook secrets are configured")]
    TooManySecrets,
    /// The name of a secret is empty or used twice.
    #[error("the name {0:?} of a webhook secret is empty or used twice")]
    Name(String),
    /// A secret is invalid.
    #[error("webhook secret {name:?} {problem}")]
    Secret {
        /// Name of the secret.
        name: String,
        /// Reason why the secret is invalid.
        problem: InvalidSecret,
    },
}

/// Returns the signature header that KYCPort would send with `body` (K61), in the default scheme.
/// Use this function in the tests of your app.
pub fn sign_test_delivery(secret: &Secret, body: &[u8]) -> (HeaderName, HeaderValue) {
    let hex = MacKey::new(secret.expose().as_bytes()).map(|key| key.sign(&[body]).hex());
    let text = format!("{}{}", webhook::SIGNATURE_PREFIX, hex.unwrap_or_default());
    let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    (HeaderName::from_static(webhook::SIGNATURE), value)
}
