//! Reads the body and verifies the signature. The receiver parses the body and accesses the store
//! only after it has verified the signature.

use std::time::Duration;

use axum::{body::Body, extract::Request};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::CONTENT_LENGTH;

use super::{
    answer::Outcome,
    bodies::{Bodies, Dropped, Place},
};
use crate::webhook::{SignatureError, VerifiedPayload, WebhookVerifier};

/// Maximum declared length of a small body, in bytes. Small bodies have reserved places, which
/// large bodies cannot use. An event usually has a few hundred bytes.
const SMALL_BODY: usize = 16 * 1024;
/// Maximum number of small bodies that the receiver reads concurrently. All small bodies together
/// use at most 16 MiB.
const MAX_SMALL_BODIES: usize = 1024;
/// Maximum number of large bodies that the receiver reads concurrently.
const MAX_LARGE_BODIES: usize = 256;
/// Maximum total bytes of large bodies in memory.
const MAX_LARGE_BYTES: usize = 48 * 1024 * 1024;

/// Reads and verifies deliveries.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) verifier: WebhookVerifier,
    deadline: Duration,
    small: Bodies,
    large: Bodies,
}

/// Delivery whose signature did not match, for the diagnosis.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
}

impl Intake {
    pub(super) fn new(verifier: WebhookVerifier, deadline: Duration) -> Self {
        Self {
            verifier,
            deadline,
            small: Bodies::new(
                MAX_SMALL_BODIES,
                MAX_SMALL_BODIES.saturating_mul(SMALL_BODY),
            ),
            large: Bodies::new(MAX_LARGE_BODIES, MAX_LARGE_BYTES),
        }
    }

    /// Returns the verified bytes, or the outcome of the failure.
    pub(super) async fn take(
        &self,
        request: Request,
    ) -> Result<VerifiedPayload, (Outcome, Option<Mismatch>)> {
        let (parts, body) = request.into_parts();
        let rejected = |outcome| (outcome, None);
        // The receiver rejects a request without a signature before it reads the body.
        let headers = self.verifier.check_headers(&parts.headers);
        headers.map_err(|refused| rejected(Outcome::Rejected(refused)))?;
        let limit = self.verifier.max_body();
        let declared = declared_length(&parts.headers);
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(rejected(Outcome::Rejected(SignatureError::TooLarge)));
        }
        let is_small = declared.is_some_and(|length| length <= SMALL_BODY as u64);
        let (bodies, limit) = if is_small {
            (&self.small, limit.min(SMALL_BODY))
        } else {
            (&self.large, limit)
        };
        let place = bodies.enter();
        let body = tokio::time::timeout(self.deadline, read(&place, body, limit)).await;
        let body = body
            .map_err(|_| rejected(Outcome::SlowBody))?
            .map_err(rejected)?;
        let verified = self.verifier.verify(&parts.headers, body.clone());
        verified.map_err(|refused| {
            let mismatch = (refused == SignatureError::Mismatch).then_some(Mismatch {
                headers: parts.headers,
                body,
            });
            (Outcome::Rejected(refused), mismatch)
        })
    }
}

/// Reads the body, if it has at most `limit` bytes.
async fn read(place: &Place<'_>, body: Body, limit: usize) -> Result<Bytes, Outcome> {
    let mut pieces = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(piece) = place.wait(pieces.next()).await.map_err(dropped)? {
        let piece = piece.map_err(|_| Outcome::IncompleteBody)?;
        if whole.len().saturating_add(piece.len()) > limit {
            return Err(Outcome::Rejected(SignatureError::TooLarge));
        }
        place.received(piece.len()).map_err(dropped)?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn dropped(why: Dropped) -> Outcome {
    match why {
        Dropped::Slow => Outcome::SlowBody,
        Dropped::Full => Outcome::Busy,
    }
}

/// Returns the declared length. The HTTP server has already rejected a length that is not a number.
fn declared_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
