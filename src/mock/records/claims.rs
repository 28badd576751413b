//! Claims about a person, by scope (K31, K34).

use serde_json::{Map, Value, json};

use super::person::PersonRecord;
use crate::{
    mock::switches::Switches,
    wire::{claims, kyc::KycTier},
};

/// The supported scopes, as in the discovery document (K13).
pub(in crate::mock) const SCOPES: [&str; 4] = ["openid", "email", "profile", "kyc"];

/// Returns the claims about the person that the client may read with the granted scopes.
pub(in crate::mock) fn about(
    person: &PersonRecord,
    scopes: &[String],
    switches: &Switches,
) -> Map<String, Value> {
    let granted = |scope: &str| scopes.iter().any(|s| s == scope);
    let mut values = Map::new();
    let mut set = |name: &str, value: Value| values.insert(name.to_owned(), value);
    if granted("email") {
        set(claims::EMAIL, json!(person.email));
        set(claims::EMAIL_VERIFIED, json!(person.email_verified));
    }
    if granted("profile") {
        set(claims::NAME, json!(person.name));
    }
    if granted("kyc") {
        set(claims::KYC_STATUS, json!(person.status));
        set(claims::KYC_TIER, tier(&person.tier, switches));
        if let Some(clear) = person.aml_clear {
            set(claims::AML_CLEAR, json!(clear));
        }
        if let Some(time) = verified_at(person, switches) {
            set(claims::VERIFIED_AT, time);
        }
    }
    values
}

/// Returns the time of the verification if the mock is set to send this time (K31).
pub(in crate::mock) fn verified_at(person: &PersonRecord, switches: &Switches) -> Option<Value> {
    let time = person
        .shown_verified_at()
        .filter(|_| switches.verified_at)?;
    Some(json!(time.to_string()))
}

/// Returns the tier as a string. If the mock is set to send numeric tiers, returns the tier as a
/// number (K32).
pub(in crate::mock) fn tier(tier: &KycTier, switches: &Switches) -> Value {
    let number = match tier {
        KycTier::T0 => 0,
        KycTier::T1 => 1,
        KycTier::T2 => 2,
        KycTier::T3 => 3,
        KycTier::Unknown(_) => return json!(tier),
    };
    if switches.tier_as_number {
        json!(number)
    } else {
        json!(tier)
    }
}
