//! Whether the store works.

use super::report::{Check, Status};
use crate::store::{Properties, StoreError};

pub(super) const STORE: &str = "store";

pub(super) fn line(properties: Properties, checked: Result<(), StoreError>) -> Check {
    let name = properties.name;
    match checked {
        Ok(()) if properties.shared => {
            Check::ok(STORE, format!("{name}: takes and returns records"))
        }
        Ok(()) => Check::with(
            Status::Warn,
            STORE,
            format!("{name}: works for this process alone, and other instances do not see it"),
            "Right for one instance. For several, set KYCPORT_STORE to a shared store",
        ),
        Err(error) => Check::with(
            Status::Fail,
            STORE,
            format!("{name}: {error}"),
            remedy(error),
        ),
    }
}

fn remedy(error: StoreError) -> &'static str {
    match error {
        StoreError::Unreachable | StoreError::Timeout => {
            "Check KYCPORT_STORE, the server, and the network to it"
        }
        StoreError::AccessDenied => "Check the user and the password in KYCPORT_STORE",
        StoreError::ReadOnly => "Connect to the primary: a replica takes no writes",
        StoreError::Full => "Give the server more memory or disk space",
        StoreError::Busy => "Raise the number of connections, and end long transactions",
        StoreError::Starting => "Try again when the server has started",
        StoreError::Schema => "Run the migration with a user that may create tables",
        _ => "Read the log of the server",
    }
}
