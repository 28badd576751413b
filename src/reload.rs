//! Taking up new secrets: asked for, tried, and only then in use.

use std::time::Duration;

use crate::{
    api::Api,
    clock::Clock,
    observe,
    oidc::OidcClient,
    secret::Secret,
    secrets::{
        LiveSecrets, Offer, SecretFlaw, SecretKind, SecretProvider, Secrets, SecretsUnavailable,
        Slot, Trial, WebhookOffer,
    },
};

/// So long a provider may take.
const PROVIDER_DEADLINE: Duration = Duration::from_secs(30);

/// What a reload came to, for each secret. Nothing of any is in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationReport {
    /// `KYCPORT_CLIENT_SECRET`.
    pub client_secret: RotationOutcome,
    /// `KYCPORT_TENANT_API_KEY`.
    pub tenant_api_key: RotationOutcome,
    /// `KYCPORT_WEBHOOK_SECRET`.
    pub webhook_secret: RotationOutcome,
}

impl RotationReport {
    /// Whether nothing waits that a further reload could prove.
    pub fn is_settled(&self) -> bool {
        let sent = [self.client_secret, self.tenant_api_key];
        !sent
            .iter()
            .any(|it| matches!(it, RotationOutcome::Pending(_)))
    }
}

/// What became of one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationOutcome {
    /// The provider does not name it: what was in use still is.
    NotProvided,
    /// It is in use already.
    Unchanged,
    /// It is new, KYCPort accepts it, and it is in use.
    Activated,
    /// It is new, and the old one serves on.
    Pending(PendingReason),
}

/// Why a new secret is not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingReason {
    /// KYCPort refuses it. It may not know it yet. A reload tries it again after a minute, and then
    /// after twice as long each time, up to an hour; until then this is what it said last.
    Rejected,
    /// KYCPort could not be asked, or said that it has no time.
    Unreachable,
    /// KYCPort's answer does not tell a good secret from a bad one. Live use will.
    Unclear,
    /// No delivery was signed with it yet. It is believed, beside the old one.
    NoDelivery,
    /// It is one that was [forgotten](crate::RelyingParty::remove_previous_webhook_secrets), and is not
    /// believed.
    Forgotten,
}

impl PendingReason {
    fn reason(self) -> &'static str {
        match self {
            Self::Rejected => "refused",
            Self::Unreachable => "unreachable",
            Self::Unclear => "unclear",
            Self::NoDelivery => "no_delivery",
            Self::Forgotten => "forgotten",
        }
    }
}

/// Why nothing was reloaded. What was in use still is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The configuration has no provider.
    #[error("there is no provider of secrets: give one with `ConfigBuilder::secrets`")]
    NoProvider,
    /// The provider could not say what the secrets are.
    #[error(transparent)]
    Provider(#[from] SecretsUnavailable),
    /// What the provider gave cannot be a secret.
    #[error("{kind}: {flaw}")]
    Flaw {
        /// Which secret.
        kind: SecretKind,
        /// What is wrong with it.
        flaw: SecretFlaw,
    },
}

pub(crate) async fn reload(
    provider: &dyn SecretProvider,
    live: &LiveSecrets,
    oidc: &OidcClient,
    api: &Api,
    clock: &dyn Clock,
) -> Result<RotationReport, RotationError> {
    // The provider is asked within the turn: what was read first is never taken up last.
    let _turn = live.turn().await;
    let secrets = ask(provider)
        .await
        .inspect_err(observe::secrets_not_reloaded)?;
    let webhook_secret = take_up_webhook(live, &secrets, clock);
    let (client_secret, tenant_api_key) = tokio::join!(
        take_up(
            &live.client,
            secrets.client_secret.as_ref(),
            clock,
            |secret| oidc.try_secret(secret)
        ),
        take_up(
            &live.tenant_key,
            secrets.tenant_api_key.as_ref(),
            clock,
            |key| api.try_key(key)
        ),
    );
    Ok(RotationReport {
        client_secret,
        tenant_api_key,
        webhook_secret,
    })
}

async fn ask(provider: &dyn SecretProvider) -> Result<Secrets, RotationError> {
    let secrets = tokio::time::timeout(PROVIDER_DEADLINE, provider.secrets()).await;
    let secrets = secrets.map_err(|_| SecretsUnavailable::Late)??;
    match secrets.flaw() {
        Some((kind, flaw)) => Err(RotationError::Flaw { kind, flaw }),
        None => Ok(secrets),
    }
}

async fn take_up<'a, F>(
    slot: &Slot,
    secret: Option<&'a Secret>,
    clock: &dyn Clock,
    attempt: impl Fn(&'a Secret) -> F,
) -> RotationOutcome
where
    F: Future<Output = Trial>,
{
    let Some(secret) = secret else {
        return RotationOutcome::NotProvided;
    };
    let trial = match slot.offer(secret, clock.monotonic()) {
        Offer::Unchanged => return RotationOutcome::Unchanged,
        Offer::Candidate => attempt(secret).await,
        // That was said when it was refused.
        Offer::Rests => return RotationOutcome::Pending(PendingReason::Rejected),
    };
    let why = match trial {
        Trial::Accepted => {
            slot.accepted(secret);
            return RotationOutcome::Activated;
        }
        Trial::Rejected => {
            slot.refused(secret, clock.monotonic());
            PendingReason::Rejected
        }
        Trial::Unreachable => PendingReason::Unreachable,
        Trial::Unclear => PendingReason::Unclear,
    };
    observe::secret_waits(slot.kind().variable(), why.reason());
    RotationOutcome::Pending(why)
}

fn take_up_webhook(live: &LiveSecrets, secrets: &Secrets, clock: &dyn Clock) -> RotationOutcome {
    let Some(newest) = &secrets.webhook_secret else {
        return RotationOutcome::NotProvided;
    };
    let previous = secrets.previous_webhook_secret.as_ref();
    let why = match live.webhook.offer(newest, previous, clock.now()) {
        WebhookOffer::Unchanged => return RotationOutcome::Unchanged,
        WebhookOffer::Added => {
            observe::webhook_secret_added(SecretKind::WebhookSecret.variable());
            PendingReason::NoDelivery
        }
        WebhookOffer::AwaitsProof => PendingReason::NoDelivery,
        WebhookOffer::Forgotten => {
            let why = PendingReason::Forgotten;
            observe::secret_waits(SecretKind::WebhookSecret.variable(), why.reason());
            why
        }
    };
    RotationOutcome::Pending(why)
}
