//! Enum values in files and requests. The mock accepts only known values, and therefore rejects a
//! misspelled value. To send unknown values, use [`Tamper`](crate::mock::Tamper).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    mock::switches::Switches,
    wire::{
        cases::Outcome,
        kyc::{KycStatus, KycTier},
    },
};

/// Defines an enum of values and its conversion to the wire type.
macro_rules! values {
    ($(#[$about:meta])+ $name:ident is $target:ty { $($word:ident = $value:expr,)+ }) => {
        $(#[$about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[cfg_attr(feature = "mock-cli", derive(clap::ValueEnum))]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "mock-cli", clap(rename_all = "snake_case"))]
        pub(in crate::mock) enum $name {
            $(#[doc = concat!("`", stringify!($word), "`.")] $word,)+
        }

        impl From<$name> for $target {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$word => $value,)+
                }
            }
        }
    };
}

values! {
    /// Verification status of a person.
    StatusValue is KycStatus {
        Verified = KycStatus::Verified,
        Pending = KycStatus::Pending,
        Rejected = KycStatus::Rejected,
        Unverified = KycStatus::Unverified,
        Expired = KycStatus::Expired,
    }
}

values! {
    /// Verification tier of a person.
    TierValue is KycTier {
        T0 = KycTier::T0,
        T1 = KycTier::T1,
        T2 = KycTier::T2,
        T3 = KycTier::T3,
    }
}

values! {
    /// Outcome of a case.
    OutcomeValue is Outcome {
        Approved = Outcome::Approved,
        Rejected = Outcome::Rejected,
        Review = Outcome::Review,
    }
}

values! {
    /// Member that contains the error code in an error response.
    ErrorField is &'static str {
        Error = "error",
        Code = "code",
        Detail = "detail",
    }
}

impl ErrorField {
    /// Returns the current member, or `None` if Rust code has set another name.
    pub(in crate::mock) fn of(switches: &Switches) -> Option<Self> {
        let all = [Self::Error, Self::Code, Self::Detail];
        all.into_iter()
            .find(|word| <&str>::from(*word) == switches.api_error_field)
    }
}
