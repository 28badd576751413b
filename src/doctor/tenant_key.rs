//! Whether KYCPort takes the tenant key.

use super::report::{Check, Status};
use crate::kyc::{Assurance, StatusError};

pub(super) const TENANT_KEY: &str = "tenant key";

const NOT_THE_API: &str = "Compare KYCPORT_API_BASE_URL with what KYCPort documents";

pub(super) fn line(answer: &Result<Assurance, StatusError>) -> Check {
    let Err(error) = answer else {
        let found = "accepted, but there is a status of somebody who does not exist";
        return Check::with(Status::Warn, TENANT_KEY, found, NOT_THE_API);
    };
    let (verdict, remedy) = match error {
        StatusError::Rejected {
            status: 404,
            code: Some(code),
            ..
        } if code == "person_not_found" => {
            return Check::ok(TENANT_KEY, "KYCPort accepts it");
        }
        StatusError::NoTenantKey => (
            Status::NotChecked,
            "Set it for the status endpoint and for verification cases; without it guards ask userinfo",
        ),
        StatusError::Rejected { status: 401, .. } => (
            Status::Fail,
            "Copy KYCPORT_TENANT_API_KEY from KYCPort's console: it is not known there, or no more",
        ),
        StatusError::Rejected { status: 403, .. } => (
            Status::Fail,
            "Let KYCPort's console give the key the right to read statuses",
        ),
        StatusError::Rejected { .. }
        | StatusError::InvalidResponse
        | StatusError::SubjectMismatch
        | StatusError::MissingPersonId => (Status::Fail, NOT_THE_API),
        StatusError::RateLimited { .. } => (
            Status::Warn,
            "The key is known, and is used too much: spread the questions, or ask for a higher limit",
        ),
        StatusError::Transport(_) | StatusError::Unavailable { .. } | StatusError::PersonId => (
            Status::Fail,
            "Look at the network from this machine to KYCPORT_API_BASE_URL; if it is well, try later",
        ),
    };
    Check::with(verdict, TENANT_KEY, error.to_string(), remedy)
}
