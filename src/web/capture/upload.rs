//! A browser's upload to a case, through this app and on to KYCPort.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    body::BodyDataStream,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use tokio::sync::Mutex;

use super::error::CaptureError;
use crate::{
    cases::{CaseClient, ForwardError, ForwardedUpload},
    observe,
    web::signed_in::extractor::SignedIn,
};

/// So long what the browser still sends is read out after a no, so that it sees the no.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// So much of it, in bytes.
const MAX_DRAINED_BYTES: u64 = 128 * 1024 * 1024;

/// A `multipart/form-data` that a browser is sending: `document`, `selfie`, and if they are there
/// `document_back`, `liveness_mode` and `applicant_*` (K51). As an extractor it takes the body and
/// reads nothing of it yet.
///
/// ```no_run
/// # use kycport::{RelyingParty, SignedIn, web::{CaptureError, CaptureUpload}};
/// # use axum::{Json, extract::{Path, State}};
/// async fn upload(
///     State(kycport): State<RelyingParty>,
///     Path(case_id): Path<String>,
///     person: SignedIn,
///     upload: CaptureUpload,
/// ) -> Result<Json<Vec<String>>, CaptureError> {
///     let relayed = upload.forward(kycport.cases(), &person, &case_id).await?;
///     Ok(Json(relayed.received))
/// }
/// ```
///
/// axum's own limit of bodies (2 MB) does not apply: the caps are three files of
/// [`max_upload_file_bytes`](crate::ConfigBuilder::max_upload_file_bytes), 64 parts, 1 MiB for
/// everything else, and [`upload_timeout`](crate::ConfigBuilder::upload_timeout) for all of it. A
/// person has at most four uploads in progress, and each sends 4 KiB/s or more, after 10 s of
/// grace.
pub struct CaptureUpload {
    content_type: String,
    body: Arc<Mutex<BodyDataStream>>,
}

impl CaptureUpload {
    /// Hands it on to `case_id`, which must be the case of whoever is signed in: the case is read
    /// first, before a byte of the upload. Then each piece goes out as it comes in; nothing is held
    /// and nothing is written to disk. What the browser says is a verdict is left out, and reported
    /// in [`ForwardedUpload::dropped`].
    ///
    /// # Errors
    /// [`CaptureError`], which is an answer too: 400, 413 or 415 for what was sent, 429 for a fifth
    /// upload of one person while four are in progress, 404 for a case
    /// that is not this person's, 409 for one that takes no upload, 502 for what KYCPort would not
    /// have, 503 if it cannot be asked, 504 if its answer was lost.
    pub async fn forward(
        self,
        cases: &CaseClient,
        person: &SignedIn,
        case_id: &str,
    ) -> Result<ForwardedUpload, CaptureError> {
        let relayed = self.try_forward(cases, person, case_id).await;
        match &relayed {
            Ok(relayed) if !relayed.dropped.is_empty() => {
                observe::parts_dropped(relayed.dropped.len());
            }
            Ok(_) => {}
            Err(_) => self.drain().await,
        }
        Ok(relayed?)
    }

    async fn try_forward(
        &self,
        cases: &CaseClient,
        person: &SignedIn,
        case_id: &str,
    ) -> Result<ForwardedUpload, ForwardError> {
        let body = self.stream();
        let person_id = person.subject();
        let relayed = cases.relay(person_id, case_id, &self.content_type, body);
        relayed.await
    }

    fn stream(&self) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + use<> {
        stream::unfold(Arc::clone(&self.body), |body| async move {
            let piece = body.lock().await.next().await?;
            Some((piece, body))
        })
    }

    /// Whoever is still sending does not see an answer on a connection that is closed under them.
    async fn drain(&self) {
        let reading = async {
            let mut body = self.body.lock().await;
            let mut seen = 0_u64;
            while let Some(Ok(piece)) = body.next().await {
                seen = seen.saturating_add(piece.len() as u64);
                if seen > MAX_DRAINED_BYTES {
                    return;
                }
            }
        };
        // Whoever is slower than that goes without.
        let _ = tokio::time::timeout(DRAIN_LIMIT, reading).await;
    }
}

impl<S: Sync> FromRequest<S> for CaptureUpload {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|it| it.to_str().ok());
        Ok(Self {
            content_type: content_type.unwrap_or_default().to_owned(),
            body: Arc::new(Mutex::new(request.into_body().into_data_stream())),
        })
    }
}

impl fmt::Debug for CaptureUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CaptureUpload(…)")
    }
}
