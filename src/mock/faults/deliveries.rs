//! Faults of webhook deliveries.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use serde_json::{Value, json};

use super::{Rule, held::Held};
use crate::{
    clock::Timestamp,
    mock::{
        core::rules::{Effect, Place},
        deliveries::{
            draft::{DeliveryDraft, LARGEST_BODY},
            event::rfc3339,
            form::written,
            hold::Hold,
            send_plan::{Pace, SendPlan},
            tamper::DeliveryTamper,
        },
        webhooks::Webhooks,
    },
};

/// Faults of the webhook deliveries to this tenant.
///
/// Each method except [`hold`](Self::hold) returns a [`Rule`]. Install the rule with
/// [`once`](Rule::once), [`times`](Rule::times) or [`always`](Rule::always). A rule counts delivery
/// attempts. After a fault of one attempt, the mock therefore sends a correct redelivery. A test
/// can combine faults: [`flood`](Self::flood) with [`WrongSecret`](DeliveryTamper::WrongSecret)
/// sends a flood of forged deliveries.
///
/// ```
/// # use kycport::mock::{DeliveryTamper, MockIssuer};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let kyc = MockIssuer::start().await;
/// # let app = kyc.serve(|_| axum::Router::new().fallback(|| async {})).await?;
/// let ada = kyc.person("ada").create();
/// kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
/// let forged = kyc.webhooks().tamper(DeliveryTamper::AlteredByte).once();
/// ada.reject();
/// kyc.webhooks().settled().await;
/// forged.assert_hit();
/// # Ok(())
/// # }
/// ```
///
/// A case number refers to a row of the page [threats](crate::guide::threats).
impl Webhooks {
    /// Applies a named manipulation to the delivery.
    pub fn tamper(&self, tamper: DeliveryTamper) -> Rule {
        self.edit(move |draft| tamper.apply(draft))
            .named(format!("webhooks.tamper({tamper:?})"))
    }

    /// Changes the delivery before the mock signs it. `edit` can change any part of the delivery.
    pub fn edit(&self, edit: impl Fn(&mut DeliveryDraft) + Send + Sync + 'static) -> Rule {
        self.rule("edit", Effect::EditDelivery(Box::new(edit)))
    }

    /// Changes the JSON body before the mock signs the delivery.
    pub fn edit_json(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        let is_compact = self.is_compact();
        let edit = move |draft: &mut DeliveryDraft| {
            if let Ok(mut json) = serde_json::from_slice(&draft.body) {
                edit(&mut json);
                draft.body = written(&json, is_compact());
            }
        };
        self.edit(edit).named("webhooks.edit_json")
    }

    /// Sets `created_at` of the event this much earlier (case 129).
    pub fn stale(&self, by: Duration) -> Rule {
        self.edit_json(move |event| dated(event, |at| at.saturating_sub(by)))
            .named("webhooks.stale")
    }

    /// Sets `created_at` of the event this much later (case 129).
    pub fn ahead(&self, by: Duration) -> Rule {
        self.edit_json(move |event| dated(event, |at| at.saturating_add(by)))
            .named("webhooks.ahead")
    }

    /// Enlarges the body to this number of bytes with an additional member. The signature is valid
    /// (case 134). Maximum: 64 MiB.
    pub fn oversized(&self, bytes: usize) -> Rule {
        let bytes = bytes.min(LARGEST_BODY);
        let is_compact = self.is_compact();
        self.edit_json(move |event| {
            if let Some(fields) = event.as_object_mut() {
                fields.insert("padding".to_owned(), json!(""));
            }
            let fill = bytes.saturating_sub(written(event, is_compact()).len());
            if let Some(fields) = event.as_object_mut() {
                fields.insert("padding".to_owned(), json!("x".repeat(fill)));
            }
        })
        .named("webhooks.oversized")
    }

    /// Delays the delivery by this time, measured by the issuer's clock. The mock sends later
    /// deliveries first (case 132).
    pub fn delay(&self, by: Duration) -> Rule {
        self.rule("delay", Effect::DelayDelivery(by))
    }

    /// Drops the delivery. The mock does not send the delivery but records it as sent.
    pub fn lose(&self) -> Rule {
        self.course("lose", |course| course.is_lost = true)
    }

    /// Sends `times` additional copies of the delivery, one after the other (case 130). The
    /// delivery succeeds if at least one copy succeeds.
    pub fn duplicate(&self, times: u32) -> Rule {
        self.course("duplicate", move |course| {
            course.copies = course.copies.saturating_add(times);
        })
    }

    /// Sends `times` copies of the delivery, up to 64 in parallel (cases 130, 134). The delivery
    /// succeeds if at least one copy succeeds.
    pub fn flood(&self, times: u32) -> Rule {
        self.course("flood", move |course| {
            (course.copies, course.concurrency) = (times.max(1), 64);
        })
    }

    /// Sends the body byte by byte, with this pause of real time between two bytes (case 134). This
    /// fault works only with plain HTTP. The mock stops sending when the response arrives, or after
    /// [`webhook_timeout`](crate::mock::Switches::webhook_timeout).
    pub fn dribble(&self, every: Duration) -> Rule {
        self.pace("dribble", Pace::Dribble(every))
    }

    /// Sends half of the headers, waits for this real time, and closes the connection (case 134).
    /// This fault works only with plain HTTP.
    pub fn hang_in_head(&self, time: Duration) -> Rule {
        self.pace("hang_in_head", Pace::HangInHead(time))
    }

    /// Sends the headers and half of the body, waits for this real time, and closes the connection
    /// (case 134). This fault works only with plain HTTP.
    pub fn hang_in_body(&self, time: Duration) -> Rule {
        self.pace("hang_in_body", Pace::HangInBody(time))
    }

    /// Holds all later deliveries. The test can then release these deliveries in any order (case
    /// 132).
    ///
    /// ```
    /// # use kycport::{KycTier, mock::MockIssuer};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let kyc = MockIssuer::start().await;
    /// # let app = kyc.serve(|_| axum::Router::new().fallback(|| async {})).await?;
    /// # let ada = kyc.person("ada").create();
    /// # kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
    /// let held = kyc.webhooks().hold();
    /// ada.verify(KycTier::T3);
    /// ada.reject();
    /// held.wait_for(2).await;
    /// held.release_reversed(); // the app receives `verified` last
    /// kyc.webhooks().settled().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn hold(&self) -> Held {
        let hold = Arc::new(Hold::default());
        let rule = self.rule("hold", Effect::HoldDelivery(Arc::clone(&hold)));
        Held::new(Arc::clone(&self.core), hold, rule.optional().always())
    }

    /// Returns a function that reads whether the mock writes compact JSON. The function has a weak
    /// reference to the core, because the core owns the rules.
    fn is_compact(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let core = Arc::downgrade(&self.core);
        move || {
            let switches = core.upgrade().map(|core| core.switches());
            switches.is_some_and(|it| it.webhook_compact_json)
        }
    }

    fn pace(&self, name: &str, pace: Pace) -> Rule {
        self.course(name, move |course| course.pace = pace)
    }

    fn course(&self, name: &str, edit: impl Fn(&mut SendPlan) + Send + Sync + 'static) -> Rule {
        self.rule(name, Effect::EditSendPlan(Box::new(edit)))
    }

    fn rule(&self, name: &str, effect: Effect) -> Rule {
        let place = Place::Delivery(self.tenant.clone());
        Rule::new(
            Arc::clone(&self.core),
            format!("webhooks.{name}"),
            place,
            effect,
        )
    }
}

/// Changes `created_at` and keeps its format.
fn dated(event: &mut Value, other: impl Fn(Timestamp) -> Timestamp) {
    match event.get_mut("created_at") {
        Some(Value::Number(seconds)) => {
            let at = Timestamp::from_unix(seconds.as_i64().unwrap_or_default());
            *seconds = other(at).as_unix().into();
        }
        Some(Value::String(text)) => {
            let at = DateTime::parse_from_rfc3339(text).unwrap_or_default();
            let at = Timestamp::from_unix_millis(at.timestamp_millis());
            *text = rfc3339(other(at));
        }
        _ => {}
    }
}
