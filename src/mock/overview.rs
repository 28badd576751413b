//! All that another program must know of an issuer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mock::{core::Core, http::endpoint::Endpoint, records::client::ClientRecord};

/// The environment of an app that uses this client.
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
            tenant.webhook_secrets.told(&core.switches()),
        ),
    ];
    if let Some(secret) = &client.secret {
        variables.push(("KYCPORT_CLIENT_SECRET", secret.clone()));
    }
    variables.push(("KYCPORT_REDIRECT_URI", redirect_uri));
    variables
}

/// All that a program must know of an issuer that it starts, secrets too.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Issuer")]
pub(super) struct Overview {
    /// Where it is reached, without a slash at the end.
    pub(super) origin: String,
    /// What its tokens name.
    pub(super) issuer: String,
    pub(super) discovery_url: String,
    /// Where its admin API is.
    pub(super) admin_url: String,
    /// Token that the admin API asks other machines for.
    pub(super) admin_token: String,
    /// The confidential client of the start.
    pub(super) client_id: String,
    pub(super) client_secret: Option<String>,
    /// The public client of the start, of another tenant.
    pub(super) public_client_id: String,
    /// Whose client the confidential one is.
    pub(super) tenant: String,
    pub(super) tenant_api_key: String,
    pub(super) webhook_secret: String,
    /// The certificate of the authority that vouches for it, if it speaks TLS.
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
            webhook_secret: tenant.webhook_secrets.told(&core.switches()),
            root_pem: core.tls.as_ref().map(|tls| tls.root_pem.clone()),
        }
    }
}

/// Where the admin API is, on the port of the issuer.
pub(super) const ADMIN_PATH: &str = "/__mock";
