//! Delivers what is due, for as long as the issuer runs (K84).

use std::{future::pending, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{
    breakage::wait,
    core::Core,
    switches::Switches,
    transition,
    webhook::{
        delivery::{Delivery, DeliveryOutcome},
        draft::DeliveryDraft,
        event::Manner,
        outbox::Job,
        sender::{Answered, Sender},
    },
};
use crate::clock::Timestamp;

/// Never ends. When it is dropped, what was under way waits to be sent again.
pub(super) async fn run(core: Arc<Core>) {
    let sender = Sender::default();
    let mut news = core.outbox().news();
    let mut moves = core.clock.moves();
    let mut under_way = FuturesUnordered::new();
    loop {
        news.mark_unchanged();
        transition::look_for_expiries(&core);
        while let Some(taken) = Taken::next(&core) {
            under_way.push(deliver(&core, &sender, taken));
        }
        tokio::select! {
            // The sender lives as long as the core.
            _ = news.changed() => {}
            () = moves.next() => {}
            Some(()) = under_way.next() => {}
            () = until(&core, next(&core)) => {}
        }
    }
}

/// The next moment at which there is something to do.
fn next(core: &Core) -> Option<Timestamp> {
    let now = core.now();
    let expiry = core.persons().next_expiry(now);
    let due = core.outbox().next_due(now);
    expiry.into_iter().chain(due).min()
}

async fn until(core: &Core, moment: Option<Timestamp>) {
    match moment.and_then(|moment| core.clock.real_time_until(moment)) {
        Some(time) => wait(time).await,
        None => pending().await,
    }
}

/// A job that is under way. Unless it is finished, it waits again as soon as this is dropped.
struct Taken<'a> {
    core: &'a Core,
    job: Job,
}

impl<'a> Taken<'a> {
    fn next(core: &'a Core) -> Option<Self> {
        let now = core.now();
        let job = core.outbox().take(now)?;
        Some(Self { core, job })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.core.outbox().give_back(self.job.number);
    }
}

async fn deliver(core: &Core, sender: &Sender, taken: Taken<'_>) {
    let job = &taken.job;
    let switches = core.switches();
    let Some(secrets) = core.tenants().secrets(&job.endpoint.tenant) else {
        core.outbox().finish(job.number, None);
        return;
    };
    let outgoing = DeliveryDraft::new(&job.event).finish(&secrets, &switches);
    let at = core.now();
    let timeout = switches.webhook_timeout;
    let answered = sender.send(&job.endpoint.url, outgoing, timeout).await;
    let again = again(job, &answered, core.now(), &switches);
    let mut outbox = core.outbox();
    outbox.note(Delivery::new(job, at, answered.outcome));
    outbox.finish(job.number, again);
}

/// When it is sent again, if it is (K84, K85).
fn again(job: &Job, answered: &Answered, now: Timestamp, switches: &Switches) -> Option<Timestamp> {
    if answered.outcome.is_well() || matches!(job.event.manner, Manner::ByHand { .. }) {
        return None;
    }
    let failed = usize::try_from(job.attempt).ok()?.checked_sub(1)?;
    let pause = switches.webhook_retries.get(failed)?;
    let asked = match answered.outcome {
        DeliveryOutcome::Answered(409 | 429 | 503) => answered.retry_after,
        _ => None,
    };
    let asked = asked.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    Some(now.saturating_add(asked.max(*pause)))
}

/// An endpoint that asks for more is not obeyed (K85).
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
