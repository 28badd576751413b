//! Document capture: the upload extractor and its errors.

pub(super) mod error;
pub(super) mod upload;
