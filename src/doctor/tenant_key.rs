//! Check of the tenant key.

use super::report::{Check, Status};
use crate::kyc::{Assurance, StatusError};

pub(super) const TENANT_KEY: &str = "tenant key";

const CHECK_BASE_URL: &str = "Compare KYCPORT_API_BASE_URL with KYCPort's documentation";

pub(super) fn check(answer: &Result<Assurance, StatusError>) -> Check {
    let Err(error) = answer else {
        let found = "accepted, but the API returned a status for a person who does not exist";
        return Check::with(Status::Warn, TENANT_KEY, found, CHECK_BASE_URL);
    };
    let (status, remedy) = match error {
        StatusError::Rejected {
            status: 404,
            code: Some(code),
            ..
        } if code == "person_not_found" => {
            return Check::ok(TENANT_KEY, "KYCPort accepts the key");
        }
        StatusError::NoTenantKey => (
            Status::NotChecked,
            "Set KYCPORT_TENANT_API_KEY for the status endpoint and for verification cases. Without the key, guards read the userinfo endpoint",
        ),
        StatusError::Rejected { status: 401, .. } => (
            Status::Fail,
            "Copy KYCPORT_TENANT_API_KEY from KYCPort's console: KYCPort does not know this key",
        ),
        StatusError::Rejected { status: 403, .. } => (
            Status::Fail,
            "Grant the key the right to read statuses in KYCPort's console",
        ),
        StatusError::Rejected { .. }
        | StatusError::InvalidResponse
        | StatusError::SubjectMismatch
        | StatusError::MissingPersonId => (Status::Fail, CHECK_BASE_URL),
        StatusError::RateLimited { .. } => (
            Status::Warn,
            "KYCPort accepts the key but rate-limits it: send fewer requests, or ask KYCPort for a higher limit",
        ),
        StatusError::Transport(_) | StatusError::Unavailable { .. } | StatusError::PersonId => (
            Status::Fail,
            "Check the network from this machine to KYCPORT_API_BASE_URL. If it works, try again later",
        ),
    };
    Check::with(status, TENANT_KEY, error.to_string(), remedy)
}
