//! What a mock begins with, as a configuration file says it, and what a request may create later.

mod given;
pub(super) mod switches;
pub(super) mod texts;
pub(super) mod words;

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    clock::Timestamp,
    mock::{
        core::Core,
        error::MockError,
        loopback::is_loopback,
        oidc::client::{Client, NewClient},
        persons::{NewPerson, Person},
        records::{client::check_redirect_uri, person::PersonRecord},
        tenants::Tenant,
        webhooks::endpoint::WebhookEndpoint,
    },
    wire::kyc::{KycStatus, KycTier},
};
use given::Given;
use switches::SwitchesSpec;
use texts::{HookSecret, HookUrl, MAX_NAME, MIN_HOOK_SECRET, Name, RedirectUri};
use words::{StatusWord, TierWord};

/// All that a configuration file may name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Start {
    pub(super) sample_persons: bool,
    pub(super) switches: SwitchesSpec,
    pub(super) tenants: Vec<TenantSpec>,
    pub(super) clients: Vec<ClientSpec>,
    pub(super) persons: Vec<PersonSpec>,
    pub(super) webhooks: Vec<WebhookSpec>,
}

/// A tenant: what is left out is fresh at every start.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewTenant")]
pub(super) struct TenantSpec {
    /// Its name, as its clients give it.
    #[schemars(with = "Name")]
    pub(super) id: String,
    #[schemars(with = "Option<Name>")]
    pub(super) api_key: Option<String>,
    /// 16 characters or longer (K80).
    #[schemars(with = "Option<HookSecret>")]
    webhook_secret: Option<String>,
    /// Whether its key may read statuses (K43). It may, if nothing is said.
    may_read_status: Option<bool>,
}

/// Whether a client keeps a secret (K20).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientKind {
    #[default]
    Confidential,
    Public,
}

/// A client: what is left out is fresh at every start.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewClient")]
#[schemars(extend(
    "if" = { "properties": { "kind": { "const": "public" } }, "required": ["kind"] },
    "then" = { "properties": { "secret": { "type": "null" } } }
))]
pub(super) struct ClientSpec {
    /// As the sign-in page shows it.
    #[schemars(with = "Name")]
    name: String,
    #[schemars(with = "Option<Name>")]
    id: Option<String>,
    #[schemars(with = "Option<Name>")]
    secret: Option<String>,
    /// Named like the client, if nothing is said.
    #[schemars(with = "Option<Name>")]
    tenant: Option<String>,
    #[serde(default)]
    pub(super) kind: ClientKind,
    /// To be matched byte for byte (K12); HTTPS, or plain `http` on loopback (K73).
    #[serde(default)]
    #[schemars(with = "Vec<RedirectUri>")]
    redirect_uris: Vec<String>,
}

/// A person: verified, `t2` and AML clear, unless something else is said.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPerson")]
pub(super) struct PersonSpec {
    /// A short name. The person's id follows from it.
    #[schemars(with = "Name")]
    slug: String,
    name: Option<String>,
    email: Option<String>,
    email_verified: Option<bool>,
    status: Option<StatusWord>,
    tier: Option<TierWord>,
    /// `null` leaves it out of every answer (K31).
    #[serde(default)]
    aml_clear: Given<bool>,
    /// From then a verified person is `expired`, by the issuer's clock (K48).
    expires_in_seconds: Option<u64>,
    /// The tenants that see this person; all, if nothing is said (K46).
    #[serde(default)]
    only_for: Vec<String>,
}

/// What is to be otherwise of a person. All of it happens at once, and is one event if it is one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PersonChange {
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) email_verified: Option<bool>,
    pub(super) status: Option<StatusWord>,
    pub(super) tier: Option<TierWord>,
    /// `null` leaves it out of every answer (K31).
    pub(super) aml_clear: Given<bool>,
    /// From then a verified person is `expired`, by the issuer's clock (K48).
    pub(super) expires_in_seconds: Option<u64>,
}

/// An address that takes deliveries.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWebhookEndpoint")]
pub(super) struct WebhookSpec {
    /// HTTP or HTTPS.
    #[schemars(with = "HookUrl")]
    url: String,
    /// The types it takes; all, if nothing is said.
    types: Option<Vec<String>>,
    /// That of the first confidential client, if nothing is said.
    #[schemars(with = "Option<Name>")]
    pub(super) tenant: Option<String>,
}

impl Start {
    /// Puts all of it into an issuer, and gives the clients that are its own: the first confidential
    /// one and the first public one that are named, or such that are always there.
    pub(super) fn begin(self, core: &Arc<Core>) -> Result<(Client, Client), MockError> {
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
        not_empty("tenant", &self.id)?;
        if let Some(key) = &self.api_key {
            not_empty("api_key", key)?;
        }
        let is_short = |secret: &String| secret.chars().count() < MIN_HOOK_SECRET;
        if self.webhook_secret.as_ref().is_some_and(is_short) {
            return Err(MockError::Setting {
                setting: "webhook_secret",
                reason: "it is shorter than 16 characters, which a receiver would not take (K80)",
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
    /// Registers it with all its redirect URIs, or not at all.
    pub(super) fn create(self, core: &Arc<Core>) -> Result<Client, MockError> {
        not_empty("name", &self.name)?;
        for uri in &self.redirect_uris {
            check_redirect_uri(uri)?;
        }
        let mut client = NewClient::new(Arc::clone(core), &self.name);
        if let Some(id) = &self.id {
            not_empty("id", id)?;
            client = client.id(id);
        }
        if let Some(tenant) = &self.tenant {
            not_empty("tenant", tenant)?;
            client = client.tenant(tenant);
        }
        client = match (self.kind, &self.secret) {
            (ClientKind::Confidential, Some(secret)) => {
                not_empty("secret", secret)?;
                client.secret(secret)
            }
            (ClientKind::Confidential, None) => client,
            (ClientKind::Public, None) => client.public(),
            (ClientKind::Public, Some(_)) => {
                return Err(MockError::Setting {
                    setting: "secret",
                    reason: "a public client has none (K20)",
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

impl PersonSpec {
    /// One of the same slug is overwritten.
    pub(super) fn create(self, core: &Arc<Core>) -> Result<Person, MockError> {
        not_empty("slug", &self.slug)?;
        let change = PersonChange {
            name: self.name,
            email: self.email,
            email_verified: self.email_verified,
            status: self.status,
            tier: self.tier,
            aml_clear: self.aml_clear,
            expires_in_seconds: self.expires_in_seconds,
        };
        let now = core.now();
        let mut person =
            NewPerson::new(Arc::clone(core), &self.slug).with(|record| change.apply(record, now));
        for tenant in &self.only_for {
            person = person.only_for(&Tenant::ensure(Arc::clone(core), tenant));
        }
        Ok(person.create())
    }
}

impl PersonChange {
    pub(super) fn apply(self, to: &mut PersonRecord, now: Timestamp) {
        if let Some(name) = self.name {
            to.name = name;
        }
        if let Some(email) = self.email {
            to.email = email;
        }
        if let Some(verified) = self.email_verified {
            to.email_verified = verified;
        }
        if let Some(tier) = self.tier {
            to.tier = tier.into();
        }
        self.aml_clear.set(&mut to.aml_clear, |clear| clear);
        if let Some(status) = self.status {
            to.settle(status.into());
        }
        if let Some(seconds) = self.expires_in_seconds {
            to.expires = Some(now.saturating_add(Duration::from_secs(seconds)));
        }
    }
}

impl WebhookSpec {
    /// Whether its address is an HTTP or HTTPS one of another machine.
    pub(super) fn is_elsewhere(&self) -> bool {
        let url = Url::parse(&self.url).ok();
        url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && !is_loopback(&url))
    }

    /// To the tenant that it names, or to this one.
    pub(super) fn subscribe(
        self,
        core: &Arc<Core>,
        own: &str,
    ) -> Result<WebhookEndpoint, MockError> {
        let tenant = self.tenant.as_deref().unwrap_or(own);
        not_empty("tenant", tenant)?;
        let hooks = Tenant::ensure(Arc::clone(core), tenant).webhooks();
        hooks.try_subscribe(&self.url, self.types)
    }
}

fn not_empty(setting: &'static str, text: &str) -> Result<(), MockError> {
    if text.is_empty() || text.chars().count() > MAX_NAME || text.contains(char::is_control) {
        return Err(MockError::Setting {
            setting,
            reason: "it is empty, longer than 128 characters, or has control characters",
        });
    }
    Ok(())
}
