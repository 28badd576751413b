//! Discovery, keys, and the clock.

use std::time::Duration;

use super::report::{Check, Status};
use crate::{
    clock::Timestamp,
    http::TransportError,
    oidc::{Checkup, MetadataError, ProviderError},
};

/// An HTTP date has whole seconds, and takes a moment to arrive.
const GRAIN: Duration = Duration::from_secs(2);

pub(super) const DISCOVERY: &str = "discovery";
pub(super) const ISSUER: &str = "issuer";
pub(super) const KEYS: &str = "keys";
pub(super) const CLOCK: &str = "clock";

/// When KYCPort was asked and had answered, by this machine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

pub(super) fn lines(checkup: &Checkup, issuer: &str, skew: Duration, asked: Asked) -> [Check; 4] {
    [
        discovery(&checkup.metadata),
        issuer_line(&checkup.metadata, issuer),
        keys(checkup.keys.as_ref()),
        clock(checkup.date, skew, asked),
    ]
}

fn discovery(metadata: &Result<(), ProviderError>) -> Check {
    match metadata {
        // Whose issuer it is has a line of its own.
        Ok(()) | Err(ProviderError::Metadata(MetadataError::IssuerMismatch)) => {
            Check::ok(DISCOVERY, "the discovery document was fetched")
        }
        Err(error) => Check::with(Status::Fail, DISCOVERY, error.to_string(), remedy(error)),
    }
}

fn issuer_line(metadata: &Result<(), ProviderError>, issuer: &str) -> Check {
    match metadata {
        Ok(()) => Check::ok(
            ISSUER,
            format!("the document names {issuer}, as configured"),
        ),
        Err(error @ ProviderError::Metadata(MetadataError::IssuerMismatch)) => {
            Check::with(Status::Fail, ISSUER, error.to_string(), remedy(error))
        }
        Err(_) => Check::with(
            Status::NotChecked,
            ISSUER,
            "there is no document to compare with",
            "Mend discovery first",
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
            "it is not known where they are",
            "Mend discovery first",
        ),
    }
}

fn clock(date: Option<Timestamp>, skew: Duration, asked: Asked) -> Check {
    const MEND: &str = "Let this machine's clock be set from the network (NTP)";
    let Some(date) = date else {
        return Check::with(
            Status::NotChecked,
            CLOCK,
            "KYCPort did not say when it answered",
            "Mend discovery first; if it is well, compare this machine's clock with another",
        );
    };
    // `since` is zero for what lies ahead: of the two one is.
    let ahead = asked.from.since(date).saturating_sub(GRAIN);
    let behind = date.since(asked.until).saturating_sub(GRAIN);
    let off = ahead.max(behind);
    let found = if off.is_zero() {
        "this machine's and KYCPort's agree".to_owned()
    } else {
        let word = if behind.is_zero() {
            "ahead of"
        } else {
            "behind"
        };
        let forgiven = skew.as_secs();
        let off = off.as_secs();
        format!("this machine's is {off} s {word} KYCPort's; {forgiven} s are forgiven")
    };
    if off > skew {
        Check::with(Status::Fail, CLOCK, found, MEND)
    } else if off.saturating_mul(4) > skew {
        Check::with(Status::Warn, CLOCK, found, MEND)
    } else {
        Check::ok(CLOCK, found)
    }
}

fn remedy(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Transport(TransportError::Tls) => {
            "Look at the machine's certificate authorities, or at trust_only, and at its clock"
        }
        ProviderError::Transport(TransportError::Redirect { .. }) => {
            "Write the address that it redirects to: redirects are not followed"
        }
        ProviderError::Transport(_) | ProviderError::Interrupted => {
            "Look at the network from this machine to KYCPort: names, firewall, proxy"
        }
        ProviderError::Status(_) => {
            "Compare KYCPORT_DISCOVERY_URL with what KYCPort documents; if it is right, try later"
        }
        ProviderError::Metadata(MetadataError::IssuerMismatch) => {
            "Set KYCPORT_ISSUER to the issuer of the document, byte for byte, if it is KYCPort's"
        }
        ProviderError::Metadata(_) => "Compare KYCPORT_DISCOVERY_URL with what KYCPort documents",
        ProviderError::KeyBudget => {
            "Wait for 30 s: the key set was fetched for recent tokens with unknown keys"
        }
        ProviderError::KeySet(_) => "Tell KYCPort: no token can be verified",
    }
}
