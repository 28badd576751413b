//! Contents of an upload.

use std::{fmt, sync::Arc};

use super::{applicant::Applicant, file::CaptureFile};
use crate::wire::cases::LivenessMode;

/// Progress of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadProgress {
    /// Number of bytes that the client has passed to the connection, counting files and text
    /// fields. KYCPort may not have received these bytes yet.
    pub sent: u64,
    /// Total number of bytes, if the length of every file is known.
    pub total: Option<u64>,
}

/// Upload to a case: a document, a selfie, and optional parts (K51). An upload cannot contain a
/// verdict.
#[derive(Clone)]
pub struct Upload {
    pub(super) document: CaptureFile,
    pub(super) selfie: CaptureFile,
    pub(super) document_back: Option<CaptureFile>,
    pub(super) liveness_mode: Option<LivenessMode>,
    pub(super) applicant: Applicant,
    pub(super) on_progress: Option<OnProgress>,
}

pub(super) type OnProgress = Arc<dyn Fn(UploadProgress) + Send + Sync>;

impl Upload {
    /// Creates an upload with a document and a selfie.
    pub fn new(document: CaptureFile, selfie: CaptureFile) -> Self {
        Self {
            document,
            selfie,
            document_back: None,
            liveness_mode: None,
            applicant: Applicant::new(),
            on_progress: None,
        }
    }

    /// Adds the back of the document.
    #[must_use]
    pub fn document_back(mut self, back: CaptureFile) -> Self {
        self.document_back = Some(back);
        self
    }

    /// Sets the method of the liveness check.
    #[must_use]
    pub fn liveness_mode(mut self, mode: LivenessMode) -> Self {
        self.liveness_mode = Some(mode);
        self
    }

    /// Sets the fields that the applicant filled in.
    #[must_use]
    pub fn applicant(mut self, applicant: Applicant) -> Self {
        self.applicant = applicant;
        self
    }

    /// Sets a function that the client calls with the progress after every piece. The function runs
    /// in the task that sends the upload, so the function must not block.
    #[must_use]
    pub fn on_progress(mut self, report: impl Fn(UploadProgress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(report));
        self
    }
}

/// `Debug` shows which parts are present, and hides their contents.
impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("document", &self.document)
            .field("selfie", &self.selfie)
            .field("document_back", &self.document_back)
            .field("applicant", &self.applicant)
            .finish_non_exhaustive()
    }
}
