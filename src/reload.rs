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

/// Maximum duration of one call of the secret provider.
const PROVIDER_DEADLINE: Duration = Duration::from_secs(30);

/// Outcome of a reload for each secret. The report contains no secrets.
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
    /// Returns `false` if the client secret or the tenant key is pending. If the method returns
    /// `true`, a further reload would activate no secret.
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
    /// The provider did not return this secret, so the current secret stays in use.
    NotProvided,
    /// The secret was already in use.
    Unchanged,
    /// The secret is new and in use now, because KYCPort accepted it.
    Activated,
    /// The new secret is not confirmed yet, and the old secret stays in use. The [`PendingReason`]
    /// says why.
    Pending(PendingReason),
}

/// Reason why a new secret is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingReason {
    /// KYCPort rejected the secret, possibly because KYCPort does not know the secret yet. A reload
    /// checks the secret again after one minute. The pause between checks doubles with each
    /// rejection, up to one hour. During the pause, a reload returns `Rejected` without a check.
    Rejected,
    /// KYCPort was unreachable or overloaded.
    Unreachable,
    /// KYCPort's response does not depend on the secret. The first live request with the secret
    /// will show whether the secret is valid.
    Unclear,
    /// No delivery was signed with the secret yet. The receiver accepts both the new and the old
    /// secret.
    NoDelivery,
    /// The secret was [removed](crate::RelyingParty::remove_previous_webhook_secrets), so the
    /// receiver does not accept it.
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

/// Error for a failed reload. A failed reload does not change the secrets in use.
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
    // Acquire the lock before the call of the provider. Otherwise an older result could replace a
    // newer result.
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
        // Do not log the rejection here, because another function has already logged it.
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
