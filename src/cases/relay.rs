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

/// Maximum number of parts of a form.
const MAX_PARTS: usize = 64;
/// Maximum size of a form without its files, in bytes. The limit for the files is three times the
/// maximum file size.
const MAX_OTHER_BYTES: u64 = 1024 * 1024;
/// Maximum length of a text field, in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// Maximum length of a part's name in logs and responses, in characters.
const MAX_SHOWN_CHARS: usize = 64;

/// Result of a forwarded upload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardedUpload {
    /// Names of the parts that KYCPort received.
    pub received: Vec<String>,
    /// Names of dropped parts: verdicts and unknown parts. Dropped parts may be a sign of an
    /// attack.
    pub dropped: Vec<String>,
}

/// Error for a failed upload from a browser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The body is not valid `multipart/form-data`, or the connection broke.
    #[error("the upload is not valid multipart/form-data, or the connection broke")]
    Malformed,
    /// The body is larger than three files of the maximum size and 1 MiB.
    #[error("the upload is larger than {limit} bytes")]
    TooLarge {
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The form has more than 64 parts.
    #[error("the upload has more than 64 parts")]
    TooManyParts,
    /// The person already has four uploads in progress, or starts uploads too often: 30 in a row,
    /// then one every 5 s.
    #[error(
        "the person already has 4 uploads in progress, or starts uploads too often; retry in a few \
         seconds"
    )]
    TooManyUploads,
    /// The browser sends less than 4 KiB/s, or no file started within the time limit of an upload.
    #[error("the upload is slower than 4 KiB/s, or no file started in time")]
    TooSlow,
    /// Two parts of the upload have equal names.
    #[error("two parts of the upload have equal names")]
    Twice,
    /// The document or the selfie is missing.
    #[error("the {part} is missing")]
    Missing {
        /// Name of the part.
        part: &'static str,
    },
    /// The liveness mode is unknown, or a text field is not UTF-8 or longer than 1 KiB.
    #[error(
        "{}: unknown value, not UTF-8, or longer than 1024 bytes",
        printable_name(field)
    )]
    Text {
        /// Name of the field, as received.
        field: String,
    },
    /// A field of the applicant is not allowed.
    #[error("{}: {error}", printable_name(field))]
    Applicant {
        /// Name of the field, as received.
        field: String,
        /// Error for the field.
        error: ApplicantError,
    },
    /// KYCPort would reject a file.
    #[error(transparent)]
    Upload(UploadError),
    /// The request to KYCPort failed.
    #[error(transparent)]
    Case(#[from] CaseError),
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
        // The number of concurrent uploads to KYCPort is limited. So an upload counts towards this
        // limit only after its first file has started.
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

/// Returns the name of a part for logs and responses: shortened, and with control characters
/// escaped.
fn printable_name(name: &str) -> String {
    let escaped = name
        .chars()
        .take(MAX_SHOWN_CHARS)
        .flat_map(char::escape_default);
    escaped.collect()
}

/// Joins the lines of a text. A `textarea` sends line breaks, and KYCPort gets a single line.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(", ")
}

/// Result of reading a form: the error that stopped the reading, and the names of dropped parts.
#[derive(Clone, Default)]
struct Outcome(Arc<Mutex<(Option<ForwardError>, Vec<String>)>>);

impl Outcome {
    fn stop(&self, error: ForwardError) {
        self.with(|(stopped, _)| *stopped = Some(error));
    }

    fn drop_part(&self, name: &str) {
        self.with(|(_, dropped)| dropped.push(printable_name(name)));
    }

    fn end(&self) -> (Option<ForwardError>, Vec<String>) {
        self.with(std::mem::take)
    }

    fn with<T>(&self, f: impl FnOnce(&mut (Option<ForwardError>, Vec<String>)) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the form until the first bytes of the first file have arrived.
async fn read_start(
    pieces: &mut BoxStream<'_, Result<Piece, UploadError>>,
) -> Result<Vec<Piece>, UploadError> {
    let mut started = Vec::new();
    while let Some(piece) = pieces.try_next().await? {
        let is_file = matches!(&piece, Piece::Part(head) if head.file.is_some());
        started.push(piece);
        if is_file {
            break;
        }
    }
    Ok(started)
}

fn pieces<E>(
    content_type: &str,
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    limit: u64,
    outcome: Outcome,
) -> Result<impl Stream<Item = Result<Piece, UploadError>> + Send + 'static, ForwardError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let boundary = multer::parse_boundary(content_type).map_err(|_| ForwardError::Malformed)?;
    let max_bytes = limit.saturating_mul(3).saturating_add(MAX_OTHER_BYTES);
    let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(max_bytes));
    let (feed, body) = feed::split(at_minimum_rate(body.map_err(io::Error::other)));
    let relay = Relay {
        form: Multipart::with_constraints(body, boundary, limits),
        feed,
        file: None,
        ready: VecDeque::new(),
        names: BTreeSet::new(),
        parts: 0,
        applicant: Applicant::new(),
        limit,
        max_bytes,
        outcome,
    };
    Ok(stream::try_unfold(relay, |mut relay| async move {
        match relay.next().await {
            Ok(piece) => Ok(piece.map(|piece| (piece, relay))),
            Err(error) => {
                relay.outcome.stop(error);
                // The returned error aborts the request. The caller reports the error in `outcome`.
                Err(UploadError::Changed { part: "form" })
            }
        }
    }))
}

struct Relay {
    form: Multipart<'static>,
    feed: Feed,
    file: Option<OpenFile>,
    ready: VecDeque<Piece>,
    names: BTreeSet<String>,
    parts: usize,
    applicant: Applicant,
    limit: u64,
    max_bytes: u64,
    outcome: Outcome,
}

struct OpenFile {
    part: &'static str,
    field: Field<'static>,
    seen: u64,
}

impl Relay {
    async fn next(&mut self) -> Result<Option<Piece>, ForwardError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if let Some(mut file) = self.file.take() {
                if let Some(piece) = self.piece_of(&mut file).await? {
                    self.ready.push_back(Piece::Data(piece));
                    self.file = Some(file);
                }
                continue;
            }
            let field = self.feed.run(self.form.next_field()).await;
            let Some(field) = field.map_err(|error| self.broken(&error))? else {
                return self.finish();
            };
            self.part(field).await?;
        }
    }

    fn finish(&self) -> Result<Option<Piece>, ForwardError> {
        let missing = [DOCUMENT, SELFIE]
            .into_iter()
            .find(|part| !self.names.contains(*part));
        match missing {
            Some(part) => Err(ForwardError::Missing { part }),
            None => Ok(None),
        }
    }

    async fn part(&mut self, field: Field<'static>) -> Result<(), ForwardError> {
        self.parts = self.parts.saturating_add(1);
        if self.parts > MAX_PARTS {
            return Err(ForwardError::TooManyParts);
        }
        let name = field.name().unwrap_or_default().to_owned();
        let file = [DOCUMENT, DOCUMENT_BACK, SELFIE]
            .into_iter()
            .find(|part| *part == name);
        let is_text = name == LIVENESS_MODE || name.starts_with(APPLICANT_PREFIX);
        if (file.is_some() || is_text) && !self.names.insert(name.clone()) {
            return Err(ForwardError::Twice);
        }
        match file {
            Some(part) => self.begin_file(part, field).await,
            None if is_text => self.text(name, field).await,
            None => self.drop_part(&name, field).await,
        }
    }

    async fn begin_file(
        &mut self,
        part: &'static str,
        field: Field<'static>,
    ) -> Result<(), ForwardError> {
        let mut file = OpenFile {
            part,
            field,
            seen: 0,
        };
        let (mut first, mut start) = (VecDeque::new(), BytesMut::new());
        while start.len() < SIGNATURE_BYTES
            && let Some(piece) = self.piece_of(&mut file).await?
        {
            let missing = SIGNATURE_BYTES.saturating_sub(start.len());
            start.extend(piece.iter().take(missing));
            first.push_back(Piece::Data(piece));
        }
        let file_name = file.field.file_name();
        if start.is_empty() {
            if file_name.is_none_or(str::is_empty) {
                // A browser sends an empty part if no file was chosen (WHATWG HTML, "constructing
                // the entry list"). Treat an empty part as missing.
                self.names.remove(part);
                return Ok(());
            }
            return Err(ForwardError::Upload(UploadError::Empty { part }));
        }
        let media_type = MediaType::detect(part, &start, file_name)
            .map_err(|wrong| ForwardError::Upload(UploadError::of_type(part, wrong)))?;
        // The original file name is not sent, because it may contain personal data.
        let extension = media_type.extensions().first().copied().unwrap_or_default();
        first.push_front(Piece::Part(PartHead {
            name: part.to_owned(),
            file: Some((format!("{part}.{extension}"), media_type)),
        }));
        self.ready = first;
        self.file = Some(file);
        Ok(())
    }

    async fn text(&mut self, name: String, mut field: Field<'static>) -> Result<(), ForwardError> {
        let mut text = Vec::new();
        while let Some(piece) = self.chunk(&mut field).await? {
            text.extend_from_slice(&piece);
            if text.len() > MAX_TEXT_BYTES {
                return Err(ForwardError::Text { field: name });
            }
        }
        let mut text = String::from_utf8(text).map_err(|_| ForwardError::Text {
            field: name.clone(),
        })?;
        if name == LIVENESS_MODE {
            let Ok(mode) = text.parse::<LivenessMode>();
            if matches!(mode, LivenessMode::Unknown(_)) {
                return Err(ForwardError::Text { field: name });
            }
            // Send the canonical spelling: this crate parsed the value without regard to case, but
            // KYCPort compares exactly.
            text = mode.to_string();
        } else {
            text = one_line(&text);
            match self.applicant.clone().field(&name, text.clone()) {
                Ok(applicant) => self.applicant = applicant,
                Err(ApplicantError::Verdict) => {
                    self.outcome.drop_part(&name);
                    return Ok(());
                }
                Err(error) => return Err(ForwardError::Applicant { field: name, error }),
            }
        }
        self.ready
            .push_back(Piece::Part(PartHead { name, file: None }));
        self.ready.push_back(Piece::Data(text.into()));
        Ok(())
    }

    async fn drop_part(
        &mut self,
        name: &str,
        mut field: Field<'static>,
    ) -> Result<(), ForwardError> {
        self.outcome.drop_part(name);
        while self.chunk(&mut field).await?.is_some() {}
        Ok(())
    }

    async fn piece_of(&self, file: &mut OpenFile) -> Result<Option<Bytes>, ForwardError> {
        let piece = self.chunk(&mut file.field).await?;
        let more = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        file.seen = file.seen.saturating_add(more);
        if file.seen > self.limit {
            let (part, limit) = (file.part, self.limit);
            return Err(ForwardError::Upload(UploadError::TooLarge { part, limit }));
        }
        Ok(piece)
    }

    async fn chunk(&self, field: &mut Field<'static>) -> Result<Option<Bytes>, ForwardError> {
        let chunk = self.feed.run(field.chunk()).await;
        chunk.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &multer::Error) -> ForwardError {
        match error {
            multer::Error::StreamSizeExceeded { .. } => ForwardError::TooLarge {
                limit: self.max_bytes,
            },
            multer::Error::StreamReadFailed(error)
                if error
                    .downcast_ref::<io::Error>()
                    .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) =>
            {
                ForwardError::TooSlow
            }
            _ => ForwardError::Malformed,
        }
    }
}
