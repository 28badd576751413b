//! What is told to tenants: an event and its bytes (K63, K81, K82).

use axum::http::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::form;
use crate::{
    clock::Timestamp,
    mock::{
        random,
        records::{claims, person::PersonRecord},
        switches::Switches,
    },
    wire::{
        claims as names,
        webhook::{EventBody, EventData, EventType},
    },
};

/// An event, or what a test sends by hand. Its bytes are made once: a retry repeats them (K64).
pub(in crate::mock) struct Event {
    pub(in crate::mock) id: String,
    pub(in crate::mock) kind: String,
    pub(in crate::mock) person_id: Option<String>,
    pub(in crate::mock) body: Bytes,
    pub(in crate::mock) manner: Manner,
}

/// How an event is sent.
pub(in crate::mock) enum Manner {
    /// Signed, and again until it is answered well.
    Event,
    /// By hand: once, with these headers.
    ByHand { headers: HeaderMap, is_signed: bool },
}

impl Event {
    /// A person stands elsewhere than before.
    pub(in crate::mock) fn status_changed(
        person: &PersonRecord,
        now: Timestamp,
        switches: &Switches,
    ) -> Self {
        Self::about(person, EventType::StatusChanged, None, now, switches)
    }

    /// A case was decided, and this is where the person stands since.
    pub(in crate::mock) fn case_decided(
        person: &PersonRecord,
        case_id: &str,
        now: Timestamp,
        switches: &Switches,
    ) -> Self {
        let case_id = Some(case_id.to_owned());
        Self::about(person, EventType::CaseDecided, case_id, now, switches)
    }

    /// Any type, and any data.
    pub(in crate::mock) fn other(
        event_type: &str,
        data: Value,
        now: Timestamp,
        switches: &Switches,
    ) -> Self {
        let id = random::name("evt_");
        let person_id = data.get("person_id").and_then(Value::as_str);
        let person_id = person_id.map(str::to_owned);
        let mut told = Map::new();
        told.insert("id".to_owned(), json!(id));
        told.insert("type".to_owned(), json!(event_type));
        told.insert("created_at".to_owned(), json!(rfc3339(now)));
        told.insert("data".to_owned(), data);
        Self {
            id,
            kind: event_type.to_owned(),
            person_id,
            body: written(told.into(), now, switches),
            manner: Manner::Event,
        }
    }

    /// What a test made by hand.
    pub(in crate::mock) fn by_hand(body: Bytes, headers: HeaderMap, is_signed: bool) -> Self {
        Self {
            id: String::new(),
            kind: String::new(),
            person_id: None,
            body,
            manner: Manner::ByHand { headers, is_signed },
        }
    }

    fn about(
        person: &PersonRecord,
        event_type: EventType,
        case_id: Option<String>,
        now: Timestamp,
        switches: &Switches,
    ) -> Self {
        let body = EventBody {
            id: random::name("evt_"),
            event_type,
            created_at: rfc3339(now),
            data: EventData {
                person_id: person.id.clone(),
                kyc_status: Some(person.status.clone()),
                kyc_tier: Some(person.tier.clone()),
                aml_clear: person.aml_clear,
                case_id,
            },
        };
        let mut told = json!(body);
        if let Some(data) = told.get_mut("data").and_then(Value::as_object_mut) {
            // What is not known is absent (K31).
            data.retain(|_, value| !value.is_null());
            let tier = claims::tier(&person.tier, switches);
            data.insert(names::KYC_TIER.to_owned(), tier);
        }
        Self {
            id: body.id,
            kind: body.event_type.as_str().to_owned(),
            person_id: Some(body.data.person_id),
            body: written(told, now, switches),
            manner: Manner::Event,
        }
    }
}

/// In the form that the switches ask for.
fn written(mut told: Value, now: Timestamp, switches: &Switches) -> Bytes {
    if let Some(fields) = told.as_object_mut() {
        let member = &switches.webhook_person_member;
        if let Some(Value::Object(data)) = fields.get_mut("data")
            && member != PERSON_ID
            && let Some(person) = data.remove(PERSON_ID)
        {
            data.insert(member.clone(), person);
        }
        if switches.webhook_unix_time {
            fields.insert("created_at".to_owned(), json!(now.as_unix()));
        }
        if switches.webhook_flat_body
            && let Some(Value::Object(data)) = fields.remove("data")
        {
            fields.extend(data);
        }
    }
    form::written(&told, switches.webhook_compact_json).into()
}

/// The member of `data` that names the person (K63).
pub(in crate::mock) const PERSON_ID: &str = "person_id";

/// To the millisecond, in UTC. Beyond what a calendar has, it is the epoch.
pub(in crate::mock) fn rfc3339(moment: Timestamp) -> String {
    let moment = DateTime::from_timestamp_millis(moment.as_unix_millis());
    moment
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}
