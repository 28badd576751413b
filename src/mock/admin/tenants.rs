//! Admin API routes for tenants.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    api_error::ApiError,
    clients::Rotation,
    route::{Empty, Route},
};
use crate::mock::{core::Core, records::tenant::TenantRecord, start::TenantSpec};

/// Tenant with its secrets.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
pub(super) struct TenantView {
    id: String,
    api_key: String,
    webhook_secret: String,
    may_read_status: bool,
}

impl TenantView {
    fn of(core: &Core, tenant: TenantRecord) -> Self {
        Self {
            id: tenant.id,
            api_key: tenant.api_key,
            webhook_secret: tenant.webhook_secrets.for_tenant(&core.switches()),
            may_read_status: tenant.may_read_status,
        }
    }
}

/// Body of a request that changes a tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantChange {
    /// Whether the tenant's API key may read statuses. If `false`, the response to a status request
    /// is 403 (K43).
    may_read_status: bool,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/tenants",
            "listTenants",
            "Lists all tenants.",
            list,
        ),
        Route::new(
            Method::POST,
            "/tenants",
            "createTenant",
            "Creates a tenant. If the ID exists, updates the given members of that tenant.",
            create,
        )
        .created(),
        Route::new(
            Method::GET,
            "/tenants/{tenant}",
            "readTenant",
            "Returns a tenant.",
            read,
        ),
        Route::new(
            Method::PATCH,
            "/tenants/{tenant}",
            "changeTenant",
            "Changes a tenant.",
            change,
        ),
        Route::new(
            Method::POST,
            "/tenants/{tenant}/rotate_api_key",
            "rotateApiKey",
            "Rotates the API key of a tenant.",
            rotate,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Empty) -> Result<Vec<TenantView>, ApiError> {
    let all = admin.core.tenants().all();
    let views = all.into_iter();
    Ok(views
        .map(|tenant| TenantView::of(&admin.core, tenant))
        .collect())
}

pub(super) fn create(admin: &Admin, _: &str, tenant: TenantSpec) -> Result<TenantView, ApiError> {
    let tenant = tenant.create(&admin.core)?;
    view(admin, tenant.id())
}

pub(super) fn read(admin: &Admin, id: &str, _: Empty) -> Result<TenantView, ApiError> {
    view(admin, id)
}

pub(super) fn change(admin: &Admin, id: &str, to: TenantChange) -> Result<TenantView, ApiError> {
    let tenant = admin.tenant(Some(id.to_owned()))?;
    if to.may_read_status {
        tenant.grant_status_right();
    } else {
        tenant.revoke_status_right();
    }
    view(admin, id)
}

pub(super) fn rotate(admin: &Admin, id: &str, rotation: Rotation) -> Result<TenantView, ApiError> {
    admin
        .tenant(Some(id.to_owned()))?
        .rotate_api_key(rotation.old);
    view(admin, id)
}

fn view(admin: &Admin, id: &str) -> Result<TenantView, ApiError> {
    let known = admin.core.tenants().get(id);
    let tenant = known.ok_or_else(|| ApiError::not_found("tenant"))?;
    Ok(TenantView::of(&admin.core, tenant))
}
