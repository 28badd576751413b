//! Actions of the console's buttons. The actions call the handles that tests use.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;

use super::refused;
use crate::{
    mock::{
        cases::Cases,
        core::Core,
        http::{answer::Answer, params::Params},
        oidc::keys::Keys,
        persons::{NewPerson, Person},
        tenants::Tenant,
    },
    wire::{
        cases::Outcome,
        kyc::{KycStatus, KycTier},
    },
};

/// Performs an action and redirects the browser to the console's page, which shows the new state.
pub(super) fn act(core: &Arc<Core>, form: &Params) -> Answer {
    if let Some(problem) = form.problem() {
        return refused(StatusCode::BAD_REQUEST, &problem);
    }
    let done = match form.get("act") {
        Some("create") => create(core, form),
        Some("verify" | "pending" | "reject" | "expire" | "unverify" | "aml") => change(core, form),
        Some("review") => review(core, form),
        Some("clock") => move_clock(core, form),
        Some("rotate") => {
            Keys::new(Arc::clone(core)).rotate();
            Some(())
        }
        Some("repeat") => repeat(core, form),
        _ => None,
    };
    match done {
        Some(()) => Answer::see_other("/"),
        None => refused(
            StatusCode::BAD_REQUEST,
            "The form contains an unknown action or an invalid value",
        ),
    }
}

fn create(core: &Arc<Core>, form: &Params) -> Option<()> {
    let slug = form.get("slug")?;
    let is_slug = slug.len() <= 40 && slug.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !is_slug {
        return None;
    }
    let new = NewPerson::new(Arc::clone(core), slug);
    let person = match form.get("tier")?.parse() {
        Ok(KycTier::Unknown(_)) => return None,
        Ok(KycTier::T0) => new.status(KycStatus::Unverified).tier(KycTier::T0),
        Ok(tier) => new.tier(tier),
    };
    person.create();
    Some(())
}

fn change(core: &Arc<Core>, form: &Params) -> Option<()> {
    let record = core.person(form.get("person")?)?;
    let person = Person::new(Arc::clone(core), &record);
    match form.get("act")? {
        "verify" => match form.get("tier")?.parse() {
            Ok(KycTier::Unknown(_)) => return None,
            Ok(tier) => person.verify(tier),
        },
        "pending" => person.set_status(KycStatus::Pending),
        "reject" => person.reject(),
        "expire" => person.set_status(KycStatus::Expired),
        "unverify" => person.set_status(KycStatus::Unverified),
        _ => person.set_aml_clear(Some(record.aml_clear != Some(true))),
    }
    Some(())
}

fn review(core: &Arc<Core>, form: &Params) -> Option<()> {
    let outcome = match form.get("outcome")? {
        "approved" => Outcome::Approved,
        "rejected" => Outcome::Rejected,
        _ => return None,
    };
    let case = form.get("case")?;
    // Ignore the error: if the case is already decided, the page shows its outcome.
    let _ = Cases::new(Arc::clone(core)).review(case, &outcome);
    Some(())
}

fn move_clock(core: &Arc<Core>, form: &Params) -> Option<()> {
    let hours: u64 = form.get("hours")?.parse().ok()?;
    if hours > 10_000 {
        return None;
    }
    let by = Duration::from_secs(hours.checked_mul(3600)?);
    if !core.may_advance(by) {
        return None;
    }
    core.clock.advance(by);
    Some(())
}

fn repeat(core: &Arc<Core>, form: &Params) -> Option<()> {
    let (tenant, number) = (form.get("tenant")?, form.get("delivery")?);
    let hooks = Tenant::ensure(Arc::clone(core), tenant).webhooks();
    let deliveries = hooks.deliveries();
    let delivery = deliveries.iter().find(|it| it.event_id() == number)?;
    hooks.repeat(delivery);
    Some(())
}
