//! From a request to bytes that are KYCPort's: nothing is parsed and nobody asked before.

use std::time::Duration;

use axum::{body::Body, extract::Request};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::CONTENT_LENGTH;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::Outcome;
use crate::webhook::{SignatureError, VerifiedPayload, WebhookVerifier};

/// So many bytes of bodies are held at once: that bounds the memory which whoever finds the address
/// can take. What comes slowly holds little, and so keeps nobody out.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// So many bodies are read at once, however little there is of them.
const MOST_BODIES: usize = 1024;

/// Reads and verifies.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) verifier: WebhookVerifier,
    deadline: Duration,
    bodies: Semaphore,
    bytes: Semaphore,
}

/// What did not match, for whoever looks for the reason.
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
            bodies: Semaphore::new(MOST_BODIES),
            bytes: Semaphore::new(MOST_BYTES),
        }
    }

    /// The verified bytes, or what the answer is instead.
    pub(super) async fn take(
        &self,
        request: Request,
    ) -> Result<VerifiedPayload, (Outcome, Option<Mismatch>)> {
        let (parts, body) = request.into_parts();
        let no = |outcome| (outcome, None);
        // Whoever bears no signature need not be read at all.
        let headers = self.verifier.check_headers(&parts.headers);
        headers.map_err(|refused| no(Outcome::Rejected(refused)))?;
        let _turn = self.bodies.try_acquire().map_err(|_| no(Outcome::Busy))?;
        let most = self.verifier.max_body();
        if declared_length(&parts.headers).is_some_and(|length| length > most as u64) {
            return Err(no(Outcome::Rejected(SignatureError::TooLarge)));
        }
        let body = tokio::time::timeout(self.deadline, self.read(body, most)).await;
        let body = body.map_err(|_| no(Outcome::Slow))?.map_err(no)?;
        let verified = self.verifier.verify(&parts.headers, body.clone());
        verified.map_err(|refused| {
            let mismatch = (refused == SignatureError::Mismatch).then_some(Mismatch {
                headers: parts.headers,
                body,
            });
            (Outcome::Rejected(refused), mismatch)
        })
    }

    /// The body, if it is `most` bytes or less.
    async fn read(&self, body: Body, most: usize) -> Result<Bytes, Outcome> {
        let mut pieces = body.into_data_stream();
        let mut whole = BytesMut::new();
        // One permit that grows: a body of single bytes must not cost a permit for each.
        let mut held: Option<SemaphorePermit<'_>> = None;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Outcome::BrokeOff)?;
            if whole.len().saturating_add(piece.len()) > most {
                return Err(Outcome::Rejected(SignatureError::TooLarge));
            }
            let length = u32::try_from(piece.len()).map_err(|_| Outcome::Busy)?;
            let more = self.bytes.try_acquire_many(length);
            let more = more.map_err(|_| Outcome::Busy)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

/// What is declared and no number is left to the server, which refuses it.
fn declared_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
