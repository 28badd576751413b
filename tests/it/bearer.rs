//! Access tokens at the tenant's own API.
