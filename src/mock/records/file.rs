//! Properties of an uploaded file, as the mock stores them.

/// Properties of a file of a case. The mock does not keep the content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mock) struct FileFacts {
    pub(in crate::mock) size: u64,
    pub(in crate::mock) content_type: Option<String>,
    pub(in crate::mock) file_name: Option<String>,
    /// The SHA-256 digest of the content, in hexadecimal.
    pub(in crate::mock) sha256: String,
    /// The outcome after the marker, or `None` if the file contains no marker.
    pub(in crate::mock) marker: Option<String>,
}
