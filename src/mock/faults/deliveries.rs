//! What can go wrong with deliveries.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use serde_json::{Value, json};

use super::{Rule, held::Held};
use crate::{
    clock::Timestamp,
    mock::{
        core::rules::{Effect, Place},
        deliveries::{
            course::{Course, Pace},
            draft::{DeliveryDraft, LARGEST_BODY},
            event::rfc3339,
            form::written,
            hold::Hold,
            tamper::DeliveryTamper,
        },
        webhooks::Webhooks,
    },
};

/// What is to go wrong with the events that are sent to this tenant. Each method but
/// [`hold`](Self::hold) gives a [`Rule`], to be finished with [`once`](Rule::once),
/// [`times`](Rule::times) or [`always`](Rule::always); it counts attempts, so that a retry comes as
/// it should. Faults add up: [`flood`](Self::flood) with a
/// [`WrongSecret`](DeliveryTamper::WrongSecret) is a flood of forgeries.
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
/// The numbers of cases are those of the [threats](crate::guide::threats).
impl Webhooks {
    /// Bends it in a known way.
    pub fn tamper(&self, tamper: DeliveryTamper) -> Rule {
        self.edit(move |draft| tamper.apply(draft))
            .named(format!("webhooks.tamper({tamper:?})"))
    }

    /// Changes it in any way, just before it is signed.
    pub fn edit(&self, edit: impl Fn(&mut DeliveryDraft) + Send + Sync + 'static) -> Rule {
        self.rule("edit", Effect::EditDelivery(Box::new(edit)))
    }

    /// Changes its JSON, before it is signed.
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

    /// It says that it happened this much earlier than it did (case 129).
    pub fn stale(&self, by: Duration) -> Rule {
        self.edit_json(move |event| dated(event, |at| at.saturating_sub(by)))
            .named("webhooks.stale")
    }

    /// It says that it happened this much later than it did (case 129).
    pub fn ahead(&self, by: Duration) -> Rule {
        self.edit_json(move |event| dated(event, |at| at.saturating_add(by)))
            .named("webhooks.ahead")
    }

    /// Its body is this large, by a member that is not for anybody, and signed well (case 134).
    /// Maximum: 64 MiB.
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

    /// It is sent this much later, on the issuer's clock. What comes after it overtakes it (case
    /// 132).
    pub fn delay(&self, by: Duration) -> Rule {
        self.rule("delay", Effect::DelayDelivery(by))
    }

    /// It is never sent, and KYCPort takes it for sent.
    pub fn lose(&self) -> Rule {
        self.course("lose", |course| course.is_lost = true)
    }

    /// It is sent so many times more, one after the other (case 130). It is taken if one of them is.
    pub fn duplicate(&self, times: u32) -> Rule {
        self.course("duplicate", move |course| {
            course.copies = course.copies.saturating_add(times);
        })
    }

    /// It is sent so many times, 64 at once (cases 130, 134). It is taken if one of them is.
    pub fn flood(&self, times: u32) -> Rule {
        self.course("flood", move |course| {
            (course.copies, course.at_once) = (times.max(1), 64);
        })
    }

    /// Its body comes byte by byte, with this real time between; plain HTTP alone (case 134). It
    /// ends with the answer, and with [`webhook_timeout`](crate::mock::Switches::webhook_timeout).
    pub fn dribble(&self, every: Duration) -> Rule {
        self.pace("dribble", Pace::Dribble(every))
    }

    /// Half of its head comes and no more; after this real time it is broken off (case 134). Plain
    /// HTTP alone.
    pub fn hang_in_head(&self, time: Duration) -> Rule {
        self.pace("hang_in_head", Pace::HangInHead(time))
    }

    /// Its head and half of its body come and no more; after this real time it is broken off (case
    /// 134). Plain HTTP alone.
    pub fn hang_in_body(&self, time: Duration) -> Rule {
        self.pace("hang_in_body", Pace::HangInBody(time))
    }

    /// Holds every event from here, to be sent later and in another order (case 132).
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
    /// held.release_reversed(); // the app hears of `verified` last
    /// kyc.webhooks().settled().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn hold(&self) -> Held {
        let hold = Arc::new(Hold::default());
        let rule = self.rule("hold", Effect::HoldDelivery(Arc::clone(&hold)));
        Held::new(Arc::clone(&self.core), hold, rule.optional().always())
    }

    /// Asks whether bodies are compact. The rules are the core's: they do not keep it alive.
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

    fn course(&self, name: &str, edit: impl Fn(&mut Course) + Send + Sync + 'static) -> Rule {
        self.rule(name, Effect::EditCourse(Box::new(edit)))
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

/// Moves `created_at`, in the form that it has.
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
