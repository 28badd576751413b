//! Parser for the bodies of verified deliveries.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    event::{Event, EventKind},
    verified::VerifiedPayload,
};
use crate::{
    clock::json,
    strict_json,
    wire::{claims, is_id, webhook::EventType},
};

/// Maximum length of an event id, a person id or a case id, in bytes.
pub const MAX_ID_BYTES: usize = crate::wire::MAX_ID_BYTES;

/// Paths of the fields in the body of an event.
///
/// Each path is a list of JSON pointers (RFC 6901). The reader uses the first pointer that finds a
/// value. The default follows K63: the fields are in `data`. The reader also finds status, tier and
/// AML result at the top level, where one tenant receives them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventFieldPaths {
    /// Id of the event: a string or an integer.
    pub id: Vec<String>,
    /// Type of the event: a string.
    pub event_type: Vec<String>,
    /// Time of the event: a string in RFC 3339 format, or whole seconds since the epoch (K81).
    pub created_at: Vec<String>,
    /// Person of the event: a string.
    pub person_id: Vec<String>,
    /// Verification status: a string.
    pub kyc_status: Vec<String>,
    /// Verification tier: a string or an integer.
    pub kyc_tier: Vec<String>,
    /// Result of the AML screening: a boolean, true if the screening found nothing.
    pub aml_clear: Vec<String>,
    /// Id of the decided case: a string.
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

/// Error for a text that is not a JSON pointer. A JSON pointer is empty or begins with `/` (RFC
/// 6901 section 3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a JSON pointer such as /data/person_id")]
pub struct InvalidFieldPath(pub String);

/// Parser for events in verified deliveries.
#[derive(Debug, Clone, Default)]
pub struct EventReader {
    paths: EventFieldPaths,
}

impl EventReader {
    /// Creates a reader that finds the fields at `paths`.
    ///
    /// # Errors
    /// Returns [`InvalidFieldPath`] for the first path that is not a JSON pointer.
    pub fn new(paths: EventFieldPaths) -> Result<Self, InvalidFieldPath> {
        let all = [
            &paths.id,
            &paths.event_type,
            &paths.created_at,
            &paths.person_id,
            &paths.kyc_status,
            &paths.kyc_tier,
            &paths.aml_clear,
            &paths.case_id,
        ];
        let wrong = all.into_iter().flatten().find(|text| !is_pointer(text));
        if let Some(wrong) = wrong {
            return Err(InvalidFieldPath(wrong.clone()));
        }
        Ok(Self { paths })
    }

    /// Parses the event in a delivery. Does not check the age of the event:
    /// see [`TimestampTolerance`](super::TimestampTolerance). Does not check whether the event was
    /// handled: see [`EventLog`](super::EventLog).
    ///
    /// If the body has no id or no time, uses the id or time that was signed with the body. Some
    /// schemes do not sign an id or a time.
    ///
    /// # Errors
    /// Returns [`EventParseError`] if the body is not a valid event. A redelivery of the body also
    /// fails. For an event of an unknown type, a missing person is not an error.
    pub fn read(&self, delivery: &VerifiedPayload) -> Result<Event, EventParseError> {
        let object = strict_json::map(delivery.body()).ok_or(EventParseError::NotJson)?;
        let body = Value::Object(object);
        let paths = &self.paths;

        let id = find(&body, &paths.id)
            .map_or_else(|| delivery.signed_id().map(str::to_owned), id)
            .filter(|id| is_id(id))
            .ok_or(EventParseError::Id)?;
        let created_at = find(&body, &paths.created_at)
            .map_or_else(|| delivery.signed_at(), json::read)
            .ok_or(EventParseError::CreatedAt)?;
        let event_type: EventType = known(&body, &paths.event_type).ok_or(EventParseError::Type)?;
        let person_id = known(&body, &paths.person_id)
            .filter(|id: &String| is_id(id))
            .ok_or(EventParseError::PersonId);

        let kind = match event_type {
            EventType::StatusChanged => EventKind::StatusChanged {
                person_id: person_id?,
                kyc_status: known(&body, &paths.kyc_status),
                kyc_tier: known(&body, &paths.kyc_tier),
                aml_clear: known(&body, &paths.aml_clear),
            },
            EventType::CaseDecided => EventKind::CaseDecided {
                person_id: person_id?,
                case_id: known(&body, &paths.case_id).filter(|id: &String| is_id(id)),
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

/// Error for a verified body that is not a valid event. The error contains no part of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventParseError {
    /// The body is not a JSON object, or an object in it has a duplicate name.
    #[error("the body is not a JSON object, or has duplicate names")]
    NotJson,
    /// The id is missing or invalid. An id is an integer, or a text of 1 to 255 bytes without
    /// control characters.
    #[error("the id of the event is missing or invalid")]
    Id,
    /// The event type is missing or not a string.
    #[error("the type of the event is missing or not a string")]
    Type,
    /// The time is missing or invalid (K81).
    #[error("the time of the event is missing or invalid")]
    CreatedAt,
    /// The person is missing or invalid, although the type requires a person.
    #[error("the person of the event is missing or invalid")]
    PersonId,
}

impl EventParseError {
    /// Returns a stable code for logs and metrics.
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

fn find<'a>(body: &'a Value, paths: &[String]) -> Option<&'a Value> {
    let mut found = paths.iter().filter_map(|path| body.pointer(path));
    found.find(|value| !value.is_null())
}

/// Returns a value, or `None` if it is missing or has another type.
fn known<T: DeserializeOwned>(body: &Value, paths: &[String]) -> Option<T> {
    T::deserialize(find(body, paths)?).ok()
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
