//! Verification status and tier: `kyc_status` and `kyc_tier` (K31, K32, K41).

use std::{
    cmp::Ordering,
    convert::Infallible,
    fmt::{self, Display},
    str::FromStr,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};

use super::word::word;

word! {
    /// Verification status of a person (K41).
    pub enum KycStatus {
        /// `verified`: the verification succeeded.
        Verified = "verified",
        /// `pending`: the verification is in progress.
        Pending = "pending",
        /// `rejected`: the verification failed.
        Rejected = "rejected",
        /// `unverified`: the person was never verified.
        Unverified = "unverified",
        /// `expired`: a former verification is no longer valid.
        Expired = "expired",
    }
    /// Status that this version does not know, with its original text. An unknown status satisfies
    /// no requirement.
}

/// Verification tier of a person, `t0` to `t3` (K41).
///
/// Known tiers are ordered. An unknown tier is comparable only with itself. To check a requirement,
/// use [`satisfies`](Self::satisfies), which always rejects unknown tiers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KycTier {
    /// Tier `t0`, the lowest tier.
    T0,
    /// Tier `t1`, above `t0`.
    T1,
    /// Tier `t2`, above `t1`.
    T2,
    /// Tier `t3`, the highest tier.
    T3,
    /// Tier that this version does not know, with its original text. An unknown tier satisfies no
    /// requirement.
    Unknown(String),
}

impl KycTier {
    const KNOWN: [Self; 4] = [Self::T0, Self::T1, Self::T2, Self::T3];

    /// Returns the tier as KYCPort writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::T0 => "t0",
            Self::T1 => "t1",
            Self::T2 => "t2",
            Self::T3 => "t3",
            Self::Unknown(other) => other,
        }
    }

    /// Returns whether this tier meets the requirement. The result is false if either tier is
    /// unknown.
    pub fn satisfies(&self, required: &Self) -> bool {
        matches!((self.rank(), required.rank()), (Some(own), Some(least)) if own >= least)
    }

    fn rank(&self) -> Option<usize> {
        Self::KNOWN.iter().position(|known| known == self)
    }
}

impl PartialOrd for KycTier {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if self == other {
            return Some(Ordering::Equal);
        }
        Some(self.rank()?.cmp(&other.rank()?))
    }
}

impl FromStr for KycTier {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::KNOWN
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
            .unwrap_or_else(|| Self::Unknown(text.to_owned())))
    }
}

impl Display for KycTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for KycTier {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// Accepts `"t2"`, and also `"T2"` and the number `2`, which KYCPort has sent to some tenants
/// (K32).
impl<'de> Deserialize<'de> for KycTier {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TierVisitor)
    }
}

struct TierVisitor;

impl Visitor<'_> for TierVisitor {
    type Value = KycTier;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tier, t0 to t3")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<KycTier, E> {
        let Ok(tier) = text.parse();
        Ok(tier)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<KycTier, E> {
        let known = usize::try_from(number)
            .ok()
            .and_then(|n| KycTier::KNOWN.get(n));
        Ok(known
            .cloned()
            .unwrap_or_else(|| KycTier::Unknown(number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<KycTier, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

/// Response of the status endpoint (K40). A member that is missing or has another type is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusResponse {
    /// Verification status.
    #[serde(default, deserialize_with = "or_none")]
    pub kyc_status: Option<KycStatus>,
    /// Verification tier.
    #[serde(default, deserialize_with = "or_none")]
    pub kyc_tier: Option<KycTier>,
    /// Whether the AML screening found nothing against the person.
    #[serde(default, deserialize_with = "or_none")]
    pub aml_clear: Option<bool>,
    /// Time of the verification (K31): RFC 3339 text, or seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<serde_json::Value>,
    /// Person of the response. KYCPort does not document this member. If the member is present, it
    /// must match the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_id: Option<serde_json::Value>,
}

/// Error response of the API (K23, K43). One of the members `error`, `detail` and `message`
/// contains the reason.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApiError {
    /// Error code.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub error: Option<String>,
    /// Description for developers.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub detail: Option<String>,
    /// Description for developers.
    #[serde(
        default,
        deserialize_with = "or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub message: Option<String>,
}

/// `Debug` shows the names of the members, and hides their text.
impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("error", &self.error.is_some())
            .field("detail", &self.detail.is_some())
            .field("message", &self.message.is_some())
            .finish()
    }
}

/// Text for developers from an error response of KYCPort. The text may repeat personal data from
/// the request, so `Debug` hides it and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorMessage(String);

impl ErrorMessage {
    /// Maximum length of an error code in a response, in bytes.
    const MAX_CODE_BYTES: usize = 64;

    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns whether `text` can be an error code: a short text without spaces. Error codes are
    /// shown in logs.
    pub(crate) fn is_code(text: &str) -> bool {
        text.len() <= Self::MAX_CODE_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Returns the text as KYCPort sent it. Do not log this text, and do not show it to end users.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ErrorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorMessage(…)")
    }
}

pub(super) fn or_none<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}
