//! The handle to a tenant's deliveries.

pub(super) mod by_hand;
pub(super) mod endpoint;

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

/// What is delivered to one tenant.
///
/// Events come of what happens to persons, and of nothing else: whoever stands elsewhere than
/// before, by [`Person::reject`](super::Person::reject) and its like, on the verification page, by a
/// case, or because a verification ends, is an event for every tenant that sees them (K86).
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
/// Each endpoint gets one delivery after the other, in the order of the events. One that fails does
/// not hold up the next, and comes again on the issuer's clock (K84): move it, and what is due is
/// sent.
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

    /// The secret that deliveries are signed with, of all the tenant's endpoints, fresh at every
    /// start; with [`webhook_standard_signature`](super::Switches::webhook_standard_signature) in the
    /// spelling of Standard Webhooks.
    pub fn secret(&self) -> String {
        let switches = self.core.switches();
        let secrets = self.core.tenants().secrets(&self.tenant);
        secrets.map(|it| it.told(&switches)).unwrap_or_default()
    }

    /// Replaces the secret, and gives the new one. What is sent from here is signed with it, events
    /// of before too; with the old one besides if [so
    /// switched](super::Switches::webhook_signatures) (K80).
    pub fn rotate_secret(&self) -> String {
        let mut tenants = self.core.tenants();
        tenants.change(&self.tenant, |tenant| tenant.webhook_secrets.rotate());
        drop(tenants);
        self.secret()
    }

    /// Delivers every event from here to this address, HTTP or HTTPS.
    ///
    /// # Panics
    /// If it is no such address.
    #[track_caller]
    pub fn subscribe(&self, url: impl AsRef<str>) -> WebhookEndpoint {
        self.subscribe_as(url.as_ref(), None)
    }

    /// Delivers the events of these types from here to this address.
    ///
    /// # Panics
    /// If it is no HTTP or HTTPS address.
    #[track_caller]
    pub fn subscribe_to(&self, types: &[&str], url: impl AsRef<str>) -> WebhookEndpoint {
        let types = types.iter().map(|it| (*it).to_owned()).collect();
        self.subscribe_as(url.as_ref(), Some(types))
    }

    /// An event of any type, such as one that comes later (K63): signed, and sent again until it is
    /// answered well. Gives its id.
    pub fn emit(&self, event_type: &str, data: Value) -> String {
        let switches = self.core.switches();
        let event = Event::other(event_type, data, self.core.now(), &switches);
        let id = event.id.clone();
        self.put(event);
        id
    }

    /// Waits until nothing is under way and nothing is due. What is due later is not waited for: move
    /// the [clock](super::MockIssuer::clock), and wait again. Nor is what is held or paused.
    ///
    /// # Panics
    /// If that takes more than 30 seconds of real time, with what is under way.
    pub async fn settled(&self) {
        self.settled_within(WAIT_LIMIT).await;
    }

    /// What was sent and how it was answered: of the last 10,000 to all tenants together.
    pub fn deliveries(&self) -> Deliveries {
        self.core.outbox().deliveries(&self.tenant)
    }

    /// Empties the list of [deliveries](Self::deliveries).
    pub fn forget_deliveries(&self) {
        self.core.outbox().forget_deliveries(&self.tenant);
    }

    /// The event of this delivery once more, to the same tenant's endpoints, as it was then: an old
    /// one that comes late (K62).
    pub fn repeat(&self, delivery: &Delivery) {
        self.core
            .outbox()
            .put(delivery.event(), |tenant| tenant == self.tenant);
    }

    /// How many deliveries wait, be they due or not.
    pub fn pending(&self) -> usize {
        self.core.outbox().waiting(&self.tenant).count()
    }

    /// When the next is due that is not yet, by the issuer's clock.
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        let (now, outbox) = (self.core.now(), self.core.outbox());
        let dues = outbox.waiting(&self.tenant).filter_map(|job| job.due);
        dues.filter(|due| *due > now).min()
    }

    pub(super) fn put(&self, event: Event) {
        self.core
            .outbox()
            .put(&Arc::new(event), |tenant| tenant == self.tenant);
    }

    #[expect(clippy::panic, reason = "a test with a wrong address can only fail")]
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
        // What happened before is not for it.
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

    /// What is left when the time is over, a line each.
    pub(super) async fn try_settled(&self, patience: Duration) -> Result<(), Vec<String>> {
        let mut news = self.core.outbox().news();
        let limit_elapsed = elapsed(patience);
        tokio::pin!(limit_elapsed);
        loop {
            news.mark_unchanged();
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
                // The sender lives as long as the core.
                _ = news.changed() => true,
                () = &mut limit_elapsed => false,
            };
            if !in_time {
                return Err(self.unsettled());
            }
        }
    }

    /// A line for each.
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

#[expect(clippy::panic, reason = "a test that waited in vain can only fail")]
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
    async fn it_does_not_wait_for_ever() {
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
