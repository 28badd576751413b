//! Initial state of a mock, as the configuration file defines it. Requests to the admin API use
//! these types too.

pub(super) mod nullable;
pub(super) mod person;
pub(super) mod switches;
pub(super) mod texts;
pub(super) mod values;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    mock::{
        core::Core,
        error::MockError,
        loopback::is_loopback,
        oidc::client::{Client, NewClient},
        persons::NewPerson,
        records::client::check_redirect_uri,
        tenants::Tenant,
        uri,
        webhooks::endpoint::WebhookEndpoint,
    },
    wire::kyc::{KycStatus, KycTier},
};
use person::PersonSpec;
use switches::SwitchesSpec;
use texts::{MIN_WEBHOOK_SECRET, Name, RedirectUri, WebhookSecretText, WebhookUrl, check_name};

/// Content of the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InitialState {
    pub(super) sample_persons: bool,
    pub(super) switches: SwitchesSpec,
    pub(super) tenants: Vec<TenantSpec>,
    pub(super) clients: Vec<ClientSpec>,
    pub(super) persons: Vec<PersonSpec>,
    pub(super) webhooks: Vec<WebhookSpec>,
}

/// Tenant to create. If the file omits a secret, the mock generates the secret at every start.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewTenant")]
pub(super) struct TenantSpec {
    /// Tenant ID. Clients refer to the tenant by this ID.
    #[schemars(with = "Name")]
    pub(super) id: String,
    #[schemars(with = "Option<Name>")]
    pub(super) api_key: Option<String>,
    /// Webhook secret. Minimum length: 16 characters (K80).
    #[schemars(with = "Option<WebhookSecretText>")]
    webhook_secret: Option<String>,
    /// Whether the API key may read statuses (K43). Default: true.
    may_read_status: Option<bool>,
}

/// Type of a client (K20).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientKind {
    #[default]
    Confidential,
    Public,
}

/// Client to register. If the file omits the ID or the secret, the mock generates the ID or the
/// secret at every start.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewClient")]
#[schemars(extend(
    "if" = { "properties": { "kind": { "const": "public" } }, "required": ["kind"] },
    "then" = { "properties": { "secret": { "type": "null" } } }
))]
pub(super) struct ClientSpec {
    /// Name on the sign-in page.
    #[schemars(with = "Name")]
    name: String,
    #[schemars(with = "Option<Name>")]
    id: Option<String>,
    #[schemars(with = "Option<Name>")]
    secret: Option<String>,
    /// Tenant ID. Default: the name of the client.
    #[schemars(with = "Option<Name>")]
    tenant: Option<String>,
    #[serde(default)]
    pub(super) kind: ClientKind,
    /// Redirect URIs. The mock compares redirect URIs byte by byte (K12). A redirect URI must use
    /// HTTPS, except for loopback hosts (K73).
    #[serde(default)]
    #[schemars(with = "Vec<RedirectUri>")]
    redirect_uris: Vec<String>,
}

/// Webhook endpoint that the mock subscribes to events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWebhookEndpoint")]
pub(super) struct WebhookSpec {
    /// HTTP or HTTPS URL.
    #[schemars(with = "WebhookUrl")]
    url: String,
    /// Event types of the endpoint. Default: all types.
    types: Option<Vec<String>>,
    /// Tenant ID. Default: the tenant of the first confidential client.
    #[schemars(with = "Option<Name>")]
    pub(super) tenant: Option<String>,
}

impl InitialState {
    /// Applies the initial state to an issuer. Returns the first confidential client and the first
    /// public client. If the configuration contains no client of one kind, the mock creates a
    /// client of this kind.
    pub(super) fn apply(self, core: &Arc<Core>) -> Result<(Client, Client), MockError> {
        core.switch(|switches| self.switches.apply(switches));
        for tenant in self.tenants {
            tenant.create(core)?;
        }
        let (mut confidential, mut public) = (None, None);
        for spec in self.clients {
            let own = match spec.kind {
                ClientKind::Confidential => &mut confidential,
                ClientKind::Public => &mut public,
            };
            let client = spec.create(core)?;
            own.get_or_insert(client);
        }
        let new = |name| NewClient::new(Arc::clone(core), name);
        let confidential = confidential.unwrap_or_else(|| new("Acme Bank").create());
        let public = public.unwrap_or_else(|| new("Globex Wallet").public().create());
        if self.sample_persons {
            sample_persons(core);
        }
        for person in self.persons {
            person.create(core)?;
        }
        for webhook in self.webhooks {
            webhook.subscribe(core, confidential.tenant())?;
        }
        Ok((confidential, public))
    }
}

fn sample_persons(core: &Arc<Core>) {
    for (slug, name, status, tier) in [
        ("ada", "Ada Lovelace", KycStatus::Verified, KycTier::T2),
        ("grace", "Grace Hopper", KycStatus::Verified, KycTier::T1),
        ("alan", "Alan Turing", KycStatus::Pending, KycTier::T0),
        ("mary", "Mary Shelley", KycStatus::Rejected, KycTier::T0),
        ("edgar", "Edgar Codd", KycStatus::Expired, KycTier::T2),
    ] {
        let clear = status != KycStatus::Rejected;
        NewPerson::new(Arc::clone(core), slug)
            .name(name)
            .status(status)
            .tier(tier)
            .aml_clear(clear)
            .create();
    }
}

impl TenantSpec {
    pub(super) fn create(self, core: &Arc<Core>) -> Result<Tenant, MockError> {
        check_name("tenant", &self.id)?;
        if let Some(key) = &self.api_key {
            check_name("api_key", key)?;
        }
        let is_short = |secret: &String| secret.chars().count() < MIN_WEBHOOK_SECRET;
        if self.webhook_secret.as_ref().is_some_and(is_short) {
            return Err(MockError::Setting {
                setting: "webhook_secret",
                reason: "the secret is shorter than 16 characters, so receivers reject it (K80)",
            });
        }
        let mut tenants = core.tenants();
        tenants.ensure(&self.id);
        tenants.change(&self.id, |tenant| {
            if let Some(key) = self.api_key {
                tenant.api_key = key;
            }
            if let Some(secret) = self.webhook_secret {
                tenant.webhook_secrets.current = secret;
            }
            if let Some(may) = self.may_read_status {
                tenant.may_read_status = may;
            }
        });
        drop(tenants);
        Ok(Tenant::ensure(Arc::clone(core), &self.id))
    }
}

impl ClientSpec {
    /// Registers the client with all its redirect URIs. On an error, registers no client.
    pub(super) fn create(self, core: &Arc<Core>) -> Result<Client, MockError> {
        check_name("name", &self.name)?;
        for uri in &self.redirect_uris {
            check_redirect_uri(uri)?;
        }
        let mut client = NewClient::new(Arc::clone(core), &self.name);
        if let Some(id) = &self.id {
            check_name("id", id)?;
            client = client.id(id);
        }
        if let Some(tenant) = &self.tenant {
            check_name("tenant", tenant)?;
            client = client.tenant(tenant);
        }
        client = match (self.kind, &self.secret) {
            (ClientKind::Confidential, Some(secret)) => {
                check_name("secret", secret)?;
                client.secret(secret)
            }
            (ClientKind::Confidential, None) => client,
            (ClientKind::Public, None) => client.public(),
            (ClientKind::Public, Some(_)) => {
                return Err(MockError::Setting {
                    setting: "secret",
                    reason: "a public client must not have a secret (K20)",
                });
            }
        };
        let client = client.create();
        for uri in &self.redirect_uris {
            client.register_redirect_uri(uri)?;
        }
        Ok(client)
    }
}

impl WebhookSpec {
    /// Returns whether the endpoint is an HTTP or HTTPS URL of another machine.
    pub(super) fn is_on_another_machine(&self) -> bool {
        uri::parse(&self.url).is_some_and(|url| !is_loopback(&url))
    }

    /// Subscribes the endpoint for its tenant. If the specification has no tenant, subscribes the
    /// endpoint for the tenant `own`.
    pub(super) fn subscribe(
        self,
        core: &Arc<Core>,
        own: &str,
    ) -> Result<WebhookEndpoint, MockError> {
        let tenant = self.tenant.as_deref().unwrap_or(own);
        check_name("tenant", tenant)?;
        let hooks = Tenant::ensure(Arc::clone(core), tenant).webhooks();
        hooks.try_subscribe(&self.url, self.types)
    }
}
