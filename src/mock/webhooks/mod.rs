//! Handle to a tenant's webhooks.

pub(super) mod endpoint;
pub(super) mod manual;

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use crate::{
    clock::Timestamp,
    mock::{
        core::{Core, transition},
        deliveries::{
            delivery::{Deliveries, Delivery},
            event::Event,
        },
        error::MockError,
        uri,
        waits::limit::{WAIT_LIMIT, elapsed},
    },
};
use endpoint::WebhookEndpoint;

/// Handle to a tenant's webhook endpoints and deliveries.
///
/// A change of a person's status, tier or AML result is an event for every tenant that sees the
/// person (K86). Four things cause a change: methods such as
/// [`Person::reject`](super::Person::reject), the verification page, the decision of a case, and
/// the expiry of a verification.
///
/// ```
/// # use kycport::mock::MockIssuer;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let kyc = MockIssuer::start().await;
/// # let app = kyc.serve(|_| axum::Router::new().fallback(|| async {})).await?;
/// let ada = kyc.person("ada").create();
/// kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
/// ada.reject();
/// kyc.webhooks().settled().await;
/// kyc.webhooks().deliveries().assert_delivered().assert_count(1);
/// # Ok(())
/// # }
/// ```
///
/// The mock sends one delivery at a time to each endpoint, in the order of the events. A failed
/// delivery does not block the next delivery. The mock retries a failed delivery by the issuer's
/// clock (K84). A test advances this clock to trigger the retry.
#[derive(Clone)]
pub struct Webhooks {
    pub(super) core: Arc<Core>,
    pub(super) tenant: String,
}

impl Webhooks {
    pub(super) fn new(core: Arc<Core>, tenant: &str) -> Self {
        Self {
            core,
            tenant: tenant.to_owned(),
        }
    }

    /// Returns the secret that signs deliveries to all the tenant's endpoints. The mock generates a
    /// new secret at every start. With
    /// [`webhook_standard_signature`](super::Switches::webhook_standard_signature), the secret has
    /// the format of Standard Webhooks.
    pub fn secret(&self) -> String {
        let switches = self.core.switches();
        let secrets = self.core.tenants().secrets(&self.tenant);
        secrets
            .map(|it| it.for_tenant(&switches))
            .unwrap_or_default()
    }

    /// Rotates the webhook secret and returns the new secret. The new secret signs all later
    /// deliveries, including retries of earlier events.
    /// [`webhook_signatures`](super::Switches::webhook_signatures) can add a signature with the old
    /// secret (K80).
    pub fn rotate_secret(&self) -> String {
        let mut tenants = self.core.tenants();
        tenants.change(&self.tenant, |tenant| tenant.webhook_secrets.rotate());
        drop(tenants);
        self.secret()
    }

    /// Subscribes an endpoint to all later events.
    ///
    /// # Panics
    /// Panics if `url` is not an HTTP or HTTPS URL.
    #[track_caller]
    pub fn subscribe(&self, url: impl AsRef<str>) -> WebhookEndpoint {
        self.subscribe_as(url.as_ref(), None)
    }

    /// Subscribes an endpoint to all later events of these types.
    ///
    /// # Panics
    /// Panics if `url` is not an HTTP or HTTPS URL.
    #[track_caller]
    pub fn subscribe_to(&self, types: &[&str], url: impl AsRef<str>) -> WebhookEndpoint {
        let types = types.iter().map(|it| (*it).to_owned()).collect();
        self.subscribe_as(url.as_ref(), Some(types))
    }

    /// Emits a signed event of any type, such as a type that KYCPort adds later (K63). The mock
    /// retries the delivery until an attempt succeeds. Returns the event ID.
    pub fn emit(&self, event_type: &str, data: Value) -> String {
        let switches = self.core.switches();
        let event = Event::other(event_type, data, self.core.now(), &switches);
        let id = event.id.clone();
        self.put(event);
        id
    }

    /// Waits until no delivery is in progress or due. `settled` does not wait for later retries,
    /// held deliveries or paused endpoints. To wait for a retry, advance the
    /// [clock](super::MockIssuer::clock) and call this method again.
    ///
    /// # Panics
    /// Panics if a delivery is still in progress or due after 30 seconds of real time. The message
    /// lists the remaining deliveries.
    pub async fn settled(&self) {
        self.settled_within(WAIT_LIMIT).await;
    }

    /// Returns the delivery attempts to this tenant. The mock keeps the last 10,000 attempts to all
    /// tenants.
    pub fn deliveries(&self) -> Deliveries {
        self.core.outbox().deliveries(&self.tenant)
    }

    /// Clears the tenant's [deliveries](Self::deliveries).
    pub fn forget_deliveries(&self) {
        self.core.outbox().forget_deliveries(&self.tenant);
    }

    /// Delivers the event of this delivery again, unchanged, to the tenant's endpoints. The
    /// repeated delivery simulates an old event that arrives late (K62).
    pub fn repeat(&self, delivery: &Delivery) {
        self.core
            .outbox()
            .queue(delivery.event(), |tenant| tenant == self.tenant);
    }

    /// Returns the number of queued deliveries, including deliveries that are not due yet.
    pub fn pending(&self) -> usize {
        self.core.outbox().waiting(&self.tenant).count()
    }

    /// Returns the time at which the next queued delivery becomes due, by the issuer's clock.
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        let (now, outbox) = (self.core.now(), self.core.outbox());
        let dues = outbox.waiting(&self.tenant).filter_map(|job| job.due);
        dues.filter(|due| *due > now).min()
    }

    pub(super) fn put(&self, event: Event) {
        self.core
            .outbox()
            .queue(&Arc::new(event), |tenant| tenant == self.tenant);
    }

    #[expect(clippy::panic, reason = "a test cannot continue with an invalid URL")]
    #[track_caller]
    fn subscribe_as(&self, url: &str, types: Option<Vec<String>>) -> WebhookEndpoint {
        match self.try_subscribe(url, types) {
            Ok(endpoint) => endpoint,
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) fn try_subscribe(
        &self,
        url: &str,
        types: Option<Vec<String>>,
    ) -> Result<WebhookEndpoint, MockError> {
        let url = uri::parse(url).ok_or_else(|| MockError::WebhookAddress(url.to_owned()))?;
        // Queue the events of earlier expiries first, because the new endpoint must not receive
        // them.
        transition::look_for_expiries(&self.core);
        let id = self
            .core
            .outbox()
            .subscribe(&self.tenant, url.clone(), types);
        Ok(WebhookEndpoint::new(Arc::clone(&self.core), id, url))
    }

    async fn settled_within(&self, patience: Duration) {
        if let Err(left) = self.try_settled(patience).await {
            let left = left.join("\n  ");
            unsettled(patience, &left);
        }
    }

    /// Waits as [`settled`](Self::settled) does. After the time limit, returns one line for each
    /// remaining delivery.
    pub(super) async fn try_settled(&self, patience: Duration) -> Result<(), Vec<String>> {
        let mut changes = self.core.outbox().changes();
        let limit_elapsed = elapsed(patience);
        tokio::pin!(limit_elapsed);
        loop {
            changes.mark_unchanged();
            transition::look_for_expiries(&self.core);
            let now = self.core.now();
            let is_settled = {
                let outbox = self.core.outbox();
                outbox.unsettled(&self.tenant, now).next().is_none()
            };
            if is_settled {
                return Ok(());
            }
            let in_time = tokio::select! {
                biased;
                // The core keeps the sender, so the channel does not close.
                _ = changes.changed() => true,
                () = &mut limit_elapsed => false,
            };
            if !in_time {
                return Err(self.unsettled());
            }
        }
    }

    /// Returns one line for each delivery that is in progress or due.
    fn unsettled(&self) -> Vec<String> {
        let (now, outbox) = (self.core.now(), self.core.outbox());
        let lines = outbox.unsettled(&self.tenant, now).map(|(job, how)| {
            let (event, url) = (&job.event, job.endpoint.url.path());
            let (kind, id, attempt) = (&event.kind, &event.id, job.attempt);
            format!("{kind} {id} to {url}, attempt {attempt}: {how}")
        });
        lines.collect()
    }
}

#[expect(clippy::panic, reason = "a test cannot continue after the time limit")]
fn unsettled(patience: Duration, left: &str) -> ! {
    panic!("the deliveries did not settle in {patience:?}:\n  {left}")
}

impl Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Webhooks").field(&self.tenant).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, time::Duration};

    use futures_util::FutureExt as _;

    use crate::mock::MockIssuer;

    #[tokio::test]
    async fn waiting_for_deliveries_has_a_time_limit() {
        let kyc = MockIssuer::start().await;
        let hooks = kyc.webhooks();
        hooks.subscribe("http://127.0.0.1:9/hooks");
        kyc.stop().unwrap();
        kyc.person("ada").create().reject();
        let waiting = hooks.settled_within(Duration::from_millis(20));
        let panic = AssertUnwindSafe(waiting).catch_unwind().await;
        let message = panic.err().and_then(|it| it.downcast::<String>().ok());
        let message = message.unwrap();
        assert!(
            message.starts_with("the deliveries did not settle in 20ms:"),
            "{message}"
        );
        assert!(message.contains("kyc.status_changed evt_"), "{message}");
        assert!(message.ends_with("to /hooks, attempt 1: due"), "{message}");
    }
}
