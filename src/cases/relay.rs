//! A browser's upload, handed on while it comes: nothing of it is held, nothing written down.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{
    applicant::{Applicant, ApplicantError},
    case::read,
    client::CaseClient,
    error::{CaseError, UploadError},
    feed::{self, Feed},
    media::{MediaType, TELLING_BYTES},
    multipart::{Boundary, PartHead, Piece},
    pace::at_minimum_rate,
};
use crate::{
    api::MAX_ANSWER_BYTES,
    http::TransportError,
    observe::{self, Call},
    wire::cases::{
        APPLICANT_PREFIX, DOCUMENT, DOCUMENT_BACK, LIVENESS_MODE, LivenessMode, SELFIE,
        UploadResponse,
    },
};

/// No form has more parts.
const MAX_PARTS: usize = 64;
/// Besides three files of the largest size, a form has so many bytes.
const ROOM_FOR_THE_REST: u64 = 1024 * 1024;
/// The longest text, in bytes.
const MAX_TEXT: usize = 1024;
/// So much of a dropped part's name is reported, in characters.
const REPORTED: usize = 64;

/// What came of an upload that was handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardedUpload {
    /// The parts that KYCPort says it received.
    pub received: Vec<String>,
    /// The names of parts that were not handed on: verdicts, and what is not known. Somebody may be
    /// trying something.
    pub dropped: Vec<String>,
}

/// Why an upload was not handed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// It is no `multipart/form-data`, or broke off.
    #[error("the upload is no multipart/form-data, or broke off")]
    Malformed,
    /// It is larger than three files and a few texts can be.
    #[error("the upload is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It has more parts than any upload.
    #[error("the upload has more than 64 parts")]
    TooManyParts,
    /// This person has four uploads in progress.
    #[error("this person has 4 uploads in progress; wait until one of them has ended")]
    TooManyUploads,
    /// The browser sends less than 4 KiB/s, or did not begin a file within the time of an upload.
    #[error("the upload is slower than 4 KiB/s, or no file of it began in time")]
    TooSlow,
    /// A part is there twice.
    #[error("a part of the upload is there twice")]
    Twice,
    /// The document or the selfie is missing.
    #[error("the {part} is missing")]
    Missing {
        /// The part.
        part: &'static str,
    },
    /// The liveness mode is not known, or a text is not UTF-8 or longer than 1 KiB.
    #[error(
        "{}: not a known value, not UTF-8, or longer than 1024 bytes",
        shown(field)
    )]
    Text {
        /// The field's name, as it came.
        field: String,
    },
    /// A field of the applicant's is none.
    #[error("{}: {error}", shown(field))]
    Applicant {
        /// The field's name, as it came.
        field: String,
        /// What is wrong with it.
        error: ApplicantError,
    },
    /// A file would be refused.
    #[error(transparent)]
    Upload(UploadError),
    /// What KYCPort said, or did not say.
    #[error(transparent)]
    Case(#[from] CaseError),
}

impl CaseClient {
    /// Hands a form of this person on, part by part, as it comes, if the case is theirs. `body` is
    /// dropped when KYCPort has answered.
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
        observe::call(Call::Upload, self.hand_on(case_id, content_type, body)).await
    }

    async fn hand_on<E>(
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
        // The places of uploads are few, and only an upload of which something is there takes one.
        let begun = tokio::time::timeout(self.settings().upload_deadline, begin(&mut pieces));
        let begun = begun.await.map_err(|_| ForwardError::TooSlow)?;
        let begun = begun.map_err(|_| outcome.end().0.unwrap_or(ForwardError::Malformed))?;
        let pieces = stream::iter(begun.into_iter().map(Ok)).chain(pieces);
        let boundary = Boundary::random();
        let form = Mutex::new(Some(boundary.form(pieces, None)));
        let told = self.uploads().send_once(async |authorization| {
            let form = form.lock().unwrap_or_else(PoisonError::into_inner).take();
            // There is no second time, with another key neither: what came from the browser went
            // with the first. Whoever asks for the case before has the key that is accepted.
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
        let told = told.await;
        let (stopped, dropped) = outcome.end();
        if let (Err(_), Some(error)) = (&told, stopped) {
            return Err(error);
        }
        let answer = told.map_err(CaseError::from)?;
        let said: UploadResponse = read(&answer).map_err(CaseError::after_the_deed)?;
        Ok(ForwardedUpload {
            received: said.received,
            dropped,
        })
    }
}

/// A part's name for logs and responses: short, and without control characters.
fn shown(name: &str) -> String {
    let shown = name.chars().take(REPORTED).flat_map(char::escape_default);
    shown.collect()
}

/// The text on one line: a `textarea` sends line breaks, and what is sent on has none.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(", ")
}

/// What is known when the form has come: why it broke off, and what was left out.
#[derive(Clone, Default)]
struct Outcome(Arc<Mutex<(Option<ForwardError>, Vec<String>)>>);

impl Outcome {
    fn stop(&self, error: ForwardError) {
        self.with(|(stopped, _)| *stopped = Some(error));
    }

    fn drop_part(&self, name: &str) {
        self.with(|(_, dropped)| dropped.push(shown(name)));
    }

    fn end(&self) -> (Option<ForwardError>, Vec<String>) {
        self.with(std::mem::take)
    }

    fn with<T>(&self, f: impl FnOnce(&mut (Option<ForwardError>, Vec<String>)) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads until the first bytes of the first file have arrived.
async fn begin(
    pieces: &mut BoxStream<'_, Result<Piece, UploadError>>,
) -> Result<Vec<Piece>, UploadError> {
    let mut begun = Vec::new();
    while let Some(piece) = pieces.try_next().await? {
        let is_file = matches!(&piece, Piece::Part(head) if head.file.is_some());
        begun.push(piece);
        if is_file {
            break;
        }
    }
    Ok(begun)
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
    let most = limit.saturating_mul(3).saturating_add(ROOM_FOR_THE_REST);
    let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(most));
    let (feed, body) = feed::of(at_minimum_rate(body.map_err(io::Error::other)));
    let relay = Relay {
        form: Multipart::with_constraints(body, boundary, limits),
        feed,
        file: None,
        ready: VecDeque::new(),
        names: BTreeSet::new(),
        parts: 0,
        applicant: Applicant::new(),
        limit,
        most,
        outcome,
    };
    Ok(stream::try_unfold(relay, |mut relay| async move {
        match relay.next().await {
            Ok(piece) => Ok(piece.map(|piece| (piece, relay))),
            Err(error) => {
                relay.outcome.stop(error);
                // The connection breaks on it, and what stopped it is told beside it.
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
    most: u64,
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
            let field = self.feed.until(self.form.next_field()).await;
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
        let (mut first, mut telling) = (VecDeque::new(), BytesMut::new());
        while telling.len() < TELLING_BYTES
            && let Some(piece) = self.piece_of(&mut file).await?
        {
            let missing = TELLING_BYTES.saturating_sub(telling.len());
            telling.extend(piece.iter().take(missing));
            first.push_back(Piece::Data(piece));
        }
        let given = file.field.file_name();
        if telling.is_empty() {
            if given.is_none_or(str::is_empty) {
                // So a browser sends an input in which nothing was chosen (WHATWG HTML,
                // "constructing the entry list"): it is not there.
                self.names.remove(part);
                return Ok(());
            }
            return Err(ForwardError::Upload(UploadError::Empty { part }));
        }
        let media_type = MediaType::judge(part, &telling, given)
            .map_err(|wrong| ForwardError::Upload(UploadError::of_type(part, wrong)))?;
        // What the person's own machine calls it is nobody's business.
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
            if text.len() > MAX_TEXT {
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
            // Its value was read without regard to case, and KYCPort compares exactly.
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
        let chunk = self.feed.until(field.chunk()).await;
        chunk.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &multer::Error) -> ForwardError {
        match error {
            multer::Error::StreamSizeExceeded { .. } => ForwardError::TooLarge { limit: self.most },
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
