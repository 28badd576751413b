//! The status endpoint (K40, K43, K47): one person, for a tenant with its API key.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};

use super::{
    answer::Answer, api_error, bearer::bearer, claims, core::Core, person_record::PersonRecord,
    segment, switches::Switches,
};
use crate::{
    clock::Clock as _,
    wire::{claims as names, kyc::StatusResponse},
};

/// `person` is the segment of the path, as it came.
pub(super) fn status(core: &Core, headers: &HeaderMap, person: &str) -> Answer {
    let switches = core.switches();
    match read(core, headers, person, &switches) {
        Ok(told) => Answer::json(StatusCode::OK, told).no_store(),
        Err(refused) => refused.answer(&switches),
    }
}

/// The key first, then what it may, then how often, and only then who is asked about (K47).
fn read(
    core: &Core,
    headers: &HeaderMap,
    person: &str,
    switches: &Switches,
) -> Result<Value, Refused> {
    let tenant = bearer(headers).and_then(|key| core.tenants().of_key(key));
    let tenant = tenant.ok_or(Refused::InvalidKey)?;
    if !tenant.may_read_status {
        return Err(Refused::Forbidden);
    }
    if let Some(limit) = switches.status_rate_limit {
        let now = core.clock.monotonic();
        let counted = core.tenants().count(&tenant.id, now, limit);
        counted.map_err(Refused::TooOften)?;
    }
    segment::decode(person)
        .and_then(|id| core.person(&id).filter(|person| person.id == id))
        .filter(|person| person.is_visible_to(&tenant.id))
        .map(|person| about(&person, switches, switches.status_person_id))
        .ok_or(Refused::NoPerson)
}

/// The answer about a person (K40). What is not known is absent (K31).
pub(super) fn about(person: &PersonRecord, switches: &Switches, named: bool) -> Value {
    let mut told = json!(StatusResponse {
        kyc_status: Some(person.status.clone()),
        kyc_tier: Some(person.tier.clone()),
        aml_clear: person.aml_clear,
        person_id: named.then(|| json!(person.id)),
    });
    if let Some(fields) = told.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
        let tier = claims::tier(&person.tier, switches);
        fields.insert(names::KYC_TIER.to_owned(), tier);
    }
    told
}

enum Refused {
    InvalidKey,
    Forbidden,
    NoPerson,
    /// And how long it is until the tenant may ask again.
    TooOften(Duration),
}

impl Refused {
    fn answer(&self, switches: &Switches) -> Answer {
        let refuse = |status, why| api_error::refuse(status, why, switches);
        match self {
            Self::InvalidKey => refuse(
                StatusCode::UNAUTHORIZED,
                "there is not one Authorization header with the Bearer API key of a tenant",
            )
            .challenge("Bearer"),
            Self::Forbidden => refuse(
                StatusCode::FORBIDDEN,
                "the tenant's API key may not read statuses",
            ),
            Self::NoPerson => refuse(
                StatusCode::NOT_FOUND,
                "there is no such person, or none that this tenant sees",
            ),
            Self::TooOften(left) => refuse(
                StatusCode::TOO_MANY_REQUESTS,
                "the tenant asks more often than `status_rate_limit` allows",
            )
            .with(RETRY_AFTER, &seconds(*left).to_string()),
        }
    }
}

/// Whole seconds, and not too early.
fn seconds(left: Duration) -> u64 {
    let started = u64::from(left.subsec_nanos() > 0);
    left.as_secs().saturating_add(started)
}
