//! Changes of a person's verification state, and the resulting events (K63, K86).

use std::sync::Arc;

use super::Core;
use crate::{
    clock::Timestamp,
    mock::{
        deliveries::event::Event,
        records::{case::CaseRecord, person::PersonRecord, verification::Verification},
        switches::Switches,
    },
    wire::{
        cases::Outcome,
        kyc::{KycStatus, KycTier},
    },
};

/// Changes a person. If the verification state changes, the function queues an event. One lock on
/// the persons covers the change and the event, so the events of a person are in the order of the
/// changes.
pub(in crate::mock) fn change(core: &Core, id: &str, change: impl FnOnce(&mut PersonRecord)) {
    let (now, switches) = (core.now(), core.switches());
    let mut persons = core.persons();
    if let Some(person) = persons.find_mut(id) {
        // If the verification has expired before this change, queue the event of the expiry first.
        queue_if_changed(core, person, now, &switches);
        change(person);
        queue_if_changed(core, person, now, &switches);
    }
}

/// Stores the result of the verification page in the person (K19, K91). Returns the person's
/// current state. If `tenant` is a tenant, this tenant can now see the person (K46).
pub(in crate::mock) fn verified_on_page(
    core: &Core,
    tenant: Option<&str>,
    person: PersonRecord,
    requested: &KycTier,
    verification: Verification,
) -> PersonRecord {
    let status = match verification {
        Verification::Pass => KycStatus::Verified,
        Verification::Fail => KycStatus::Rejected,
        Verification::Pending => KycStatus::Pending,
        Verification::Skip => return person,
    };
    change(core, &person.id, |person| {
        if let Some(tenant) = tenant {
            person.show_to(tenant);
        }
        if verification == Verification::Pass {
            person.tier = requested.clone();
        }
        person.settle(status);
    });
    core.person(&person.id).unwrap_or(person)
}

/// Applies the decision of a case to the person (K74). Queues the event of the decision before the
/// event of the changed status.
///
/// The caller must hold the lock of the cases. Otherwise two decisions could overlap.
pub(in crate::mock) fn decided(core: &Core, case: &CaseRecord, outcome: &Outcome) {
    let (now, switches) = (core.now(), core.switches());
    let mut persons = core.persons();
    let Some(person) = persons.find_mut(&case.person_id) else {
        return;
    };
    queue_if_changed(core, person, now, &switches);
    person.decided(outcome, &case.level, now);
    if *outcome != Outcome::Review {
        let event = Event::case_decided(&person.clone().at(now), &case.id, now, &switches);
        core.outbox()
            .queue(&Arc::new(event), |tenant| tenant == case.tenant);
    }
    queue_if_changed(core, person, now, &switches);
}

/// Queues an event for every person whose verification expired since the last call (K48).
pub(in crate::mock) fn look_for_expiries(core: &Core) {
    let (now, switches) = (core.now(), core.switches());
    for person in core.persons().iter_mut() {
        if person.expires.is_some() {
            queue_if_changed(core, person, now, &switches);
        }
    }
}

/// Queues an event if the verification state differs from the last reported state.
fn queue_if_changed(core: &Core, person: &mut PersonRecord, now: Timestamp, switches: &Switches) {
    let as_of_now = person.clone().at(now);
    let state = as_of_now.verification_state();
    if person.last_reported == state {
        return;
    }
    person.record_verification(now);
    person.last_reported = state;
    let event = Event::status_changed(&as_of_now, now, switches);
    core.outbox()
        .queue(&Arc::new(event), |tenant| person.is_visible_to(tenant));
}
