//! Streaming multipart upload of a case's documents (K51, K53, K58).

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::json;

use super::{
    api,
    engine::is_verdict,
    file::{BadFile, FileInspector},
    stream::UploadBody,
};
use crate::{
    mock::{
        core::{
            Core,
            rules::{Effect, Hook},
        },
        http::{answer::Answer, api_error, endpoint::Endpoint},
        records::{case::Uploads, file::FileSnapshot},
        switches::Switches,
    },
    wire::cases::{
        APPLICANT_PREFIX, DOCUMENT, DOCUMENT_BACK, LIVENESS_MODE, LivenessMode, SELFIE,
        UploadResponse,
    },
};

/// Maximum size of an upload, in bytes.
pub(in crate::mock) const MAX_UPLOAD: u64 = 128 * 1024 * 1024;
/// Maximum number of parts in an upload.
const MAX_PARTS: usize = 64;
/// Maximum size of a text part, in bytes.
const MAX_TEXT: usize = 4096;
/// Maximum number of bytes after the last part. The mock ignores the content of these bytes.
const MAX_EPILOGUE: usize = 64 * 1024;

/// Result of an upload.
pub(in crate::mock) enum Uploaded {
    Answer(Answer),
    /// The server must cut the connection.
    Cut,
}

pub(in crate::mock) async fn upload(
    core: &Core,
    headers: &HeaderMap,
    case: &str,
    body: &UploadBody,
) -> Uploaded {
    let switches = core.switches();
    let before = Hook::Before(Endpoint::UploadCase);
    let cut = core
        .rules()
        .take(before, |effect| matches!(effect, Effect::CutAfter(_)));
    let hold = core
        .rules()
        .take(before, |effect| matches!(effect, Effect::HoldAfter(..)));
    let cut_at = match cut.as_ref().map(|it| &it.effect) {
        Some(Effect::CutAfter(bytes)) => Some(*bytes),
        _ => None,
    };
    let hold = match hold.as_ref().map(|it| &it.effect) {
        Some(Effect::HoldAfter(bytes, latch)) => Some((*bytes, Arc::clone(latch))),
        _ => None,
    };
    body.set_faults(cut_at, hold).await;
    match take(core, headers, case, body, &switches).await {
        _ if body.is_cut().await => Uploaded::Cut,
        Ok(answer) | Err(answer) => Uploaded::Answer(answer),
    }
}

/// Reads an upload. The mock checks the API key and the case before it reads the body (K47).
async fn take(
    core: &Core,
    headers: &HeaderMap,
    case: &str,
    body: &UploadBody,
    switches: &Switches,
) -> Result<Answer, Answer> {
    let id = api::open_case(core, headers, case, switches)?;
    let uploads = read(headers, body, switches).await?;
    let received: Vec<String> = uploads
        .files
        .keys()
        .chain(uploads.texts.keys())
        .cloned()
        .collect();
    let mut book = core.cases();
    // Another request may have decided the case during the upload.
    let case = book
        .find_mut(&id)
        .filter(|case| api::is_open(case))
        .ok_or_else(|| api::not_open(switches))?;
    case.uploaded = uploads;
    case.status = crate::wire::cases::CaseStatus::DocumentsReceived;
    Ok(Answer::json(StatusCode::OK, json!(UploadResponse { received })).no_store())
}

async fn read(
    headers: &HeaderMap,
    body: &UploadBody,
    switches: &Switches,
) -> Result<Uploads, Answer> {
    let refuse = |status, code, reason| api_error::refuse_as(status, code, "K58", reason, switches);
    let malformed = |error| malformed(&error, switches);
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let boundary = multer::parse_boundary(content_type.unwrap_or_default()).map_err(malformed)?;
    let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(MAX_UPLOAD));
    let mut form = Multipart::with_constraints(body.stream(), boundary, limits);
    let (mut uploads, mut parts) = (Uploads::default(), 0_usize);
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        parts = parts.saturating_add(1);
        if parts > MAX_PARTS {
            let reason = "the upload has more than 64 parts";
            return Err(refuse(StatusCode::BAD_REQUEST, "invalid_request", reason));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let is_new = !uploads.files.contains_key(&name) && !uploads.texts.contains_key(&name);
        if !is_new {
            let reason = "the upload contains the same part twice";
            return Err(refuse(StatusCode::BAD_REQUEST, "invalid_request", reason));
        }
        match name.as_str() {
            DOCUMENT | DOCUMENT_BACK | SELFIE => {
                let facts = file(field, &name, switches).await?;
                uploads.files.insert(name, facts);
            }
            _ if is_verdict(&name) => {
                let reason = "the upload has a part that only the engine may set";
                let status = StatusCode::BAD_REQUEST;
                let code = "precomputed_verdict";
                return Err(api_error::refuse_as(status, code, "K53", reason, switches));
            }
            LIVENESS_MODE => {
                let mode = text(field, switches).await?;
                let known = [LivenessMode::Passive, LivenessMode::Active];
                if !known.iter().any(|it| it.as_str() == mode) {
                    let reason = "`liveness_mode` must be `passive` or `active`";
                    let (status, code) = (StatusCode::BAD_REQUEST, "invalid_liveness_mode");
                    return Err(api_error::refuse_as(status, code, "K56", reason, switches));
                }
                uploads.texts.insert(name, mode);
            }
            _ if name.starts_with(APPLICANT_PREFIX) => {
                let value = text(field, switches).await?;
                uploads.texts.insert(name, value);
            }
            _ => {
                let reason = "the upload has a part with an unknown name";
                return Err(refuse(StatusCode::BAD_REQUEST, "unknown_part", reason));
            }
        }
    }
    // The multipart parser may still have the body locked after its last read.
    drop(form);
    // The body is complete only if the stream ends after the last part.
    if !body.ends_within(MAX_EPILOGUE).await {
        return Err(malformed(multer::Error::IncompleteStream));
    }
    let has = |part: &str| uploads.files.contains_key(part);
    let kind = uploads
        .texts
        .get("applicant_document_type")
        .map(String::as_str);
    let needs_back = matches!(kind, Some("id_card" | "driving_licence"));
    if !has(DOCUMENT) || !has(SELFIE) || (needs_back && !has(DOCUMENT_BACK)) {
        let reason = "the upload lacks a part that this document type requires";
        return Err(refuse(StatusCode::BAD_REQUEST, "missing_part", reason));
    }
    Ok(uploads)
}

async fn file(
    mut field: Field<'static>,
    part: &str,
    switches: &Switches,
) -> Result<FileSnapshot, Answer> {
    let refuse = |status, code, reason| api_error::refuse_as(status, code, "K58", reason, switches);
    let content_type = field.content_type().map(|it| it.essence_str().to_owned());
    let file_name = field.file_name().map(str::to_owned);
    let mut inspector = FileInspector::default();
    loop {
        let piece = field.chunk().await;
        let piece = piece.map_err(|error| malformed(&error, switches))?;
        let Some(piece) = piece else { break };
        inspector.push(&piece);
        if inspector.size() > switches.max_upload_file_bytes {
            let reason = "the file is larger than `max_upload_file_bytes`";
            return Err(refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "file_too_large",
                reason,
            ));
        }
    }
    inspector
        .finish(part, content_type, file_name)
        .map_err(|bad| match bad {
            BadFile::Type => refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the file type is not accepted for this part, or differs from the declared type",
            ),
            BadFile::Unreadable => refuse(
                StatusCode::BAD_REQUEST,
                "unreadable_file",
                "the file is empty or incomplete",
            ),
        })
}

async fn text(mut field: Field<'static>, switches: &Switches) -> Result<String, Answer> {
    let refuse = |reason| {
        let status = StatusCode::BAD_REQUEST;
        api_error::refuse_as(status, "invalid_request", "K51", reason, switches)
    };
    let mut text = Vec::new();
    while let Some(piece) = field
        .chunk()
        .await
        .map_err(|_| refuse("a text part is incomplete"))?
    {
        text.extend_from_slice(&piece);
        if text.len() > MAX_TEXT {
            return Err(refuse("a text part is longer than 4096 bytes"));
        }
    }
    String::from_utf8(text).map_err(|_| refuse("a text part is not valid UTF-8"))
}

/// Returns the error response for an error of the multipart parser.
fn malformed(error: &multer::Error, switches: &Switches) -> Answer {
    let (status, code, reason) = match error {
        multer::Error::StreamSizeExceeded { .. } => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "file_too_large",
            "the upload is larger than 128 MiB",
        ),
        _ => (
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "the body is not multipart/form-data, or is incomplete",
        ),
    };
    api_error::refuse_as(status, code, "K79", reason, switches)
}
