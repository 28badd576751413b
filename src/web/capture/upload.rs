//! Upload of documents from a browser to a case, forwarded to KYCPort.

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
    cases::{CaseClient, CaseError, ForwardError, ForwardedUpload},
    observe,
    web::signed_in::extractor::SignedIn,
};

/// Maximum time to read the remaining bytes of a rejected upload. Without this read, a browser that
/// is still sending would not see the response.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// Maximum number of remaining bytes of a rejected upload to read.
const MAX_DRAINED_BYTES: u64 = 128 * 1024 * 1024;

/// Upload in `multipart/form-data` that a browser is sending. The parts `document` and `selfie` are
/// required; `document_back`, `liveness_mode` and `applicant_*` are optional (K51). The extractor
/// does not read the body of the request.
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
/// axum's own body limit (2 MB) does not apply. An upload may have three files
/// of [`max_upload_file_bytes`](crate::ConfigBuilder::max_upload_file_bytes), 64 parts, and 1 MiB
/// of other content. The whole upload may
/// take [`upload_timeout`](crate::ConfigBuilder::upload_timeout). A person can have four uploads in
/// progress. Each upload must send at least 4 KiB/s, after a grace period of 10 s.
pub struct CaptureUpload {
    content_type: String,
    body: Arc<Mutex<BodyDataStream>>,
}

impl CaptureUpload {
    /// Forwards the upload to `case_id`, which must be a case of the signed-in person. The relay
    /// reads the case before the first byte of the upload. The relay then streams the upload to
    /// KYCPort, without a buffer in memory or on disk. The relay drops a verdict that the browser
    /// sends, and reports the verdict in [`ForwardedUpload::dropped`].
    ///
    /// # Errors
    /// Returns [`CaptureError`], which converts to a response:
    ///
    /// | Status | Reason |
    /// |---|---|
    /// | 400, 413, 415 | the upload is malformed, too large or of an unsupported type |
    /// | 404 | the case does not exist or belongs to another person |
    /// | 409 | the case does not accept an upload |
    /// | 429 | the person already has four uploads in progress |
    /// | 502 | KYCPort rejected the upload |
    /// | 503 | KYCPort is unavailable |
    /// | 504 | the response of KYCPort was lost |
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
            // The person has too many uploads already, so this upload gets no more bandwidth.
            Ok(_)
            | Err(
                ForwardError::TooManyUploads | ForwardError::Case(CaseError::RateLimited { .. }),
            ) => {}
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

    /// Reads the remaining bytes of the body. If the server closed the connection, a browser that
    /// is still sending would not see the response.
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
        // A browser that sends the remaining bytes too slowly does not see the response.
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
