//! Errors from uploads that a browser sends.

use super::{
    applicant::ApplicantError,
    error::{CaseError, UploadError},
};

/// Maximum length of a part's name in logs and responses, in characters.
const MAX_SHOWN_CHARS: usize = 64;

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

/// Returns the name of a part for logs and responses: shortened, and with control characters
/// escaped.
pub(super) fn printable_name(name: &str) -> String {
    let escaped = name
        .chars()
        .take(MAX_SHOWN_CHARS)
        .flat_map(char::escape_default);
    escaped.collect()
}
