//! Check of the store.

use super::report::{Check, Status};
use crate::store::{Properties, StoreError};

pub(super) const STORE: &str = "store";

pub(super) fn check(properties: Properties, checked: Result<(), StoreError>) -> Check {
    let name = properties.name;
    match checked {
        Ok(()) if properties.shared => {
            Check::ok(STORE, format!("{name}: writes and reads records"))
        }
        Ok(()) => Check::with(
            Status::Warn,
            STORE,
            format!("{name}: works, but other instances do not share this store"),
            "This is correct for one instance. For several instances, set KYCPORT_STORE to a shared store",
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
            "Check KYCPORT_STORE, the store's server and the network to the server"
        }
        StoreError::AccessDenied => "Check the user and the password in KYCPORT_STORE",
        StoreError::ReadOnly => "Connect to the primary: a replica rejects writes",
        StoreError::Full => "Give the server more memory or disk space",
        StoreError::Busy => "Allow more connections, and end long transactions",
        StoreError::Starting => "Try again when the server has started",
        StoreError::Schema => "Run the migration as a user with the right to create tables",
        _ => "Check the log of the server",
    }
}
