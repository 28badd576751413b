//! Stored records: persons, tenants, clients, cases and grants.

mod bounded;
pub(super) mod case;
pub(super) mod claims;
pub(super) mod client;
pub(super) mod file;
pub(super) mod grants;
pub(super) mod old_secret;
pub(super) mod person;
pub(super) mod secrets;
pub(super) mod tenant;
pub(super) mod verification;
