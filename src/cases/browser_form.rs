//! Form of a browser's upload, which is read part by part. The crate does not buffer or store any
//! part.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures_util::{
    Stream, TryStreamExt as _,
    stream::{self, BoxStream},
};
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{
    applicant::{Applicant, ApplicantError},
    error::UploadError,
    feed::{self, Feed},
    forward_error::{ForwardError, printable_name},
    media::{MediaType, SIGNATURE_BYTES},
    multipart::{PartHead, Piece},
    pace::at_minimum_rate,
};
use crate::wire::cases::{
    APPLICANT_PREFIX, DOCUMENT, DOCUMENT_BACK, LIVENESS_MODE, LivenessMode, SELFIE,
};

/// Maximum number of parts in a form.
const MAX_PARTS: usize = 64;
/// Maximum size of a form without its files, in bytes. The limit for the files is three times the
/// maximum file size.
const MAX_OTHER_BYTES: u64 = 1024 * 1024;
/// Maximum length of a text field, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// Result of reading a form: the error that stopped the reading, and the names of dropped parts.
#[derive(Clone, Default)]
pub(super) struct Outcome(Arc<Mutex<(Option<ForwardError>, Vec<String>)>>);

impl Outcome {
    fn stop(&self, error: ForwardError) {
        self.with(|(stopped, _)| *stopped = Some(error));
    }

    fn drop_part(&self, name: &str) {
        self.with(|(_, dropped)| dropped.push(printable_name(name)));
    }

    pub(super) fn end(&self) -> (Option<ForwardError>, Vec<String>) {
        self.with(std::mem::take)
    }

    fn with<T>(&self, f: impl FnOnce(&mut (Option<ForwardError>, Vec<String>)) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the form until the first bytes of the first file have arrived.
pub(super) async fn read_start(
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

pub(super) fn pieces<E>(
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

/// Joins the lines of a text. A `textarea` sends line breaks, and KYCPort gets a single line.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(", ")
}
