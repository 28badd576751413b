//! Taking up new secrets: asked for, tried, and only then in use.

use std::time::Duration;

use crate::{
    api::Api,
    clock::Clock,
    observe,
    oidc::OidcClient,
    secret::Secret,
    secrets::{
        Candidacy, CandidateCheck, InvalidSecret, LiveSecrets, RotatingSecret, SecretKind,
        SecretProvider, Secrets, SecretsUnavailable, WebhookCandidacy,
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
    #[error("{kind} {problem}")]
    InvalidSecret {
        /// Which secret.
        kind: SecretKind,
        /// What is wrong with it.
        problem: InvalidSecret,
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
    let secrets = fetch_secrets(provider)
        .await
        .inspect_err(observe::secrets_not_reloaded)?;
    let webhook_secret = rotate_webhook_secret(live, &secrets, clock);
    let (client_secret, tenant_api_key) = tokio::join!(
        rotate(
            &live.client,
            secrets.client_secret.as_ref(),
            clock,
            |secret| oidc.try_secret(secret)
        ),
        rotate(
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

async fn fetch_secrets(provider: &dyn SecretProvider) -> Result<Secrets, RotationError> {
    let secrets = tokio::time::timeout(PROVIDER_DEADLINE, provider.secrets()).await;
    let secrets = secrets.map_err(|_| SecretsUnavailable::Late)??;
    match secrets.first_invalid() {
        Some((kind, problem)) => Err(RotationError::InvalidSecret { kind, problem }),
        None => Ok(secrets),
    }
}

async fn rotate<'a, F>(
    rotating: &RotatingSecret,
    secret: Option<&'a Secret>,
    clock: &dyn Clock,
    check_secret: impl Fn(&'a Secret) -> F,
) -> RotationOutcome
where
    F: Future<Output = CandidateCheck>,
{
    let Some(secret) = secret else {
        return RotationOutcome::NotProvided;
    };
    let check = match rotating.offer(secret, clock.monotonic()) {
        Candidacy::Unchanged => return RotationOutcome::Unchanged,
        Candidacy::Candidate => check_secret(secret).await,
        // That was said when it was refused.
        Candidacy::BackingOff => return RotationOutcome::Pending(PendingReason::Rejected),
    };
    let why = match check {
        CandidateCheck::Accepted => {
            rotating.mark_accepted(secret);
            return RotationOutcome::Activated;
        }
        CandidateCheck::Rejected => {
            rotating.mark_rejected(secret, clock.monotonic());
            PendingReason::Rejected
        }
        CandidateCheck::Unreachable => PendingReason::Unreachable,
        CandidateCheck::Unclear => PendingReason::Unclear,
    };
    observe::secret_waits(rotating.kind().variable(), why.reason());
    RotationOutcome::Pending(why)
}

fn rotate_webhook_secret(
    live: &LiveSecrets,
    secrets: &Secrets,
    clock: &dyn Clock,
) -> RotationOutcome {
    let Some(newest) = &secrets.webhook_secret else {
        return RotationOutcome::NotProvided;
    };
    let previous = secrets.previous_webhook_secret.as_ref();
    let why = match live.webhook.offer(newest, previous, clock.now()) {
        WebhookCandidacy::Unchanged => return RotationOutcome::Unchanged,
        WebhookCandidacy::Added => {
            observe::webhook_secret_added(SecretKind::WebhookSecret.variable());
            PendingReason::NoDelivery
        }
        WebhookCandidacy::AwaitingDelivery => PendingReason::NoDelivery,
        WebhookCandidacy::Removed => {
            let why = PendingReason::Forgotten;
            observe::secret_waits(SecretKind::WebhookSecret.variable(), why.reason());
            why
        }
    };
    RotationOutcome::Pending(why)
}
