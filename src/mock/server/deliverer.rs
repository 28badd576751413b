//! Task that sends due deliveries while the issuer runs (K84).

use std::{future::pending, panic::AssertUnwindSafe, sync::Arc, thread, time::Duration};

use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{self, FuturesUnordered},
};

use crate::{
    clock::Timestamp,
    mock::{
        core::{
            Core,
            rules::{Effect, Hook},
            transition,
        },
        deliveries::{
            delivery::{Delivery, DeliveryOutcome},
            draft::DeliveryDraft,
            event::SendMode,
            job::Job,
            send_plan::SendPlan,
            sender::{Answered, Sender},
        },
        switches::Switches,
        waits::pause::wait,
    },
};

/// Sends due deliveries and never returns. If the caller drops this future, deliveries in progress
/// return to the queue.
pub(in crate::mock) async fn run(core: Arc<Core>) {
    let sender = Sender::default();
    let mut changes = core.outbox().changes();
    let mut moves = core.clock.moves();
    let mut under_way = FuturesUnordered::new();
    loop {
        changes.mark_unchanged();
        transition::look_for_expiries(&core);
        while let Some(taken) = TakenJob::next(&core) {
            let delivery = deliver(&core, &sender, taken);
            // A closure of a test may panic. The mock must still send the other deliveries.
            under_way.push(AssertUnwindSafe(delivery).catch_unwind());
        }
        tokio::select! {
            // The core keeps the sender, so the channel does not close.
            _ = changes.changed() => {}
            () = moves.next() => {}
            Some(_) = under_way.next() => {}
            () = until(&core, next_wake_up(&core)) => {}
        }
    }
}

/// Returns the time of the next expiry or delivery.
fn next_wake_up(core: &Core) -> Option<Timestamp> {
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

/// Job in progress. If the delivery is cancelled, `drop` queues the job again. If the delivery
/// panics, `drop` removes the job, because the panic would occur again.
struct TakenJob<'a> {
    core: &'a Core,
    job: Job,
}

impl<'a> TakenJob<'a> {
    fn next(core: &'a Core) -> Option<Self> {
        let now = core.now();
        let job = core.outbox().take(now)?;
        Some(Self { core, job })
    }
}

impl Drop for TakenJob<'_> {
    fn drop(&mut self) {
        let mut outbox = self.core.outbox();
        if thread::panicking() {
            outbox.finish(self.job.number, None);
        } else {
            outbox.requeue(self.job.number);
        }
    }
}

async fn deliver(core: &Core, sender: &Sender, taken: TakenJob<'_>) {
    let job = &taken.job;
    if is_postponed(core, job) {
        return;
    }
    let switches = core.switches();
    let secrets = core.tenants().secrets(&job.endpoint.tenant);
    let Some(secrets) = secrets else {
        core.outbox().finish(job.number, None);
        return;
    };
    let (mut draft, mut plan) = (DeliveryDraft::new(&job.event), SendPlan::default());
    apply_faults(core, job, &mut draft, &mut plan);
    let outgoing = draft.finish(&secrets, &switches, core.now());
    let (url, timeout) = (&job.endpoint.url, switches.webhook_timeout);
    let send = async || {
        let at = core.now();
        let answered = if plan.is_lost {
            Answered::with(DeliveryOutcome::Lost)
        } else {
            let outgoing = outgoing.clone();
            sender.send(url, outgoing, plan.pace, timeout).await
        };
        let delivery = Delivery::new(job, at, answered.outcome);
        core.outbox().log_delivery(delivery);
        answered
    };
    let answers: Vec<_> = stream::iter(0..plan.copies)
        .map(|_| send())
        .buffer_unordered(plan.concurrency.max(1))
        .collect()
        .await;
    // The delivery succeeds if at least one copy succeeds.
    let well = answers.iter().find(|it| it.outcome.is_success());
    let again = match well.or(answers.last()) {
        Some(answered) => next_attempt(job, answered, core.now(), &switches),
        None => None,
    };
    core.outbox().finish(job.number, again);
}

/// Returns whether a fault delays or holds this delivery.
fn is_postponed(core: &Core, job: &Job) -> bool {
    if matches!(job.event.mode, SendMode::Manual { .. }) {
        return false;
    }
    let wanted = |effect: &Effect| match effect {
        Effect::DelayDelivery(_) => !job.was_delayed,
        Effect::HoldDelivery(hold) => !job.was_held && !hold.is_open(),
        _ => false,
    };
    let hook = Hook::Delivery(&job.endpoint.tenant);
    let rule = core.rules().take(hook, wanted);
    match rule.as_ref().map(|rule| &rule.effect) {
        Some(Effect::DelayDelivery(by)) => {
            let due = core.now().saturating_add(*by);
            core.outbox().delay(job.number, due);
            true
        }
        Some(Effect::HoldDelivery(hold)) => {
            core.outbox().hold(job.number, hold);
            true
        }
        _ => false,
    }
}

/// Applies the faults for this delivery. The mock sends manual deliveries unchanged.
fn apply_faults(core: &Core, job: &Job, draft: &mut DeliveryDraft, plan: &mut SendPlan) {
    if matches!(job.event.mode, SendMode::Manual { .. }) {
        return;
    }
    let wanted =
        |effect: &Effect| matches!(effect, Effect::EditDelivery(_) | Effect::EditSendPlan(_));
    let hook = Hook::Delivery(&job.endpoint.tenant);
    let rules = core.rules().take_all(hook, wanted);
    for rule in rules {
        rule.add_headers(&mut draft.headers);
        match &rule.effect {
            Effect::EditDelivery(edit) => edit(draft),
            Effect::EditSendPlan(edit) => edit(plan),
            _ => {}
        }
    }
}

/// Returns the time of the next attempt, or `None` after the last attempt (K84, K85).
fn next_attempt(
    job: &Job,
    answered: &Answered,
    now: Timestamp,
    switches: &Switches,
) -> Option<Timestamp> {
    if answered.outcome.is_success() || matches!(job.event.mode, SendMode::Manual { .. }) {
        return None;
    }
    let failed = usize::try_from(job.attempt).ok()?.checked_sub(1)?;
    let pause = switches.webhook_retries.get(failed)?;
    let asked = match answered.outcome {
        DeliveryOutcome::Answered(409 | 429 | 503) => answered.retry_after,
        _ => None,
    };
    let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
    Some(now.saturating_add(asked.max(*pause)))
}

/// Maximum delay that a webhook endpoint can request with `Retry-After` (K85).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
