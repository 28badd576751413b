//! Connection data of an issuer, for other programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mock::{core::Core, http::endpoint::Endpoint, records::client::ClientRecord};

/// Returns the environment variables for an app that uses this client.
pub(super) fn variables(
    core: &Core,
    client: &ClientRecord,
    redirect_uri: String,
) -> Vec<(&'static str, String)> {
    let tenant = core.tenants().ensure(&client.tenant);
    let discovery = format!("{}{}", core.origin, Endpoint::Discovery.path());
    let mut variables = vec![
        ("KYCPORT_ISSUER", core.issuer.clone()),
        ("KYCPORT_DISCOVERY_URL", discovery),
        ("KYCPORT_API_BASE_URL", core.origin.clone()),
        ("KYCPORT_CLIENT_ID", client.id.clone()),
        ("KYCPORT_TENANT_API_KEY", tenant.api_key),
        (
            "KYCPORT_WEBHOOK_SECRET",
            tenant.webhook_secrets.for_tenant(&core.switches()),
        ),
    ];
    if let Some(secret) = &client.secret {
        variables.push(("KYCPORT_CLIENT_SECRET", secret.clone()));
    }
    variables.push(("KYCPORT_REDIRECT_URI", redirect_uri));
    variables
}

/// Connection data of an issuer, including its secrets, for the program that started it.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Issuer")]
pub(super) struct Overview {
    /// The URL at which clients reach the issuer, without a trailing slash.
    pub(super) origin: String,
    /// The issuer identifier, which tokens contain as `iss`.
    pub(super) issuer: String,
    pub(super) discovery_url: String,
    /// The base URL of the admin API.
    pub(super) admin_url: String,
    /// Token that clients on other machines must send to the admin API.
    pub(super) admin_token: String,
    /// The `client_id` of the initial confidential client.
    pub(super) client_id: String,
    pub(super) client_secret: Option<String>,
    /// The `client_id` of the initial public client, which belongs to another tenant.
    pub(super) public_client_id: String,
    /// The tenant of the initial confidential client.
    pub(super) tenant: String,
    pub(super) tenant_api_key: String,
    pub(super) webhook_secret: String,
    /// The mock's CA certificate in PEM, if the mock uses TLS.
    pub(super) root_pem: Option<String>,
}

impl Overview {
    pub(super) fn of(core: &Core, client: &ClientRecord, public: &ClientRecord) -> Self {
        let tenant = core.tenants().ensure(&client.tenant);
        Self {
            origin: core.origin.clone(),
            issuer: core.issuer.clone(),
            discovery_url: format!("{}{}", core.origin, Endpoint::Discovery.path()),
            admin_url: format!("{}{ADMIN_PATH}", core.origin),
            admin_token: core.access.token.clone(),
            client_id: client.id.clone(),
            client_secret: client.secret.clone(),
            public_client_id: public.id.clone(),
            tenant: tenant.id,
            tenant_api_key: tenant.api_key,
            webhook_secret: tenant.webhook_secrets.for_tenant(&core.switches()),
            root_pem: core.tls.as_ref().map(|tls| tls.root_pem.clone()),
        }
    }
}

/// Path of the admin API on the issuer's port.
pub(super) const ADMIN_PATH: &str = "/__mock";
