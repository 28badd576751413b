//! Delivers what is due, for as long as the issuer runs (K84).

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
            course::Course,
            delivery::{Delivery, DeliveryOutcome},
            draft::DeliveryDraft,
            event::Manner,
            outbox::Job,
            sender::{Answered, Sender},
        },
        switches::Switches,
        waits::pause::wait,
    },
};

/// Never ends. When it is dropped, what was under way waits to be sent again.
pub(in crate::mock) async fn run(core: Arc<Core>) {
    let sender = Sender::default();
    let mut news = core.outbox().news();
    let mut moves = core.clock.moves();
    let mut under_way = FuturesUnordered::new();
    loop {
        news.mark_unchanged();
        transition::look_for_expiries(&core);
        while let Some(taken) = Taken::next(&core) {
            let delivery = deliver(&core, &sender, taken);
            // An edit of a test may panic, and the rest goes on.
            under_way.push(AssertUnwindSafe(delivery).catch_unwind());
        }
        tokio::select! {
            // The sender lives as long as the core.
            _ = news.changed() => {}
            () = moves.next() => {}
            Some(_) = under_way.next() => {}
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

/// A job that is under way. Unless it is finished, it waits again as soon as this is dropped; if
/// that is a panic, which would come again too, it is forgotten.
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
        let mut outbox = self.core.outbox();
        if thread::panicking() {
            outbox.finish(self.job.number, None);
        } else {
            outbox.give_back(self.job.number);
        }
    }
}

async fn deliver(core: &Core, sender: &Sender, taken: Taken<'_>) {
    let job = &taken.job;
    if is_put_off(core, job) {
        return;
    }
    let switches = core.switches();
    let secrets = core.tenants().secrets(&job.endpoint.tenant);
    let Some(secrets) = secrets else {
        core.outbox().finish(job.number, None);
        return;
    };
    let (mut draft, mut course) = (DeliveryDraft::new(&job.event), Course::default());
    bend(core, job, &mut draft, &mut course);
    let outgoing = draft.finish(&secrets, &switches, core.now());
    let (url, timeout) = (&job.endpoint.url, switches.webhook_timeout);
    let send = async || {
        let at = core.now();
        let answered = if course.is_lost {
            Answered::with(DeliveryOutcome::Lost)
        } else {
            let outgoing = outgoing.clone();
            sender.send(url, outgoing, course.pace, timeout).await
        };
        let delivery = Delivery::new(job, at, answered.outcome);
        core.outbox().note(delivery);
        answered
    };
    let answers: Vec<_> = stream::iter(0..course.copies)
        .map(|_| send())
        .buffer_unordered(course.at_once.max(1))
        .collect()
        .await;
    // It is taken if one of the copies is.
    let well = answers.iter().find(|it| it.outcome.is_well());
    let again = match well.or(answers.last()) {
        Some(answered) => again(job, answered, core.now(), &switches),
        None => None,
    };
    core.outbox().finish(job.number, again);
}

/// Whether a fault says that it is not sent now.
fn is_put_off(core: &Core, job: &Job) -> bool {
    if matches!(job.event.manner, Manner::ByHand { .. }) {
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

/// Applies what was installed for this delivery. What was made by hand goes out as it is.
fn bend(core: &Core, job: &Job, draft: &mut DeliveryDraft, course: &mut Course) {
    if matches!(job.event.manner, Manner::ByHand { .. }) {
        return;
    }
    let wanted =
        |effect: &Effect| matches!(effect, Effect::EditDelivery(_) | Effect::EditCourse(_));
    let hook = Hook::Delivery(&job.endpoint.tenant);
    let rules = core.rules().take_all(hook, wanted);
    for rule in rules {
        rule.add_headers(&mut draft.headers);
        match &rule.effect {
            Effect::EditDelivery(edit) => edit(draft),
            Effect::EditCourse(edit) => edit(course),
            _ => {}
        }
    }
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
