//! Tenants.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    clients::Rotation,
    no::No,
    route::{Nothing, Route},
};
use crate::mock::{core::Core, records::tenant::TenantRecord, start::TenantSpec};

/// A tenant, and its secrets.
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
            webhook_secret: tenant.webhook_secrets.told(&core.switches()),
            may_read_status: tenant.may_read_status,
        }
    }
}

/// What is to be otherwise of a tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantChange {
    /// Whether its key may read statuses; if not, 403 (K43).
    may_read_status: bool,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/tenants", "listTenants", "All tenants.", list),
        Route::new(
            Method::POST,
            "/tenants",
            "createTenant",
            "A tenant; one of the same id gets what is named.",
            create,
        )
        .created(),
        Route::new(
            Method::GET,
            "/tenants/{tenant}",
            "readTenant",
            "A tenant.",
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
            "Replaces the API key of a tenant.",
            rotate,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Nothing) -> Result<Vec<TenantView>, No> {
    let all = admin.core.tenants().all();
    let views = all.into_iter();
    Ok(views
        .map(|tenant| TenantView::of(&admin.core, tenant))
        .collect())
}

pub(super) fn create(admin: &Admin, _: &str, tenant: TenantSpec) -> Result<TenantView, No> {
    let tenant = tenant.create(&admin.core)?;
    view(admin, tenant.id())
}

pub(super) fn read(admin: &Admin, id: &str, _: Nothing) -> Result<TenantView, No> {
    view(admin, id)
}

pub(super) fn change(admin: &Admin, id: &str, to: TenantChange) -> Result<TenantView, No> {
    let tenant = admin.tenant(Some(id.to_owned()))?;
    if to.may_read_status {
        tenant.grant_status_right();
    } else {
        tenant.revoke_status_right();
    }
    view(admin, id)
}

pub(super) fn rotate(admin: &Admin, id: &str, how: Rotation) -> Result<TenantView, No> {
    admin.tenant(Some(id.to_owned()))?.rotate_api_key(how.old);
    view(admin, id)
}

fn view(admin: &Admin, id: &str) -> Result<TenantView, No> {
    let known = admin.core.tenants().get(id);
    let tenant = known.ok_or_else(|| No::not_found("tenant"))?;
    Ok(TenantView::of(&admin.core, tenant))
}
