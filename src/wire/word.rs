//! Words of the wire that may grow: each known one is a variant, any other is kept as it came.

/// An enum of words, `Unknown(String)` for the rest. Read in any case, written as KYCPort writes
/// them, and an unknown one exactly as it came.
macro_rules! word {
    (
        $(#[$about:meta])*
        pub enum $Name:ident {
            $($(#[$about_variant:meta])* $Variant:ident = $text:literal,)+
        }
        $(#[$about_unknown:meta])*
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Name {
            $($(#[$about_variant])* $Variant,)+
            $(#[$about_unknown])*
            Unknown(String),
        }

        impl $Name {
            /// As it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$Variant => $text,)+
                    Self::Unknown(other) => other,
                }
            }
        }

        impl std::str::FromStr for $Name {
            type Err = std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $(if text.eq_ignore_ascii_case($text) {
                    return Ok(Self::$Variant);
                })+
                Ok(Self::Unknown(text.to_owned()))
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $Name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let Ok(word) = String::deserialize(from)?.parse();
                Ok(word)
            }
        }
    };
}

pub(crate) use word;
