//! All that is served below `/__mock`.

use std::sync::LazyLock;

use super::{
    cases, clients, clock, desk, faults, keys, persons, requests, route::Route, sandboxes, tenants,
    webhooks,
};

/// In the order of the document.
pub(super) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    [
        desk::routes(),
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
