//! The one way in which a person changes, and the events that come of it (K63, K86).

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

/// Changes a person. If they stand elsewhere after it, that is an event, queued before anyone else
/// can change them: the order of a person's events is that of their changes.
pub(in crate::mock) fn change(core: &Core, id: &str, change: impl FnOnce(&mut PersonRecord)) {
    let (now, switches) = (core.now(), core.switches());
    let mut persons = core.persons();
    if let Some(person) = persons.find_mut(id) {
        // An expiry that nobody looked at yet came before.
        tell(core, person, now, &switches);
        change(person);
        tell(core, person, now, &switches);
    }
}

/// What a verification on a page does to the person, for good (K19, K91); gives the person as of
/// then. A tenant that they allowed the login sees them from here (K46).
pub(in crate::mock) fn verified_on_page(
    core: &Core,
    tenant: Option<&str>,
    person: PersonRecord,
    asked: &KycTier,
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
            person.tier = asked.clone();
        }
        person.settle(status);
    });
    core.person(&person.id).unwrap_or(person)
}

/// What a decision does to the person (K74). That it was made is an event before what it did.
///
/// Whoever decides holds the case meanwhile, so that nobody decides in between.
pub(in crate::mock) fn decided(core: &Core, case: &CaseRecord, outcome: &Outcome) {
    let (now, switches) = (core.now(), core.switches());
    let mut persons = core.persons();
    let Some(person) = persons.find_mut(&case.person_id) else {
        return;
    };
    tell(core, person, now, &switches);
    person.decided(outcome, &case.level, now);
    if *outcome != Outcome::Review {
        let event = Event::case_decided(&person.clone().at(now), &case.id, now, &switches);
        core.outbox()
            .put(&Arc::new(event), |tenant| tenant == case.tenant);
    }
    tell(core, person, now, &switches);
}

/// Queues an event for everyone who has expired since the last look (K48).
pub(in crate::mock) fn look_for_expiries(core: &Core) {
    let (now, switches) = (core.now(), core.switches());
    for person in core.persons().iter_mut() {
        if person.expires.is_some() {
            tell(core, person, now, &switches);
        }
    }
}

/// An event if the person stands elsewhere than was last told.
fn tell(core: &Core, person: &mut PersonRecord, now: Timestamp, switches: &Switches) {
    let as_of_now = person.clone().at(now);
    let standing = as_of_now.standing();
    if person.told == standing {
        return;
    }
    person.told = standing;
    let event = Event::status_changed(&as_of_now, now, switches);
    core.outbox()
        .put(&Arc::new(event), |tenant| person.is_visible_to(tenant));
}
