//! Which tenant calls the API, and whether it may (K43, K47).

#![expect(
    clippy::result_large_err,
    reason = "a no is an answer like any other, and there is one a request"
)]

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use crate::{
    clock::Clock as _,
    mock::{
        core::Core,
        http::{answer::Answer, api_error, bearer::bearer},
        records::tenant::TenantRecord,
        switches::Switches,
    },
};

/// The key first, then what it may, then how often (K47); or the answer that says no.
pub(in crate::mock) fn tenant(
    core: &Core,
    headers: &HeaderMap,
    switches: &Switches,
) -> Result<TenantRecord, Answer> {
    let refuse = |status, why| api_error::refuse(status, why, switches);
    let known = bearer(headers).and_then(|key| core.tenants().of_key(key));
    let Some(tenant) = known else {
        let why = "there is not one Authorization header with the Bearer API key of a tenant";
        return Err(refuse(StatusCode::UNAUTHORIZED, why).challenge("Bearer"));
    };
    if !tenant.may_read_status {
        let why = "the tenant's API key may not read statuses";
        return Err(refuse(StatusCode::FORBIDDEN, why));
    }
    if let Some(limit) = switches.status_rate_limit {
        let now = core.clock.monotonic();
        let counted = core.tenants().count(&tenant.id, now, limit);
        counted.map_err(|left| {
            let why = "the tenant asks more often than `status_rate_limit` allows";
            refuse(StatusCode::TOO_MANY_REQUESTS, why).with(RETRY_AFTER, &seconds(left).to_string())
        })?;
    }
    Ok(tenant)
}

/// Whole seconds, and not too early.
fn seconds(left: Duration) -> u64 {
    let started = u64::from(left.subsec_nanos() > 0);
    left.as_secs().saturating_add(started)
}
