//! An upload, read piece by piece (K51, K53, K58).

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    answer::Answer,
    api_error, case_api,
    case_engine::is_verdict,
    case_file::{BadFile, Look},
    case_record::Uploads,
    core::Core,
    endpoint::Endpoint,
    latch::Latch,
    rules::{Effect, Spot},
    switches::Switches,
};
use crate::wire::cases::{
    APPLICANT_PREFIX, DOCUMENT, DOCUMENT_BACK, LIVENESS_MODE, LivenessMode, SELFIE, UploadResponse,
};

/// No upload is larger, in bytes.
const MAX_UPLOAD: u64 = 128 * 1024 * 1024;
/// No upload has more parts.
const MAX_PARTS: usize = 64;
/// No text is longer, in bytes.
const MAX_TEXT: usize = 4096;
/// So long what nobody reads any more is read out.
const READ_OUT: Duration = Duration::from_secs(10);

/// A body that is still coming.
#[derive(Clone)]
pub(super) struct UploadBody(Arc<Mutex<BodyDataStream>>);

/// How an upload ends.
pub(super) enum Uploaded {
    Answer(Answer),
    /// The connection is to be cut.
    Cut,
}

impl UploadBody {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body.into_data_stream())))
    }

    /// Reads what is left, and forgets it.
    pub(super) async fn read_out(self) {
        let reading = async {
            let mut body = self.0.lock().await;
            let mut seen = 0_u64;
            while let Some(Ok(piece)) = body.next().await {
                seen = seen.saturating_add(piece.len() as u64);
                if seen > MAX_UPLOAD {
                    return;
                }
            }
        };
        // Whoever is slower than that goes without.
        let _ = tokio::time::timeout(READ_OUT, reading).await;
    }
}

pub(super) async fn upload(
    core: &Core,
    headers: &HeaderMap,
    case: &str,
    body: &UploadBody,
) -> Uploaded {
    let switches = core.switches();
    let before = Spot::Before(Endpoint::UploadCase);
    let cut = core
        .rules()
        .take(before, |effect| matches!(effect, Effect::CutAfter(_)));
    let hold = core
        .rules()
        .take(before, |effect| matches!(effect, Effect::HoldAfter(..)));
    let (stop, cut_at) = (
        Arc::new(AtomicU64::new(0)),
        match cut.as_ref().map(|it| &it.effect) {
            Some(Effect::CutAfter(bytes)) => Some(*bytes),
            _ => None,
        },
    );
    let hold = match hold.as_ref().map(|it| &it.effect) {
        Some(Effect::HoldAfter(bytes, latch)) => Some((*bytes, Arc::clone(latch))),
        _ => None,
    };
    let stream = disturbed(body.clone(), cut_at, hold, Arc::clone(&stop));
    match take(core, headers, case, stream, &switches).await {
        _ if stop.load(Ordering::SeqCst) > 0 => Uploaded::Cut,
        Ok(answer) | Err(answer) => Uploaded::Answer(answer),
    }
}

/// Whose case it is first: only then is anything read (K47).
async fn take(
    core: &Core,
    headers: &HeaderMap,
    case: &str,
    stream: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
    switches: &Switches,
) -> Result<Answer, Answer> {
    let id = case_api::open_case(core, headers, case, switches)?;
    let uploads = read(headers, stream, switches).await?;
    let received: Vec<String> = uploads
        .files
        .keys()
        .chain(uploads.texts.keys())
        .cloned()
        .collect();
    let mut book = core.cases();
    // It may have been decided while this was coming.
    let case = book
        .find_mut(&id)
        .filter(|case| case_api::is_open(case))
        .ok_or_else(|| case_api::not_open(switches))?;
    case.uploaded = uploads;
    case.status = crate::wire::cases::CaseStatus::DocumentsReceived;
    Ok(Answer::json(StatusCode::OK, json!(UploadResponse { received })).no_store())
}

async fn read(
    headers: &HeaderMap,
    stream: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
    switches: &Switches,
) -> Result<Uploads, Answer> {
    let refuse = |status, code, why| api_error::refuse_as(status, code, "K58", why, switches);
    let malformed = |_| {
        let why = "the body is no multipart/form-data, or broke off";
        refuse(StatusCode::BAD_REQUEST, "invalid_request", why)
    };
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let boundary = multer::parse_boundary(content_type.unwrap_or_default()).map_err(malformed)?;
    let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(MAX_UPLOAD));
    let mut form = Multipart::with_constraints(OneAtATime::new(stream), boundary, limits);
    let (mut uploads, mut parts) = (Uploads::default(), 0_usize);
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        parts = parts.saturating_add(1);
        if parts > MAX_PARTS {
            let why = "there are more than 64 parts";
            return Err(refuse(StatusCode::BAD_REQUEST, "invalid_request", why));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let is_new = !uploads.files.contains_key(&name) && !uploads.texts.contains_key(&name);
        if !is_new {
            let why = "a part is there twice";
            return Err(refuse(StatusCode::BAD_REQUEST, "invalid_request", why));
        }
        match name.as_str() {
            DOCUMENT | DOCUMENT_BACK | SELFIE => {
                let facts = file(field, &name, switches).await?;
                uploads.files.insert(name, facts);
            }
            _ if is_verdict(&name) => {
                let why = "a part claims what only the engine may say";
                let status = StatusCode::BAD_REQUEST;
                let code = "precomputed_verdict";
                return Err(api_error::refuse_as(status, code, "K53", why, switches));
            }
            LIVENESS_MODE => {
                let mode = text(field, switches).await?;
                let known = [LivenessMode::Passive, LivenessMode::Active];
                if !known.iter().any(|it| it.as_str() == mode) {
                    let why = "liveness_mode is neither passive nor active";
                    let (status, code) = (StatusCode::BAD_REQUEST, "invalid_liveness_mode");
                    return Err(api_error::refuse_as(status, code, "K56", why, switches));
                }
                uploads.texts.insert(name, mode);
            }
            _ if name.starts_with(APPLICANT_PREFIX) => {
                let said = text(field, switches).await?;
                uploads.texts.insert(name, said);
            }
            _ => {
                let why = "a part has a name that is not known";
                return Err(refuse(StatusCode::BAD_REQUEST, "unknown_part", why));
            }
        }
    }
    let has = |part: &str| uploads.files.contains_key(part);
    let kind = uploads
        .texts
        .get("applicant_document_type")
        .map(String::as_str);
    let needs_back = matches!(kind, Some("id_card" | "driving_licence"));
    if !has(DOCUMENT) || !has(SELFIE) || (needs_back && !has(DOCUMENT_BACK)) {
        let why = "a part is missing that this document type needs";
        return Err(refuse(StatusCode::BAD_REQUEST, "missing_part", why));
    }
    Ok(uploads)
}

async fn file(
    mut field: Field<'static>,
    part: &str,
    switches: &Switches,
) -> Result<super::case_file::FileFacts, Answer> {
    let refuse = |status, code, why| api_error::refuse_as(status, code, "K58", why, switches);
    let content_type = field.content_type().map(|it| it.essence_str().to_owned());
    let file_name = field.file_name().map(str::to_owned);
    let mut look = Look::default();
    loop {
        let piece = field.chunk().await.map_err(|_| {
            let why = "the body broke off within a file";
            refuse(StatusCode::BAD_REQUEST, "invalid_request", why)
        })?;
        let Some(piece) = piece else { break };
        look.at(&piece);
        if look.size() > switches.max_upload_file_bytes {
            let why = "a file is larger than `max_upload_file_bytes`";
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", why));
        }
    }
    look.judge(part, content_type, file_name)
        .map_err(|bad| match bad {
            BadFile::Type => refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "a file is of no type that is taken there, or not of the type it is said to be",
            ),
            BadFile::Unreadable => refuse(
                StatusCode::BAD_REQUEST,
                "unreadable_file",
                "a file is empty, or its end is missing",
            ),
        })
}

async fn text(mut field: Field<'static>, switches: &Switches) -> Result<String, Answer> {
    let refuse = |why| {
        let status = StatusCode::BAD_REQUEST;
        api_error::refuse_as(status, "invalid_request", "K51", why, switches)
    };
    let mut text = Vec::new();
    while let Some(piece) = field
        .chunk()
        .await
        .map_err(|_| refuse("a text broke off"))?
    {
        text.extend_from_slice(&piece);
        if text.len() > MAX_TEXT {
            return Err(refuse("a text is longer than 4096 bytes"));
        }
    }
    String::from_utf8(text).map_err(|_| refuse("a text is not UTF-8"))
}

/// The body as it comes, up to where a fault cuts it or makes it wait.
fn disturbed(
    body: UploadBody,
    cut_at: Option<u64>,
    hold: Option<(u64, Arc<Latch>)>,
    stop: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    futures_util::stream::unfold((body, 0_u64), move |(body, seen)| {
        let (hold, stop) = (hold.clone(), Arc::clone(&stop));
        async move {
            if cut_at.is_some_and(|at| seen >= at) {
                stop.store(1, Ordering::SeqCst);
                return None;
            }
            if let Some((_, latch)) = hold.filter(|(at, _)| seen >= *at) {
                latch.pass().await;
            }
            let piece = body.0.lock().await.next().await?;
            let more = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            Some((piece, (body, seen.saturating_add(more))))
        }
    })
}

/// multer takes all that is ready before it hands any of it on, so a fast sender would fill the
/// memory: here nothing is ready after each piece, until multer comes again.
struct OneAtATime<S> {
    stream: Pin<Box<S>>,
    paused: bool,
}

impl<S> OneAtATime<S> {
    fn new(stream: S) -> Self {
        Self {
            stream: Box::pin(stream),
            paused: false,
        }
    }
}

impl<S: Stream> Stream for OneAtATime<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.paused = !self.paused;
        if !self.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.stream.as_mut().poll_next(cx);
        // Only what was ready is followed by a pause.
        self.paused = polled.is_ready();
        polled
    }
}
