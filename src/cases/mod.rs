//! Verification cases (K50 to K59): host your own capture, and leave the verdict to KYCPort. Needs
//! no web framework.
//!
//! Open a case for a person, upload what was captured, ask for the decision:
//!
//! ```no_run
//! # async fn run(kycport: kycport::RelyingParty) -> Result<(), Box<dyn std::error::Error>> {
//! use kycport::{KycTier, cases::{Applicant, CaptureFile, Upload}};
//!
//! let case = kycport.cases().open("the person's id", &KycTier::T2).await?;
//! let upload = Upload::new(CaptureFile::path("front.jpg"), CaptureFile::path("selfie.jpg"))
//!     .applicant(Applicant::new().field("given_name", "Ada")?);
//! kycport.cases().upload(&case.id, upload).await?;
//! let decision = kycport.cases().decide(&case.id).await?;
//! assert!(decision.is_approved());
//! # Ok(())
//! # }
//! ```
//!
//! What a browser uploads goes through a handler of the app and an extractor of it,
//! `web::CaptureUpload`; the example `host_your_own_capture` has the page, too.
//!
//! What opens, uploads and decides is sent once. If no answer comes that says whether it was done,
//! the error is [`CaseError::OutcomeUnknown`]: read the case with [`CaseClient::get`] and go on from
//! there, for doing it again blindly may do it twice.

mod applicant;
mod case;
mod client;
mod error;
#[cfg(feature = "web")]
mod feed;
mod file;
mod media;
mod multipart;
#[cfg(feature = "web")]
mod pace;
mod prepared;
mod reason;
#[cfg(feature = "web")]
mod relay;
mod settings;
mod upload;
#[cfg(feature = "web")]
mod uploaders;
mod wait;

pub use crate::wire::cases::{CaseStatus, LivenessMode, Outcome, RiskLevel};
pub use applicant::{Applicant, ApplicantError};
pub use case::{Case, Decision};
pub use client::CaseClient;
pub use error::{CaseError, OutcomeUnknownCause, UploadError};
pub use file::{ByteStream, CaptureFile};
pub use media::MediaType;
#[cfg(feature = "web")]
pub use relay::{ForwardError, ForwardedUpload};
pub use upload::{Upload, UploadProgress};
pub use wait::WaitOutcome;

#[cfg(feature = "web")]
pub(crate) use client::OnDecided;
pub(crate) use settings::Settings;
