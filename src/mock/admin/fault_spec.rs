//! What can go wrong, as a request says it.

use std::borrow::Cow;

use axum::http::HeaderValue;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::no::No;
use crate::mock::{
    deliveries::{draft::LARGEST_BODY, tamper::DeliveryTamper},
    http::endpoint::Endpoint,
    jws::tamper::Tamper,
    start::texts::HeaderText,
};

/// What is to go wrong at an endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointFault {
    pub(super) endpoint: Endpoint,
    pub(super) fault: AtEndpoint,
    /// For so many requests; until it is deleted, if nothing is said.
    pub(super) times: Option<u64>,
    /// `Retry-After`, in seconds.
    pub(super) retry_after: Option<u64>,
    /// The endpoint does its work first, and its answer is lost.
    #[serde(default)]
    pub(super) after: bool,
}

/// A way to answer badly.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AtEndpoint {
    /// Answers with this status and the endpoint's own error, where it has one.
    Status(#[schemars(range(min = 200, max = 999))] u16),
    /// Answers with anything.
    Answer(Anything),
    /// Answers 307 with this address.
    Redirect(#[schemars(with = "HeaderText")] String),
    /// Answers 200 with what is no JSON, said to be JSON.
    Garbage,
    /// Answers so many milliseconds late, but well.
    DelayMs(u64),
    /// Resets the connection.
    Reset,
    /// Closes the connection without a byte.
    DropConnection,
    /// Promises the real answer whole, sends half of it, and closes.
    Truncate,
    /// Never answers.
    Hang,
    /// Sends the beginning of the headers, and no more.
    HangHeaders,
    /// Sends the headers and one byte, and no more.
    HangBody,
    /// Sends the real answer, its body byte by byte with so many milliseconds between.
    DribbleMs(u64),
    /// Sends a body that never ends.
    EndlessBody,
    /// Sends well-formed JSON of so many bytes.
    Huge(u64),
    /// Sends well-formed JSON that unpacks to so many bytes.
    GzipBomb(u64),
}

impl AtEndpoint {
    /// Rejects what cannot be sent.
    pub(super) fn check(&self) -> Result<(), No> {
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

fn check_status(status: u16) -> Result<(), No> {
    if (200..=999).contains(&status) {
        return Ok(());
    }
    let why = format!("`status` is {status}: a final status of HTTP is from 200 to 999");
    Err(No::invalid(why))
}

fn check_header(name: &str, value: &str) -> Result<(), No> {
    if HeaderValue::from_str(value).is_ok() {
        return Ok(());
    }
    let why = format!("`{name}` has characters that no header carries, such as a line break");
    Err(No::invalid(why))
}

/// An answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Anything {
    #[schemars(range(min = 200, max = 999))]
    pub(super) status: u16,
    #[schemars(with = "HeaderText")]
    pub(super) content_type: String,
    pub(super) body: String,
}

/// What is to go wrong with connections, before anything of them is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionFault {
    pub(super) fault: AtConnection,
    /// For so many connections. Without a number, the admin API could not be reached any more.
    pub(super) times: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AtConnection {
    Close,
    Reset,
    Hang,
}

/// How tokens are to be bent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenFault {
    pub(super) token: WhichToken,
    pub(super) tamper: TamperName,
    /// Of this person alone, by slug, id or email address.
    pub(super) person: Option<String>,
    /// For so many tokens; until it is deleted, if nothing is said.
    pub(super) times: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhichToken {
    IdToken,
    AccessToken,
}

/// What is to go wrong with deliveries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookFault {
    pub(super) fault: AtDelivery,
    pub(super) tenant: Option<String>,
    /// For so many attempts; until it is deleted, if nothing is said.
    pub(super) times: Option<u64>,
}

/// A way to deliver badly.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AtDelivery {
    /// Bends it in a known way.
    Tamper(DeliveryTamperName),
    /// It is sent so many times more.
    Duplicate(#[schemars(range(max = MOST_COPIES))] u32),
    /// It is sent so many times, 64 at once.
    Flood(#[schemars(range(max = MOST_COPIES))] u32),
    /// It is never sent, and taken for sent.
    Lose,
    /// It is sent so many seconds later, by the issuer's clock.
    DelaySeconds(u64),
    /// It says that it happened so many seconds earlier.
    StaleSeconds(u64),
    /// It says that it happened so many seconds later.
    AheadSeconds(u64),
    /// Its body is this large, and signed well. Maximum: 64 MiB.
    OversizedBytes(#[schemars(range(max = LARGEST_BODY))] u64),
    /// Its body comes byte by byte, with so many milliseconds between.
    DribbleMs(u64),
}

impl AtDelivery {
    /// Rejects what takes more memory or time than a test has.
    pub(super) fn check(&self) -> Result<(), No> {
        let (name, asked, most) = match self {
            Self::Duplicate(times) => ("duplicate", u64::from(*times), MOST_COPIES),
            Self::Flood(times) => ("flood", u64::from(*times), MOST_COPIES),
            Self::OversizedBytes(bytes) => {
                let most = u64::try_from(LARGEST_BODY).unwrap_or(u64::MAX);
                ("oversized_bytes", *bytes, most)
            }
            _ => return Ok(()),
        };
        if asked <= most {
            return Ok(());
        }
        let why = format!("`{name}` is {asked}, and {most} at most");
        Err(No::invalid(why))
    }
}

/// Maximum number of copies of one delivery.
const MOST_COPIES: u64 = 100_000;

/// A name that the mock's documentation lists.
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

/// Read by its name, as it stands in the code.
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
            D::Error::custom(format!("`{name}` is none of {}", all.join(", ")))
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
