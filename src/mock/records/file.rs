//! What is known of a file of a case.

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mock) struct FileFacts {
    pub(in crate::mock) size: u64,
    pub(in crate::mock) content_type: Option<String>,
    pub(in crate::mock) file_name: Option<String>,
    /// SHA-256 of the content, in hexadecimal.
    pub(in crate::mock) sha256: String,
    /// The word after the magic one, if it is there.
    pub(in crate::mock) magic: Option<String>,
}
