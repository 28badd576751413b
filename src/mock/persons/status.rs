//! Status endpoint (K40, K43, K47). A tenant reads the status of one person with the API key of the
//! tenant.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::{
    mock::{
        core::Core,
        http::{answer::Answer, segment},
        records::{claims, person::PersonRecord},
        switches::Switches,
        tenants::access,
    },
    wire::{claims as names, kyc::StatusResponse},
};

/// Responds to a status request. `person` is the path segment, before decoding. The response shows
/// only to an authorized tenant whether the person exists (K47).
pub(in crate::mock) fn status(core: &Core, headers: &HeaderMap, person: &str) -> Answer {
    let switches = core.switches();
    let tenant = match access::tenant(core, headers, &switches) {
        Ok(tenant) => tenant,
        Err(rejection) => return rejection,
    };
    let id = segment::decode(person).unwrap_or_default();
    match access::person(core, &tenant, &id, &switches) {
        Ok(person) => {
            let response = about(&person, &switches, switches.status_person_id);
            Answer::json(StatusCode::OK, response).no_store()
        }
        Err(rejection) => rejection,
    }
}

/// Returns the status response about a person (K40). The response omits members without a value
/// (K31).
pub(in crate::mock) fn about(person: &PersonRecord, switches: &Switches, named: bool) -> Value {
    let mut response = json!(StatusResponse {
        kyc_status: Some(person.status.clone()),
        kyc_tier: Some(person.tier.clone()),
        aml_clear: person.aml_clear,
        verified_at: claims::verified_at(person, switches),
        person_id: named.then(|| json!(person.id)),
    });
    if let Some(fields) = response.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
        let tier = claims::tier(&person.tier, switches);
        fields.insert(names::KYC_TIER.to_owned(), tier);
    }
    response
}
