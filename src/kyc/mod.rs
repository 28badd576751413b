//! Assurances, requirements and status queries to KYCPort. This module needs no web framework.

mod assurance;
#[cfg(feature = "web")]
mod assurances;
#[cfg(feature = "web")]
mod latest;
mod requirement;
mod status;

pub use assurance::{Assurance, AssuranceSource};
pub use requirement::{Requirement, RequirementError};
pub use status::{StatusClient, StatusError, StatusPersonId};

#[cfg(feature = "web")]
pub(crate) use {
    assurances::{Assurances, QueryError, StatusAnswer, StatusQuery, StatusQueryResult},
    latest::{Latest, LatestAssurances, PersonRef, RECORD as ASSURANCE_RECORD},
};
