//! Macro for enums of protocol values that KYCPort may extend.

/// Defines an enum of known values, and `Unknown(String)` for all other values.
///
/// Parsing ignores case. Serialization writes known values as KYCPort does, and unknown values with
/// their original text.
macro_rules! word {
    (
        $(#[$about:meta])*
        $vis:vis enum $Name:ident {
            $($(#[$about_variant:meta])* $Variant:ident = $text:literal,)+
        }
        $(#[$about_unknown:meta])*
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $vis enum $Name {
            $($(#[$about_variant])* $Variant,)+
            $(#[$about_unknown])*
            Unknown(String),
        }

        impl $Name {
            /// Returns the value as KYCPort writes it.
            $vis fn as_str(&self) -> &str {
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
