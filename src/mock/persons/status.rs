//! The status endpoint (K40, K43, K47): one person, for a tenant with its API key.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::{
    mock::{
        core::Core,
        http::{answer::Answer, api_error, segment},
        records::{claims, person::PersonRecord},
        switches::Switches,
        tenants::access,
    },
    wire::{claims as names, kyc::StatusResponse},
};

/// `person` is the segment of the path, as it came. Only a tenant that may ask learns whether there
/// is such a person (K47).
pub(in crate::mock) fn status(core: &Core, headers: &HeaderMap, person: &str) -> Answer {
    let switches = core.switches();
    let tenant = match access::tenant(core, headers, &switches) {
        Ok(tenant) => tenant,
        Err(no) => return no,
    };
    let seen = segment::decode(person)
        .and_then(|id| core.person(&id).filter(|person| person.id == id))
        .filter(|person| person.is_visible_to(&tenant.id));
    if let Some(person) = seen {
        let told = about(&person, &switches, switches.status_person_id);
        return Answer::json(StatusCode::OK, told).no_store();
    }
    let why = "there is no such person, or none that this tenant sees";
    api_error::refuse(StatusCode::NOT_FOUND, why, &switches)
}

/// The answer about a person (K40). What is not known is absent (K31).
pub(in crate::mock) fn about(person: &PersonRecord, switches: &Switches, named: bool) -> Value {
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
