//! Rotation of secrets: fetch, check, activate.

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

/// Maximum duration of a call of the provider.
const PROVIDER_DEADLINE: Duration = Duration::from_secs(30);

/// Outcome of a reload, per secret. It contains no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationReport {
    /// Outcome for `KYCPORT_CLIENT_SECRET`.
    pub client_secret: RotationOutcome,
    /// Outcome for `KYCPORT_TENANT_API_KEY`.
    pub tenant_api_key: RotationOutcome,
    /// Outcome for `KYCPORT_WEBHOOK_SECRET`.
    pub webhook_secret: RotationOutcome,
}

impl RotationReport {
    /// Returns whether no client secret or tenant key is pending. A further reload cannot activate
    /// more.
    pub fn is_settled(&self) -> bool {
        let sent = [self.client_secret, self.tenant_api_key];
        !sent
            .iter()
            .any(|it| matches!(it, RotationOutcome::Pending(_)))
    }
}

/// Outcome of a reload for one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationOutcome {
    /// The provider did not return this secret. The secret in use stays in use.
    NotProvided,
    /// The secret is in use already.
    Unchanged,
    /// The secret is new, and KYCPort accepted it. It is in use now.
    Activated,
    /// The secret is new, and the old secret stays in use.
    Pending(PendingReason),
}

/// Reason why a new secret is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingReason {
    /// KYCPort rejected the secret. It may not know the secret yet. A reload checks the secret
    /// again after one minute, doubling up to one hour. In the meantime, a reload returns this
    /// reason without a check.
    Rejected,
    /// KYCPort could not be reached, or was overloaded.
    Unreachable,
    /// KYCPort's response does not depend on the secret. The first live request with the secret
    /// will show whether it is valid.
    Unclear,
    /// No delivery was signed with the secret yet. Both the new and the old secret are accepted.
    NoDelivery,
    /// The secret was [removed](crate::RelyingParty::remove_previous_webhook_secrets), and is not
    /// accepted.
    Removed,
}

impl PendingReason {
    fn reason(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::Unclear => "unclear",
            Self::NoDelivery => "no_delivery",
            Self::Removed => "removed",
        }
    }
}

/// Error for a failed reload. The secrets in use did not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The configuration has no provider.
    #[error("no secret provider is configured; set one with `ConfigBuilder::secrets`")]
    NoProvider,
    /// The provider could not return the secrets.
    #[error(transparent)]
    Provider(#[from] SecretsUnavailable),
    /// A secret that the provider returned is invalid.
    #[error("{kind} {problem}")]
    InvalidSecret {
        /// Kind of the secret.
        kind: SecretKind,
        /// Reason why the secret is invalid.
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
    // The lock is taken first, so that an older result of the provider never replaces a newer one.
    let _rotation = live.lock_rotation().await;
    let secrets = fetch_secrets(provider)
        .await
        .inspect_err(observe::secret_reload_failed)?;
    let webhook_secret = rotate_webhook_secret(live, &secrets, clock);
    let (client_secret, tenant_api_key) = tokio::join!(
        rotate(
            &live.client,
            secrets.client_secret.as_ref(),
            clock,
            |secret| oidc.check_secret(secret)
        ),
        rotate(
            &live.tenant_key,
            secrets.tenant_api_key.as_ref(),
            clock,
            |key| api.check_key(key)
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
    check: impl Fn(&'a Secret) -> F,
) -> RotationOutcome
where
    F: Future<Output = CandidateCheck>,
{
    let Some(secret) = secret else {
        return RotationOutcome::NotProvided;
    };
    let check = match rotating.offer(secret, clock.monotonic()) {
        Candidacy::Unchanged => return RotationOutcome::Unchanged,
        Candidacy::Candidate => check(secret).await,
        // The rejection was logged when it happened.
        Candidacy::BackingOff => return RotationOutcome::Pending(PendingReason::Rejected),
    };
    let reason = match check {
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
    observe::secret_pending(rotating.kind().variable(), reason.reason());
    RotationOutcome::Pending(reason)
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
    let reason = match live.webhook.offer(newest, previous, clock.now()) {
        WebhookCandidacy::Unchanged => return RotationOutcome::Unchanged,
        WebhookCandidacy::Added => {
            observe::webhook_secret_added(SecretKind::WebhookSecret.variable());
            PendingReason::NoDelivery
        }
        WebhookCandidacy::AwaitingDelivery => PendingReason::NoDelivery,
        WebhookCandidacy::Removed => {
            let reason = PendingReason::Removed;
            observe::secret_pending(SecretKind::WebhookSecret.variable(), reason.reason());
            reason
        }
    };
    RotationOutcome::Pending(reason)
}
