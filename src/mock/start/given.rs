//! What may be left out, said, or said to be nothing.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A member that tells `null` from what is left out. It needs `#[serde(default)]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::mock) enum Given<T> {
    #[default]
    Unsaid,
    Nothing,
    Value(T),
}

impl<T> Given<T> {
    pub(in crate::mock) fn of(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Self::Value)
    }

    /// Puts what was said there.
    pub(in crate::mock) fn set<U>(self, to: &mut Option<U>, as_it_is_there: impl FnOnce(T) -> U) {
        match self {
            Self::Unsaid => {}
            Self::Nothing => *to = None,
            Self::Value(value) => *to = Some(as_it_is_there(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(Self::of)
    }
}

impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => to.serialize_some(value),
            Self::Unsaid | Self::Nothing => to.serialize_none(),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Given<T> {
    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}
