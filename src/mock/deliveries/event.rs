//! Webhook events and their serialization (K63, K81, K82).

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
        switches::{PERSON_ID, Switches},
    },
    wire::{
        claims as names,
        webhook::{EventBody, EventData, EventType},
    },
};

/// Event, or manual delivery of a test. The mock serializes an event once. Each retry therefore
/// sends identical bytes (K64).
pub(in crate::mock) struct Event {
    pub(in crate::mock) id: String,
    pub(in crate::mock) kind: String,
    pub(in crate::mock) person_id: Option<String>,
    pub(in crate::mock) body: Bytes,
    pub(in crate::mock) mode: SendMode,
}

/// Mode in which the mock sends an event.
pub(in crate::mock) enum SendMode {
    /// The mock signs the delivery, and retries it until an attempt succeeds.
    Event,
    /// The mock sends the delivery once, with the headers that the test specified.
    Manual { headers: HeaderMap, is_signed: bool },
}

impl Event {
    /// Creates the event that reports a changed status, tier or AML result.
    pub(in crate::mock) fn status_changed(
        person: &PersonRecord,
        now: Timestamp,
        switches: &Switches,
    ) -> Self {
        Self::about(person, EventType::StatusChanged, None, now, switches)
    }

    /// Creates the event that reports a decided case. The event contains the person's state after
    /// the decision.
    pub(in crate::mock) fn case_decided(
        person: &PersonRecord,
        case_id: &str,
        now: Timestamp,
        switches: &Switches,
    ) -> Self {
        let case_id = Some(case_id.to_owned());
        Self::about(person, EventType::CaseDecided, case_id, now, switches)
    }

    /// Creates an event of any type with any data.
    pub(in crate::mock) fn other(
        event_type: &str,
        data: Value,
        now: Timestamp,
        switches: &Switches,
    ) -> Self {
        let id = random::name("evt_");
        let person_id = data.get("person_id").and_then(Value::as_str);
        let person_id = person_id.map(str::to_owned);
        let mut body = Map::new();
        body.insert("id".to_owned(), json!(id));
        body.insert("type".to_owned(), json!(event_type));
        body.insert("created_at".to_owned(), json!(rfc3339(now)));
        body.insert("data".to_owned(), data);
        Self {
            id,
            kind: event_type.to_owned(),
            person_id,
            body: written(body.into(), now, switches),
            mode: SendMode::Event,
        }
    }

    /// Creates a manual delivery, which a test requests.
    pub(in crate::mock) fn manual(body: Bytes, headers: HeaderMap, is_signed: bool) -> Self {
        Self {
            id: String::new(),
            kind: String::new(),
            person_id: None,
            body,
            mode: SendMode::Manual { headers, is_signed },
        }
    }

    fn about(
        person: &PersonRecord,
        event_type: EventType,
        case_id: Option<String>,
        now: Timestamp,
        switches: &Switches,
    ) -> Self {
        let event = EventBody {
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
        let mut body = json!(event);
        if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
            // The event omits members without a value (K31).
            data.retain(|_, value| !value.is_null());
            let tier = claims::tier(&person.tier, switches);
            data.insert(names::KYC_TIER.to_owned(), tier);
        }
        Self {
            id: event.id,
            kind: event.event_type.as_str().to_owned(),
            person_id: Some(event.data.person_id),
            body: written(body, now, switches),
            mode: SendMode::Event,
        }
    }
}

/// Serializes an event in the format that the switches select.
fn written(mut body: Value, now: Timestamp, switches: &Switches) -> Bytes {
    if let Some(fields) = body.as_object_mut() {
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
    form::written(&body, switches.webhook_compact_json).into()
}

/// Formats a time in UTC with milliseconds. Returns 1970-01-01 for a time that RFC 3339 cannot
/// express.
pub(in crate::mock) fn rfc3339(moment: Timestamp) -> String {
    let moment = DateTime::from_timestamp_millis(moment.as_unix_millis());
    moment
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}
