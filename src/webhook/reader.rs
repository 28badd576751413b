//! Reading verified bytes.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    event::{Event, EventKind},
    time,
    verified::VerifiedPayload,
};
use crate::{
    strict_json,
    wire::{claims, is_id, webhook::EventType},
};

/// Maximum length of the id of an event, a person or a case, in bytes.
pub const MAX_ID_BYTES: usize = crate::wire::MAX_ID_BYTES;

/// Where in the body things stand, each a list of JSON pointers (RFC 6901) of which the first that
/// leads somewhere counts. The default is K63: below `data`, and status, tier and AML at the top
/// level too, where one tenant finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventFieldPaths {
    /// The event's id: a string, or a whole number.
    pub id: Vec<String>,
    /// What happened: a string.
    pub event_type: Vec<String>,
    /// When it happened: a string as RFC 3339 has it, or whole seconds since the epoch (K81).
    pub created_at: Vec<String>,
    /// To whom: a string.
    pub person_id: Vec<String>,
    /// Where the verification stands.
    pub kyc_status: Vec<String>,
    /// How far it reached.
    pub kyc_tier: Vec<String>,
    /// Whether nothing was found against the person.
    pub aml_clear: Vec<String>,
    /// Which case was decided: a string.
    pub case_id: Vec<String>,
}

impl Default for EventFieldPaths {
    fn default() -> Self {
        let at = |name: &str| vec![format!("/{name}")];
        let in_data = |name: &str| vec![format!("/data/{name}")];
        let in_either = |name: &str| vec![format!("/data/{name}"), format!("/{name}")];
        Self {
            id: at("id"),
            event_type: at("type"),
            created_at: at("created_at"),
            person_id: in_data("person_id"),
            kyc_status: in_either(claims::KYC_STATUS),
            kyc_tier: in_either(claims::KYC_TIER),
            aml_clear: in_either(claims::AML_CLEAR),
            case_id: in_data("case_id"),
        }
    }
}

/// A text that is no JSON pointer: one is empty, or begins with `/` (RFC 6901 section 3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a JSON pointer, like /data/person_id")]
pub struct InvalidFieldPath(pub String);

/// Reads what KYCPort says happened from verified bytes.
#[derive(Debug, Clone, Default)]
pub struct EventReader {
    pointers: EventFieldPaths,
}

impl EventReader {
    /// A reader that looks where `pointers` say.
    ///
    /// # Errors
    /// [`InvalidFieldPath`] for the first that is none.
    pub fn new(pointers: EventFieldPaths) -> Result<Self, InvalidFieldPath> {
        let all = [
            &pointers.id,
            &pointers.event_type,
            &pointers.created_at,
            &pointers.person_id,
            &pointers.kyc_status,
            &pointers.kyc_tier,
            &pointers.aml_clear,
            &pointers.case_id,
        ];
        let wrong = all.into_iter().flatten().find(|text| !is_pointer(text));
        if let Some(wrong) = wrong {
            return Err(InvalidFieldPath(wrong.clone()));
        }
        Ok(Self { pointers })
    }

    /// Reads an event. How old it may be is [`TimestampTolerance`](super::TimestampTolerance)'s to say, and whether it
    /// was here before the replay store's.
    ///
    /// Where the scheme signs an id or a moment, that one stands in for what the body lacks.
    ///
    /// # Errors
    /// [`EventParseError`]: KYCPort sent it, so it will be as unreadable next time. An event of a type that
    /// is not known need not say whom it is about.
    pub fn read(&self, delivery: &VerifiedPayload) -> Result<Event, EventParseError> {
        let object = strict_json::map(delivery.body()).ok_or(EventParseError::NotJson)?;
        let body = Value::Object(object);
        let places = &self.pointers;

        let id = find(&body, &places.id)
            .map_or_else(|| delivery.signed_id().map(str::to_owned), id)
            .filter(|id| is_id(id))
            .ok_or(EventParseError::Id)?;
        let created_at = find(&body, &places.created_at)
            .map_or_else(|| delivery.signed_at(), time::read)
            .ok_or(EventParseError::CreatedAt)?;
        let event_type: EventType =
            known(&body, &places.event_type).ok_or(EventParseError::Type)?;
        let person_id = known(&body, &places.person_id)
            .filter(|id: &String| is_id(id))
            .ok_or(EventParseError::PersonId);

        let kind = match event_type {
            EventType::StatusChanged => EventKind::StatusChanged {
                person_id: person_id?,
                kyc_status: known(&body, &places.kyc_status),
                kyc_tier: known(&body, &places.kyc_tier),
                aml_clear: known(&body, &places.aml_clear),
            },
            EventType::CaseDecided => EventKind::CaseDecided {
                person_id: person_id?,
                case_id: known(&body, &places.case_id).filter(|id: &String| is_id(id)),
            },
            EventType::Unknown(event_type) => EventKind::Unknown {
                person_id: person_id.ok(),
                event_type,
                raw: body,
            },
        };
        Ok(Event {
            id,
            created_at,
            kind,
        })
    }
}

/// VerifiedPayload bytes that are no event. Nothing of them is in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventParseError {
    /// Not a JSON object without duplicate names.
    #[error("the body is not a JSON object without duplicate names")]
    NotJson,
    /// No id that is text of 1 to 255 bytes without control characters, or a whole number.
    #[error("the event has no id that can be used")]
    Id,
    /// No type that is text.
    #[error("the event has no type")]
    Type,
    /// No moment that can be read (K81).
    #[error("the event has no time that can be read")]
    CreatedAt,
    /// The event is about a person, and does not say whom.
    #[error("the event does not say whom it is about")]
    PersonId,
}

impl EventParseError {
    /// A stable code for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::Id => "id",
            Self::Type => "type",
            Self::CreatedAt => "created_at",
            Self::PersonId => "person_id",
        }
    }
}

fn find<'a>(body: &'a Value, places: &[String]) -> Option<&'a Value> {
    let mut found = places.iter().filter_map(|place| body.pointer(place));
    found.find(|value| !value.is_null())
}

/// What is of another type than it should be is as if it were missing.
fn known<T: DeserializeOwned>(body: &Value, places: &[String]) -> Option<T> {
    T::deserialize(find(body, places)?).ok()
}

fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1);
    (text.is_empty() || text.starts_with('/'))
        && escapes.into_iter().all(|rest| rest.starts_with(['0', '1']))
}
