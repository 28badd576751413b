//! Properties of an uploaded file, as the mock stores them.

/// Properties of an uploaded file. The mock does not keep the content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSnapshot {
    /// The size in bytes.
    pub size: u64,
    /// The content type, as the client sent it.
    pub content_type: Option<String>,
    /// The file name that the client sent, as the multipart parser returns it.
    pub file_name: Option<String>,
    /// The SHA-256 digest of the content, in hexadecimal.
    pub sha256: String,
    /// The outcome after the marker, or `None` if the file contains no marker.
    pub(in crate::mock) marker: Option<String>,
}
