//! Streaming of a browser's upload to KYCPort, without buffering or storing the files.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

use super::{
    browser_form::{Outcome, pieces, read_start},
    case::read,
    client::CaseClient,
    error::CaseError,
    forward_error::ForwardError,
    multipart::Boundary,
};
use crate::{
    api::MAX_ANSWER_BYTES,
    http::TransportError,
    observe::{self, Call},
    wire::cases::UploadResponse,
};

/// Result of a forwarded upload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardedUpload {
    /// Names of the parts that KYCPort received.
    pub received: Vec<String>,
    /// Names of dropped parts: verdicts and unknown parts. A dropped part may be a sign of an
    /// attack.
    pub dropped: Vec<String>,
}

impl CaseClient {
    /// Forwards a form to KYCPort part by part, if the case belongs to the person. Drops `body`
    /// when KYCPort has responded.
    pub(crate) async fn relay<E>(
        &self,
        person_id: &str,
        case_id: &str,
        content_type: &str,
        body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<ForwardedUpload, ForwardError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let permit = self.enter_upload(person_id);
        let _permit = permit.ok_or(ForwardError::TooManyUploads)?;
        self.get_of(person_id, case_id).await?;
        observe::call(Call::Upload, self.forward(case_id, content_type, body)).await
    }

    async fn forward<E>(
        &self,
        case_id: &str,
        content_type: &str,
        body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<ForwardedUpload, ForwardError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let url = self.url(case_id, Some("upload"))?;
        self.uploads().require_key().map_err(CaseError::from)?;
        let limit = self.settings().max_file_bytes;
        let outcome = Outcome::default();
        let mut pieces = pieces(content_type, body, limit, outcome.clone())?.boxed();
        // The client limits the number of concurrent uploads to KYCPort. An upload counts towards
        // this limit only after the first file of the upload has started.
        let started = read_start(&mut pieces);
        let started = tokio::time::timeout(self.settings().upload_deadline, started);
        let started = started.await.map_err(|_| ForwardError::TooSlow)?;
        let started = started.map_err(|_| outcome.end().0.unwrap_or(ForwardError::Malformed))?;
        let pieces = stream::iter(started.into_iter().map(Ok)).chain(pieces);
        let boundary = Boundary::random();
        let form = Mutex::new(Some(boundary.form(pieces, None)));
        let sent = self.uploads().send_once(async |authorization| {
            let form = form.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A second attempt, for example with another API key, is impossible, because the first
            // attempt consumed the body. The earlier read of the case has already determined the
            // accepted key.
            let form = form.ok_or(TransportError::Connect)?;
            let request = http::Request::post(url.as_str())
                .header(AUTHORIZATION, authorization)
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, boundary.content_type())
                .body(reqwest::Body::wrap(form))
                .map_err(|_| TransportError::Request)?;
            let deadline = self.settings().upload_deadline;
            let http = self.uploads().http();
            http.send_within(deadline, request, MAX_ANSWER_BYTES).await
        });
        let sent = sent.await;
        let (stopped, dropped) = outcome.end();
        if let (Err(_), Some(error)) = (&sent, stopped) {
            return Err(error);
        }
        let answer = sent.map_err(CaseError::from)?;
        let response: UploadResponse = read(&answer).map_err(CaseError::after_mutation)?;
        Ok(ForwardedUpload {
            received: response.received,
            dropped,
        })
    }
}
