//! The words of the wire as files and requests may say them: the known ones alone, so that a slip of
//! the pen is refused. What nobody knows is sent by [`Tamper`](crate::mock::Tamper).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    mock::switches::Switches,
    wire::{
        cases::Outcome,
        kyc::{KycStatus, KycTier},
    },
};

/// Defines an enum of words, and what each is.
macro_rules! words {
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

words! {
    /// Where a person's verification stands.
    StatusWord is KycStatus {
        Verified = KycStatus::Verified,
        Pending = KycStatus::Pending,
        Rejected = KycStatus::Rejected,
        Unverified = KycStatus::Unverified,
        Expired = KycStatus::Expired,
    }
}

words! {
    /// How well a person is verified.
    TierWord is KycTier {
        T0 = KycTier::T0,
        T1 = KycTier::T1,
        T2 = KycTier::T2,
        T3 = KycTier::T3,
    }
}

words! {
    /// What was decided on a case.
    OutcomeWord is Outcome {
        Approved = Outcome::Approved,
        Rejected = Outcome::Rejected,
        Review = Outcome::Review,
    }
}

words! {
    /// The field of a status refusal that the code stands in.
    ErrorField is &'static str {
        Error = "error",
        Code = "code",
        Detail = "detail",
    }
}

impl ErrorField {
    /// None if it was switched to something else in Rust.
    pub(in crate::mock) fn of(switches: &Switches) -> Option<Self> {
        let all = [Self::Error, Self::Code, Self::Detail];
        all.into_iter()
            .find(|word| <&str>::from(*word) == switches.api_error_field)
    }
}
