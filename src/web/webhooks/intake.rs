//! From a request to bytes that are KYCPort's: nothing is parsed and nobody asked before.

use std::time::Duration;

use axum::{body::Body, extract::Request};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::CONTENT_LENGTH;
use tokio::sync::Semaphore;

use super::answer::Outcome;
use crate::webhook::{Refused, Verified, WebhookVerifier};

/// So many bodies are read at once. With the cap of each that bounds the memory which whoever finds
/// the address can take.
const MOST_AT_ONCE: usize = 64;

/// Reads and verifies.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) verifier: WebhookVerifier,
    deadline: Duration,
    turns: Semaphore,
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
            turns: Semaphore::new(MOST_AT_ONCE),
        }
    }

    /// The verified bytes, or what the answer is instead.
    pub(super) async fn take(
        &self,
        request: Request,
    ) -> Result<Verified, (Outcome, Option<Mismatch>)> {
        let (parts, body) = request.into_parts();
        let no = |outcome| (outcome, None);
        // Whoever bears no signature need not be read at all.
        let headers = self.verifier.check_headers(&parts.headers);
        headers.map_err(|refused| no(Outcome::Refused(refused)))?;
        let _turn = self.turns.try_acquire().map_err(|_| no(Outcome::Busy))?;
        let most = self.verifier.max_body();
        if declared_length(&parts.headers).is_some_and(|length| length > most as u64) {
            return Err(no(Outcome::Refused(Refused::TooLarge)));
        }
        let body = tokio::time::timeout(self.deadline, read(body, most)).await;
        let body = body.map_err(|_| no(Outcome::Slow))?.map_err(no)?;
        let verified = self.verifier.verify(&parts.headers, body.clone());
        verified.map_err(|refused| {
            let mismatch = (refused == Refused::Mismatch).then_some(Mismatch {
                headers: parts.headers,
                body,
            });
            (Outcome::Refused(refused), mismatch)
        })
    }
}

/// What is declared and no number is left to the server, which refuses it.
fn declared_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body, if it is `most` bytes or less.
async fn read(body: Body, most: usize) -> Result<Bytes, Outcome> {
    let mut pieces = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Outcome::BrokeOff)?;
        if whole.len().saturating_add(piece.len()) > most {
            return Err(Outcome::Refused(Refused::TooLarge));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}
