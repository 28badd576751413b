//! Whether KYCPort takes the tenant key.

use super::report::{Line, Verdict};
use crate::kyc::{Assurance, StatusError};

pub(super) const TENANT_KEY: &str = "tenant key";

const NOT_THE_API: &str = "Compare KYCPORT_API_BASE_URL with what KYCPort documents";

pub(super) fn line(answer: &Result<Assurance, StatusError>) -> Line {
    let Err(error) = answer else {
        let found = "accepted, but there is a status of somebody who does not exist";
        return Line::with(Verdict::Warn, TENANT_KEY, found, NOT_THE_API);
    };
    let (verdict, mend) = match error {
        StatusError::Refused {
            status: 404,
            code: Some(code),
            ..
        } if code == "person_not_found" => {
            return Line::ok(TENANT_KEY, "KYCPort accepts it");
        }
        StatusError::NoTenantKey => (
            Verdict::NotChecked,
            "Set it for the status endpoint and for verification cases; without it guards ask userinfo",
        ),
        StatusError::Refused { status: 401, .. } => (
            Verdict::Fail,
            "Copy KYCPORT_TENANT_API_KEY from KYCPort's console: it is not known there, or no more",
        ),
        StatusError::Refused { status: 403, .. } => (
            Verdict::Fail,
            "Let KYCPort's console give the key the right to read statuses",
        ),
        StatusError::Refused { .. } | StatusError::InvalidAnswer | StatusError::OtherPerson => {
            (Verdict::Fail, NOT_THE_API)
        }
        StatusError::RateLimited { .. } => (
            Verdict::Warn,
            "The key is known, and is used too much: spread the questions, or ask for a higher limit",
        ),
        StatusError::Transport(_) | StatusError::Unavailable { .. } | StatusError::PersonId => (
            Verdict::Fail,
            "Look at the network from this machine to KYCPORT_API_BASE_URL; if it is well, try later",
        ),
    };
    Line::with(verdict, TENANT_KEY, error.to_string(), mend)
}
