//! Table of all routes below `/__mock`.

use std::sync::LazyLock;

use super::{
    cases, clients, clock, faults, issuer, keys, persons, requests, route::Route, sandboxes,
    tenants, webhooks,
};

/// All routes, in the order of the OpenAPI document.
pub(super) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    [
        issuer::routes(),
        sandboxes::routes(),
        persons::routes(),
        tenants::routes(),
        clients::routes(),
        cases::routes(),
        clock::routes(),
        keys::routes(),
        faults::routes(),
        webhooks::routes(),
        requests::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
});
