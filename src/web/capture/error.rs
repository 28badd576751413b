//! Error responses of document capture.

use std::{borrow::Cow, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};

use crate::{
    cases::{CaseError, ForwardError, MediaType, UploadError},
    observe,
    web::{pages::problem_json::ProblemJson, request::random},
    wire::cases::DOCUMENT_BACK,
};

/// Error for a document upload or another operation on a case. The error converts to a response:
/// problem JSON with a code and a sentence for the person. The response contains no data from the
/// upload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct CaptureError(#[from] ForwardError);

/// Converts a [`CaseError`]. A handler can therefore use `?` after opening a case or requesting a
/// decision.
impl From<CaseError> for CaptureError {
    fn from(error: CaseError) -> Self {
        Self(error.into())
    }
}

impl CaptureError {
    /// Returns the reason of the error.
    pub fn reason(&self) -> &ForwardError {
        &self.0
    }
}

impl IntoResponse for CaptureError {
    fn into_response(self) -> Response {
        let (text, reference) = (Text::of(&self.0), random::reference());
        observe::capture_rejected(text.code, &reference);
        let problem = ProblemJson {
            status: text.status,
            title: text.title,
            detail: &text.detail,
            code: text.code,
            reference: &reference,
            more: text.part.as_deref().map(|part| ("part", part)),
        };
        let mut response = problem.answer();
        let retry_after = match &self.0 {
            ForwardError::Case(CaseError::RateLimited { retry_after }) => Some(*retry_after),
            ForwardError::TooManyUploads => Some(UPLOAD_RETRY_AFTER),
            _ => None,
        };
        if let Some(retry_after) = retry_after {
            let seconds = HeaderValue::from(retry_after.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

/// `Retry-After` of a response to a person who has too many uploads in progress.
const UPLOAD_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Maximum length of a field's name in a response, in characters.
const MAX_NAME_CHARS: usize = 64;

struct Text {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    /// Name of the form part that the error concerns.
    part: Option<Cow<'static, str>>,
}

impl Text {
    fn of(error: &ForwardError) -> Self {
        let text = |status, code, title, detail: &str| Self {
            status,
            code,
            title,
            detail: detail.to_owned(),
            part: None,
        };
        match error {
            ForwardError::Malformed => incomplete_upload(),
            ForwardError::TooLarge { limit } => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "upload_too_large",
                "The upload is too large",
                &format!("All files together must not exceed {}.", size(*limit)),
            ),
            ForwardError::TooManyParts => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_many_parts",
                "The upload has too many parts",
                "An upload can have at most 64 parts.",
            ),
            ForwardError::TooManyUploads => text(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_uploads",
                "You have sent many uploads",
                "Wait a moment, then try again.",
            ),
            // The status is not 408, because browsers may repeat a request after 408 without asking
            // the person.
            ForwardError::TooSlow => text(
                StatusCode::BAD_REQUEST,
                "upload_too_slow",
                "The upload is too slow",
                "Please try again with a faster connection.",
            ),
            ForwardError::Twice => text(
                StatusCode::BAD_REQUEST,
                "part_twice",
                "A part of the upload occurs twice",
                "Choose one file for each part.",
            ),
            ForwardError::Missing { part } => text(
                StatusCode::BAD_REQUEST,
                "part_missing",
                "A file is missing",
                &format!("The {} is missing.", display_name(part)),
            )
            .about(*part),
            ForwardError::Text { field } | ForwardError::Applicant { field, .. } => text(
                StatusCode::BAD_REQUEST,
                "invalid_field",
                "A field is not valid",
                "The field is too long, or contains characters that are not allowed.",
            )
            .about(field.chars().take(MAX_NAME_CHARS).collect::<String>()),
            ForwardError::Upload(error) => Self::of_file(error),
            ForwardError::Case(error) => Self::of_case(error),
        }
    }

    fn of_file(error: &UploadError) -> Self {
        let (status, code, title, part) = match error {
            UploadError::TooLarge { part, .. } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "file_too_large",
                "A file is too large",
                part,
            ),
            UploadError::Empty { part } => (
                StatusCode::BAD_REQUEST,
                "file_empty",
                "A file is empty",
                part,
            ),
            UploadError::UnsupportedType { part } | UploadError::NameMismatch { part, .. } => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "A file cannot be used",
                part,
            ),
            UploadError::Unreadable { .. } | UploadError::Changed { .. } => {
                return incomplete_upload();
            }
        };
        let name = display_name(part);
        let detail = match error {
            UploadError::TooLarge { limit, .. } => {
                format!("The {name} is larger than {}.", size(*limit))
            }
            UploadError::Empty { .. } => format!("The {name} is an empty file."),
            UploadError::NameMismatch { found, .. } => {
                format!(
                    "The {name} is {found} by its content, but its file name says something else."
                )
            }
            _ => {
                let allowed = MediaType::names(part);
                format!("The {name} must be one of these types: {allowed}.")
            }
        };
        Self {
            status,
            code,
            title,
            detail,
            part: None,
        }
        .about(*part)
    }

    fn of_case(error: &CaseError) -> Self {
        let (status, code, title, detail) = match error {
            CaseError::CaseMismatch | CaseError::Id | CaseError::Rejected { status: 404, .. } => (
                StatusCode::NOT_FOUND,
                "case_not_found",
                "This verification does not exist",
                "Please start a new verification.",
            ),
            CaseError::Rejected {
                status: 409, code, ..
            } => of_conflict(code.as_deref()),
            CaseError::OutcomeUnknown(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                "outcome_unknown",
                "We do not know whether KYCPort received your upload",
                "Please send it again. Sending it twice does no harm.",
            ),
            CaseError::Transport(_)
            | CaseError::RateLimited { .. }
            | CaseError::Unavailable { .. }
            | CaseError::NoTenantKey => (
                StatusCode::SERVICE_UNAVAILABLE,
                "kycport_unavailable",
                "KYCPort is temporarily unavailable",
                "Try again in a moment.",
            ),
            _ => (
                StatusCode::BAD_GATEWAY,
                "kycport_rejected",
                "KYCPort did not accept the upload",
                "Please try other pictures. If it happens again, contact us and give the \
                 reference.",
            ),
        };
        Self {
            status,
            code,
            title,
            detail: detail.to_owned(),
            part: None,
        }
    }

    fn about(mut self, part: impl Into<Cow<'static, str>>) -> Self {
        self.part = Some(part.into());
        self
    }
}

/// Returns the text for a request that conflicts with the state of the case (K57).
fn of_conflict(code: Option<&str>) -> (StatusCode, &'static str, &'static str, &'static str) {
    let (code, title, detail) = match code {
        Some("documents_missing") => (
            "documents_missing",
            "The pictures are missing",
            "Please upload the pictures first.",
        ),
        Some("decision_pending") => (
            "decision_pending",
            "A reviewer is checking your verification",
            "Please wait for the decision.",
        ),
        Some("already_decided") => (
            "already_decided",
            "This verification is already decided",
            "To try again, start a new verification.",
        ),
        _ => (
            "case_not_open",
            "This verification does not accept more pictures",
            "To send other pictures, start a new verification.",
        ),
    };
    (StatusCode::CONFLICT, code, title, detail)
}

fn incomplete_upload() -> Text {
    Text {
        status: StatusCode::BAD_REQUEST,
        code: "malformed_upload",
        title: "The upload was incomplete",
        detail: "Please send it again.".to_owned(),
        part: None,
    }
}

fn display_name(part: &'static str) -> &'static str {
    if part == DOCUMENT_BACK {
        "back of the document"
    } else {
        part
    }
}

/// Formats a size as `20 MiB`, or in bytes if the size is not a whole number of MiB.
fn size(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1024 * 1024;
    if bytes >= MEBIBYTE && bytes.is_multiple_of(MEBIBYTE) {
        format!("{} MiB", bytes.div_euclid(MEBIBYTE))
    } else {
        format!("{bytes} bytes")
    }
}
