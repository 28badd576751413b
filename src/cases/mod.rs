//! Client for verification cases (K50 to K59). Your app captures the documents, and KYCPort
//! decides. The client needs no web framework.
//!
//! Open a case for a person, upload the files, and request the decision:
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
//! To receive uploads from a browser, use the extractor `web::CaptureUpload` in a handler of your
//! app. The example `host_your_own_capture` also contains the page.
//!
//! The client sends a request to open a case, to upload files or to decide a case only once. If the
//! response does not show whether KYCPort applied the request, the error
//! is [`CaseError::OutcomeUnknown`]. Read the case with [`CaseClient::get`] before you retry,
//! because the retry may apply the request twice.

mod applicant;
#[cfg(feature = "web")]
mod browser_form;
mod case;
mod client;
mod error;
#[cfg(feature = "web")]
mod feed;
mod file;
#[cfg(feature = "web")]
mod forward_error;
mod media;
mod multipart;
#[cfg(feature = "web")]
mod pace;
mod prepared;
mod rates;
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
#[cfg(feature = "web")]
pub use forward_error::ForwardError;
pub use media::MediaType;
#[cfg(feature = "web")]
pub use relay::ForwardedUpload;
pub use upload::{Upload, UploadProgress};
pub use wait::WaitOutcome;

#[cfg(feature = "web")]
pub(crate) use client::OnDecided;
pub(crate) use settings::Settings;
