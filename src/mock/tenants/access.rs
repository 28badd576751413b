//! Authentication, authorization and rate limit of the tenant API (K43, K47).

#![expect(
    clippy::result_large_err,
    reason = "an `Err` is a complete HTTP response, and each request creates at most one"
)]

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use crate::{
    clock::Clock as _,
    mock::{
        core::Core,
        http::{answer::Answer, api_error, bearer::bearer},
        records::{person::PersonRecord, tenant::TenantRecord},
        switches::Switches,
    },
};

/// Returns the tenant of a request, or the response that rejects the request. Checks the API key
/// first, then the permission of the key, then the rate limit (K47).
pub(in crate::mock) fn tenant(
    core: &Core,
    headers: &HeaderMap,
    switches: &Switches,
) -> Result<TenantRecord, Answer> {
    let refuse = |status, reason| api_error::refuse(status, reason, switches);
    let known = bearer(headers).and_then(|key| core.tenants().of_key(key));
    let Some(tenant) = known else {
        let reason = "the request needs one Authorization header with a tenant's API key as Bearer";
        return Err(refuse(StatusCode::UNAUTHORIZED, reason).challenge("Bearer"));
    };
    if !tenant.may_read_status {
        let reason = "the tenant's API key may not read statuses";
        return Err(refuse(StatusCode::FORBIDDEN, reason));
    }
    if let Some(limit) = switches.status_rate_limit {
        let now = core.clock.monotonic();
        let counted = core.tenants().count(&tenant.id, now, limit);
        counted.map_err(|left| {
            let reason = "the tenant exceeds the rate limit `status_rate_limit`";
            refuse(StatusCode::TOO_MANY_REQUESTS, reason)
                .with(RETRY_AFTER, &seconds(left).to_string())
        })?;
    }
    Ok(tenant)
}

/// Returns the person with this ID, or the 404 of a person who does not exist or whom the tenant
/// may not see (K46, K47).
pub(in crate::mock) fn person(
    core: &Core,
    tenant: &TenantRecord,
    id: &str,
    switches: &Switches,
) -> Result<PersonRecord, Answer> {
    let known = core.person(id).filter(|person| person.id == id);
    let seen = known.filter(|person| person.is_visible_to(&tenant.id));
    seen.ok_or_else(|| {
        let reason = "there is no such person, or this tenant may not see the person";
        api_error::refuse(StatusCode::NOT_FOUND, reason, switches)
    })
}

/// Rounds up to whole seconds. Otherwise a client would retry too early.
fn seconds(left: Duration) -> u64 {
    let started = u64::from(left.subsec_nanos() > 0);
    left.as_secs().saturating_add(started)
}
