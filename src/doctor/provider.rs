//! Checks of discovery, keys and the clock.

use std::time::Duration;

use super::report::{Check, Status};
use crate::{
    clock::Timestamp,
    http::TransportError,
    oidc::{Checkup, MetadataError, ProviderError},
};

/// Tolerance for the clock check: HTTP dates have whole seconds, and responses take time to arrive.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

pub(super) const DISCOVERY: &str = "discovery";
pub(super) const ISSUER: &str = "issuer";
pub(super) const KEYS: &str = "keys";
pub(super) const CLOCK: &str = "clock";

/// Times of the request and of the response, by this machine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestTimes {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

pub(super) fn checks(
    checkup: &Checkup,
    issuer: &str,
    skew: Duration,
    times: RequestTimes,
) -> [Check; 4] {
    [
        discovery(&checkup.metadata),
        issuer_check(&checkup.metadata, issuer),
        keys(checkup.keys.as_ref()),
        clock(checkup.date, skew, times),
    ]
}

fn discovery(metadata: &Result<(), ProviderError>) -> Check {
    match metadata {
        // Ignore an issuer mismatch here, because a separate check covers the issuer.
        Ok(()) | Err(ProviderError::Metadata(MetadataError::IssuerMismatch)) => {
            Check::ok(DISCOVERY, "the discovery document was fetched")
        }
        Err(error) => Check::with(Status::Fail, DISCOVERY, error.to_string(), remedy(error)),
    }
}

fn issuer_check(metadata: &Result<(), ProviderError>, issuer: &str) -> Check {
    match metadata {
        Ok(()) => Check::ok(
            ISSUER,
            format!("the discovery document has the configured issuer, {issuer}"),
        ),
        Err(error @ ProviderError::Metadata(MetadataError::IssuerMismatch)) => {
            Check::with(Status::Fail, ISSUER, error.to_string(), remedy(error))
        }
        Err(_) => Check::with(
            Status::NotChecked,
            ISSUER,
            "not checked, because there is no valid discovery document",
            "Fix the discovery check first",
        ),
    }
}

fn keys(keys: Option<&Result<usize, ProviderError>>) -> Check {
    match keys {
        Some(Ok(count)) => Check::ok(KEYS, format!("usable Ed25519 keys: {count}")),
        Some(Err(error)) => Check::with(Status::Fail, KEYS, error.to_string(), remedy(error)),
        None => Check::with(
            Status::NotChecked,
            KEYS,
            "not checked, because the URL of the key set is unknown",
            "Fix the discovery check first",
        ),
    }
}

fn clock(date: Option<Timestamp>, skew: Duration, times: RequestTimes) -> Check {
    const REMEDY: &str = "Synchronize this machine's clock with NTP";
    let Some(date) = date else {
        return Check::with(
            Status::NotChecked,
            CLOCK,
            "not checked, because KYCPort's response has no Date header",
            "Fix the discovery check first. If it passes, compare this machine's clock with another clock",
        );
    };
    // `since` returns zero for a time in the future, so at most one of these two differences is not
    // zero.
    let ahead = times.from.since(date).saturating_sub(CLOCK_TOLERANCE);
    let behind = date.since(times.until).saturating_sub(CLOCK_TOLERANCE);
    let off = ahead.max(behind);
    let found = if off.is_zero() {
        "this machine's clock agrees with KYCPort's clock".to_owned()
    } else {
        let word = if behind.is_zero() {
            "ahead of"
        } else {
            "behind"
        };
        let tolerance = skew.as_secs();
        let off = off.as_secs();
        format!(
            "this machine's clock is {off} s {word} KYCPort's clock; up to {tolerance} s are tolerated"
        )
    };
    if off > skew {
        Check::with(Status::Fail, CLOCK, found, REMEDY)
    } else if off.saturating_mul(4) > skew {
        Check::with(Status::Warn, CLOCK, found, REMEDY)
    } else {
        Check::ok(CLOCK, found)
    }
}

fn remedy(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Transport(TransportError::Tls) => {
            "Check this machine's certificate authorities, the setting trust_only and the clock"
        }
        ProviderError::Transport(TransportError::Redirect { .. }) => {
            "Set KYCPORT_DISCOVERY_URL to the target of the redirect: redirects are not followed"
        }
        ProviderError::Transport(_) | ProviderError::Interrupted => {
            "Check the network from this machine to KYCPort: DNS, firewall and proxy"
        }
        ProviderError::Status(_) => {
            "Compare KYCPORT_DISCOVERY_URL with KYCPort's documentation. If it is correct, try again later"
        }
        ProviderError::Metadata(MetadataError::IssuerMismatch) => {
            "If the discovery document is KYCPort's, set KYCPORT_ISSUER to its issuer, byte for byte"
        }
        ProviderError::Metadata(_) => "Compare KYCPORT_DISCOVERY_URL with KYCPort's documentation",
        ProviderError::KeyBudget => {
            "Wait 30 s: the key set was fetched for recent tokens with unknown keys"
        }
        ProviderError::KeySet(_) => {
            "Contact KYCPort: without a usable key, no token can be verified"
        }
    }
}
