//! Faults in the JSON format of the admin API.

use std::borrow::Cow;

use axum::http::HeaderValue;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::api_error::ApiError;
use crate::mock::{
    deliveries::{draft::LARGEST_BODY, tamper::DeliveryTamper},
    http::endpoint::Endpoint,
    jws::tamper::Tamper,
    start::texts::HeaderText,
};

/// Body of a request that installs a fault at an endpoint.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mock) struct EndpointFault {
    pub(in crate::mock) endpoint: Endpoint,
    pub(in crate::mock) fault: AtEndpoint,
    /// Number of requests that the fault affects. Default: The fault affects all requests until a
    /// client deletes the fault.
    pub(in crate::mock) times: Option<u64>,
    /// Value of `Retry-After`, in seconds.
    pub(in crate::mock) retry_after: Option<u64>,
    /// Whether the endpoint processes the request before the fault replaces the response. Default:
    /// false.
    #[serde(default)]
    pub(in crate::mock) after: bool,
}

/// Fault of an endpoint.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::mock) enum AtEndpoint {
    /// Responds with this status. If the endpoint defines an error for this status, the body
    /// contains that error.
    Status(#[schemars(range(min = 200, max = 999))] u16),
    /// Responds with this status, content type and body.
    Answer(CustomResponse),
    /// Responds with 307 and this `Location`.
    Redirect(#[schemars(with = "HeaderText")] String),
    /// Responds with 200, `Content-Type: application/json` and a body that is not valid JSON.
    Garbage,
    /// Delays the correct response by this number of milliseconds.
    DelayMs(u64),
    /// Resets the connection.
    Reset,
    /// Closes the connection without sending a byte.
    DropConnection,
    /// Sends the headers and half of the correct response, then closes the connection.
    Truncate,
    /// Never responds.
    Hang,
    /// Sends the first bytes of the headers and then no more bytes.
    HangHeaders,
    /// Sends the headers and one byte of the body, and then no more bytes.
    HangBody,
    /// Sends the body of the correct response one byte at a time, with this number of milliseconds
    /// between bytes.
    DribbleMs(u64),
    /// Sends a body that never ends.
    EndlessBody,
    /// Sends valid JSON with this number of bytes.
    Huge(u64),
    /// Sends valid JSON that decompresses to this number of bytes.
    GzipBomb(u64),
}

impl AtEndpoint {
    /// Rejects a fault that HTTP cannot express.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        match self {
            Self::Status(status) => check_status(*status),
            Self::Answer(answer) => {
                check_status(answer.status)?;
                check_header("content_type", &answer.content_type)
            }
            Self::Redirect(to) => check_header("redirect", to),
            _ => Ok(()),
        }
    }
}

fn check_status(status: u16) -> Result<(), ApiError> {
    if (200..=999).contains(&status) {
        return Ok(());
    }
    let why = format!("`status` is {status}: an HTTP status must be from 200 to 999");
    Err(ApiError::invalid(why))
}

fn check_header(name: &str, value: &str) -> Result<(), ApiError> {
    if HeaderValue::from_str(value).is_ok() {
        return Ok(());
    }
    let why = format!(
        "`{name}` contains characters that are not allowed in a header, such as a line break"
    );
    Err(ApiError::invalid(why))
}

/// Response that a fault sends.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mock) struct CustomResponse {
    #[schemars(range(min = 200, max = 999))]
    pub(super) status: u16,
    #[schemars(with = "HeaderText")]
    pub(super) content_type: String,
    pub(super) body: String,
}

/// Body of a request that installs a fault for new connections. The fault acts before the mock
/// reads a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionFault {
    pub(super) fault: AtConnection,
    /// Number of connections that the fault affects. This member is required, because a fault
    /// without a limit would make the admin API unreachable.
    pub(super) times: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AtConnection {
    Close,
    Reset,
    Hang,
}

/// Body of a request that installs a fault of tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenFault {
    pub(super) token: WhichToken,
    pub(super) tamper: TamperName,
    /// Slug, ID or email address of the only person whose tokens the fault affects. Default: all
    /// persons.
    pub(super) person: Option<String>,
    /// Number of tokens that the fault affects. Default: The fault affects all tokens until a
    /// client deletes the fault.
    pub(super) times: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhichToken {
    IdToken,
    AccessToken,
}

/// Body of a request that installs a fault of webhook deliveries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookFault {
    pub(super) fault: AtDelivery,
    pub(super) tenant: Option<String>,
    /// Number of attempts that the fault affects. Default: The fault affects all attempts until a
    /// client deletes the fault.
    pub(super) times: Option<u64>,
}

/// Fault of a delivery.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AtDelivery {
    /// Manipulates the delivery.
    Tamper(DeliveryTamperName),
    /// Sends this number of additional copies.
    Duplicate(#[schemars(range(max = MAX_COPIES))] u32),
    /// Sends this number of copies, up to 64 concurrently.
    Flood(#[schemars(range(max = MAX_COPIES))] u32),
    /// Does not send the delivery but records it as sent.
    Lose,
    /// Sends the delivery after this number of seconds, by the issuer's clock.
    DelaySeconds(u64),
    /// Sets the event's time this number of seconds into the past.
    StaleSeconds(u64),
    /// Sets the event's time this number of seconds into the future.
    AheadSeconds(u64),
    /// Sends a correctly signed body of this size, in bytes. Maximum: 64 MiB.
    OversizedBytes(#[schemars(range(max = LARGEST_BODY))] u64),
    /// Sends the body one byte at a time, with this number of milliseconds between bytes.
    DribbleMs(u64),
}

impl AtDelivery {
    /// Rejects a fault that would use too much memory or time.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let (name, asked, most) = match self {
            Self::Duplicate(times) => ("duplicate", u64::from(*times), MAX_COPIES),
            Self::Flood(times) => ("flood", u64::from(*times), MAX_COPIES),
            Self::OversizedBytes(bytes) => {
                let most = u64::try_from(LARGEST_BODY).unwrap_or(u64::MAX);
                ("oversized_bytes", *bytes, most)
            }
            _ => return Ok(()),
        };
        if asked <= most {
            return Ok(());
        }
        let why = format!("`{name}` is {asked}, but the maximum is {most}");
        Err(ApiError::invalid(why))
    }
}

/// Maximum number of copies that a fault sends for one delivery.
const MAX_COPIES: u64 = 100_000;

/// Enum whose variants a request can name.
trait Named: Copy + std::fmt::Debug + 'static {
    const WHAT: &'static str;
    fn all() -> Vec<Self>;
}

impl Named for Tamper {
    const WHAT: &'static str = "Tamper";
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

impl Named for DeliveryTamper {
    const WHAT: &'static str = "DeliveryTamper";
    fn all() -> Vec<Self> {
        [Self::FORGED, Self::UNREADABLE, Self::DEPENDS].concat()
    }
}

/// Enum variant that a request identifies by its Rust name.
#[derive(Debug)]
pub(super) struct Name<T>(pub(super) T);

pub(super) type TamperName = Name<Tamper>;
pub(super) type DeliveryTamperName = Name<DeliveryTamper>;

impl<'de, T: Named> Deserialize<'de> for Name<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(from)?;
        let known = T::all().into_iter().find(|it| format!("{it:?}") == name);
        known.map(Self).ok_or_else(|| {
            let all: Vec<_> = T::all().iter().map(|it| format!("{it:?}")).collect();
            D::Error::custom(format!("`{name}` is not one of {}", all.join(", ")))
        })
    }
}

impl<T: Named> JsonSchema for Name<T> {
    fn schema_name() -> Cow<'static, str> {
        T::WHAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let all: Vec<_> = T::all().iter().map(|it| format!("{it:?}")).collect();
        json_schema!({ "type": "string", "enum": all })
    }
}
