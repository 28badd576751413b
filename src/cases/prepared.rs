//! Upload that is ready to send: its files are open and checked.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};

use super::{
    error::UploadError,
    file::{CaptureFile, Opened},
    media::{MediaType, SIGNATURE_BYTES},
    multipart::{Boundary, Form, PartHead, Piece},
    upload::{Upload, UploadProgress},
};
use crate::wire::cases::{DOCUMENT, DOCUMENT_BACK, LIVENESS_MODE, SELFIE};

/// Error that aborted the request body. The HTTP client itself reports only that the body is
/// incomplete.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamError(Arc<Mutex<Option<UploadError>>>);

impl StreamError {
    pub(super) fn set(&self, error: UploadError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn get(&self) -> Option<UploadError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(super) struct Prepared {
    texts: Vec<(String, String)>,
    files: Vec<OpenFile>,
}

struct OpenFile {
    head: PartHead,
    length: Option<u64>,
    content: BoxStream<'static, Result<Bytes, UploadError>>,
}

impl Upload {
    /// Opens every file, and rejects files that KYCPort would reject.
    pub(super) async fn prepare(&self, limit: u64) -> Result<Prepared, UploadError> {
        let mut files = Vec::new();
        let parts = [
            (DOCUMENT, Some(&self.document)),
            (DOCUMENT_BACK, self.document_back.as_ref()),
            (SELFIE, Some(&self.selfie)),
        ];
        for (part, file) in parts {
            if let Some(file) = file {
                files.push(open(part, file, limit).await?);
            }
        }
        // Text fields precede the files. A streaming reader therefore knows the fields before the
        // files.
        let mut texts = self.applicant.fields().to_vec();
        if let Some(mode) = &self.liveness_mode {
            texts.insert(0, (LIVENESS_MODE.to_owned(), mode.to_string()));
        }
        Ok(Prepared { texts, files })
    }
}

impl Prepared {
    pub(super) fn form(
        self,
        upload: &Upload,
        boundary: &Boundary,
        stream_error: &StreamError,
    ) -> Form {
        let (length, content) = (self.length(boundary), self.content_length());
        let texts = self.texts.into_iter().flat_map(|(name, value)| {
            [
                Ok(Piece::Part(PartHead { name, file: None })),
                Ok(Piece::Data(value.into())),
            ]
        });
        let files = stream::iter(self.files).flat_map(|file| {
            let head = stream::iter([Ok(Piece::Part(file.head))]);
            head.chain(file.content.map_ok(Piece::Data))
        });
        let stream_error = stream_error.clone();
        let pieces = stream::iter(texts)
            .chain(files)
            .inspect_err(move |error| stream_error.set(error.clone()));
        let (report, total) = (upload.on_progress.clone(), content);
        let mut sent = 0_u64;
        let pieces = pieces.inspect_ok(move |piece| {
            if let (Some(report), Piece::Data(data)) = (&report, piece) {
                sent = sent.saturating_add(data.len() as u64);
                report(UploadProgress { sent, total });
            }
        });
        boundary.form(pieces, length)
    }

    fn content_length(&self) -> Option<u64> {
        let texts = self.texts.iter().map(|(_, value)| Some(value.len() as u64));
        let files = self.files.iter().map(|file| file.length);
        sum(texts.chain(files))
    }

    fn length(&self, boundary: &Boundary) -> Option<u64> {
        let texts = self.texts.iter().map(|(name, value)| {
            let head = PartHead {
                name: name.clone(),
                file: None,
            };
            boundary.length_of(&head, value.len() as u64)
        });
        let files = self
            .files
            .iter()
            .map(|file| boundary.length_of(&file.head, file.length?));
        sum(texts.chain(files))
    }
}

fn sum(mut lengths: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    lengths.try_fold(0_u64, |sum, length| sum.checked_add(length?))
}

async fn open(part: &'static str, file: &CaptureFile, limit: u64) -> Result<OpenFile, UploadError> {
    let unreadable = move |error: io::Error| UploadError::Unreadable {
        part,
        kind: error.kind(),
    };
    let Opened { length, mut stream } = file.open().await.map_err(unreadable)?;
    match length {
        Some(0) => return Err(UploadError::Empty { part }),
        Some(length) if length > limit => return Err(UploadError::TooLarge { part, limit }),
        _ => {}
    }
    // Keep the pieces that the function reads to detect the type. The upload then sends these
    // pieces without a second read.
    let (mut first, mut start) = (Vec::new(), BytesMut::new());
    while start.len() < SIGNATURE_BYTES
        && let Some(piece) = stream.next().await
    {
        let piece = piece.map_err(unreadable)?;
        let missing = SIGNATURE_BYTES.saturating_sub(start.len());
        start.extend(piece.iter().take(missing));
        first.push(Ok(piece));
    }
    if start.is_empty() {
        return Err(UploadError::Empty { part });
    }
    let media_type = MediaType::detect(part, &start, file.name())
        .map_err(|wrong| UploadError::of_type(part, wrong))?;
    let given = file.name().filter(|_| !file.is_named_by_its_path());
    let extension = media_type.extensions().first().copied().unwrap_or_default();
    let name = given.map_or_else(
        || format!("{part}.{extension}"),
        |name| media_type.complete(name),
    );
    let content = stream::iter(first).chain(stream.map_err(unreadable));
    Ok(OpenFile {
        head: PartHead {
            name: part.to_owned(),
            file: Some((name, media_type)),
        },
        length,
        content: with_length_check(part, content, length, limit).boxed(),
    })
}

/// Checks the length of the content. The stream fails if the content is longer than `limit`, or has
/// another length than `length`.
fn with_length_check(
    part: &'static str,
    content: impl Stream<Item = Result<Bytes, UploadError>> + Send + 'static,
    length: Option<u64>,
    limit: u64,
) -> impl Stream<Item = Result<Bytes, UploadError>> + Send {
    let most = length.unwrap_or(limit);
    stream::try_unfold(
        (content.boxed(), 0_u64),
        move |(mut content, seen)| async move {
            let Some(piece) = content.try_next().await? else {
                return if length.is_some_and(|length| seen < length) {
                    Err(UploadError::Changed { part })
                } else {
                    Ok(None)
                };
            };
            let seen = seen.saturating_add(piece.len() as u64);
            if seen <= most {
                return Ok(Some((piece, (content, seen))));
            }
            Err(match length {
                Some(_) => UploadError::Changed { part },
                None => UploadError::TooLarge { part, limit },
            })
        },
    )
}
