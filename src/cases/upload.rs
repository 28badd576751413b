//! An upload, before it is sent.

use std::{fmt, sync::Arc};

use super::{applicant::Applicant, file::CaptureFile};
use crate::wire::cases::LivenessMode;

/// How far an upload is. What is sent may still be on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadProgress {
    /// Bytes handed to the connection, of the files and what stands around them.
    pub sent: u64,
    /// Bytes in all, if every file's length is known.
    pub total: Option<u64>,
}

/// What was captured: a document and a selfie, and what belongs to them (K51). No part of it can
/// carry a verdict.
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
    /// A document and a selfie.
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

    /// The back of the document, for those that have one.
    #[must_use]
    pub fn document_back(mut self, back: CaptureFile) -> Self {
        self.document_back = Some(back);
        self
    }

    /// How liveness was captured.
    #[must_use]
    pub fn liveness_mode(mut self, mode: LivenessMode) -> Self {
        self.liveness_mode = Some(mode);
        self
    }

    /// What the applicant said of themselves.
    #[must_use]
    pub fn applicant(mut self, applicant: Applicant) -> Self {
        self.applicant = applicant;
        self
    }

    /// Is told how far it is, with every piece that goes out. It is called from within the sending,
    /// so it must not wait.
    #[must_use]
    pub fn on_progress(mut self, told: impl Fn(UploadProgress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(told));
        self
    }
}

/// Shows what there is, and nothing of what is in it.
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
