//! Parser for JSON objects that rejects duplicate names (RFC 8725 section 3.7, RFC 7515
//! section 4).

use std::{borrow::Cow, collections::HashSet, fmt, marker::PhantomData, str};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Maximum number of names outside [`Names`] that the parser compares one by one. The parser hashes
/// further names, because comparing all pairs takes quadratic time on untrusted input.
const MAX_COMPARED: usize = 32;

/// Names that a reader looks up, each with an index.
pub(crate) trait Names: Copy + 'static {
    const ALL: &'static [Self];

    fn of(name: &str) -> Option<Self>;

    fn as_str(self) -> &'static str;

    fn index(self) -> usize;
}

/// Defines an enum of names and implements [`Names`] for it.
macro_rules! names {
    (
        $(#[$about:meta])*
        $vis:vis enum $Name:ident { $($Variant:ident = $text:path,)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $Name {
            $($Variant,)*
        }

        impl $crate::strict_json::Names for $Name {
            const ALL: &'static [Self] = &[$(Self::$Variant,)*];

            fn of(name: &str) -> Option<Self> {
                Some(match name {
                    $($text => Self::$Variant,)*
                    _ => return None,
                })
            }

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $text,)*
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

pub(crate) use names;

/// Parses a JSON object, and rejects duplicate names at every depth.
pub(crate) fn object<N: Names>(bytes: &[u8]) -> Option<Object<'_, N>> {
    // Check the UTF-8 of the whole text first, because this is faster than a check of each string.
    let text = str::from_utf8(bytes).ok()?;
    serde_json::from_str(text).ok()
}

/// Parses a JSON object into a map.
pub(crate) fn map(bytes: &[u8]) -> Option<Map<String, Value>> {
    object::<NoName>(&readable(bytes)).map(Object::rest)
}

/// Parses a document that is a JSON object. Ignores a byte order mark at the start, as RFC 8259
/// section 8.1 permits.
pub(crate) fn document<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    // `serde` would also accept an array with the fields in order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(&readable(bytes)).ok()
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Replaces each escape of a lone surrogate (`\ud83d` without the second half) by `\ufffd`.
///
/// JSON allows the escape of a lone surrogate (RFC 8259 section 8.2), but a Rust string cannot
/// contain it. `serde_json` would reject the whole document because of one such member. After the
/// replacement, different texts may be equal. Callers must therefore reject U+FFFD in every member
/// that they compare.
pub(crate) fn readable(json: &[u8]) -> Cow<'_, [u8]> {
    let mut readable = Cow::Borrowed(json);
    let mut at = 0_usize;
    while let Some(rest) = json.get(at..)
        && let Some(backslash) = rest.iter().position(|byte| *byte == b'\\')
    {
        let escape = rest.get(backslash..).unwrap_or_default();
        let start = at.saturating_add(backslash);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                let end = start.saturating_add(6);
                if let Some(lone) = readable.to_mut().get_mut(start..end) {
                    lone.copy_from_slice(b"\\ufffd");
                }
                6
            }
            _ => 2,
        };
        at = start.saturating_add(length);
    }
    readable
}

/// Returns the UTF-16 code unit of an escape `\uXXXX`.
fn unit(escape: &[u8]) -> Option<u16> {
    let digits = escape.strip_prefix(b"\\u")?.get(..4)?;
    let digits = str::from_utf8(digits).ok()?;
    // Check the digits first, because `from_str_radix` would also accept a sign.
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

/// The outermost object. The parser finds known members by index, which is faster than a tree or a
/// hash map.
pub(crate) struct Object<'a, N: Names> {
    /// Values, indexed by name. The values are on the heap, because the object is moved several
    /// times.
    known: Vec<Option<Json<'a>>>,
    names: PhantomData<N>,
    others: Vec<(Cow<'a, str>, Json<'a>)>,
}

/// Value of a member. A text without escapes borrows from the input, so a comparison allocates no
/// memory.
pub(crate) enum Json<'a> {
    Text(Cow<'a, str>),
    Other(Value),
}

impl Json<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.into_owned()),
            Self::Other(value) => value,
        }
    }
}

impl<'a, N: Names> Object<'a, N> {
    pub(crate) fn contains(&self, name: N) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn get(&self, name: N) -> Option<&Json<'a>> {
        self.known.get(name.index())?.as_ref()
    }

    pub(crate) fn take(&mut self, name: N) -> Option<Json<'a>> {
        self.known.get_mut(name.index())?.take()
    }

    /// Returns the members that [`take`](Self::take) did not remove.
    pub(crate) fn rest(self) -> Map<String, Value> {
        let mut rest = Map::new();
        for (name, value) in N::ALL.iter().zip(self.known) {
            if let Some(value) = value {
                rest.insert(name.as_str().to_owned(), value.into_value());
            }
        }
        for (name, value) in self.others {
            rest.insert(name.into_owned(), value.into_value());
        }
        rest
    }
}

#[derive(Clone, Copy)]
enum NoName {}

impl Names for NoName {
    const ALL: &'static [Self] = &[];

    fn of(_: &str) -> Option<Self> {
        None
    }

    fn as_str(self) -> &'static str {
        match self {}
    }

    fn index(self) -> usize {
        match self {}
    }
}

impl<'de, N: Names> Deserialize<'de> for Object<'de, N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<N>(PhantomData<N>);

impl<'de, N: Names> Visitor<'de> for ObjectVisitor<N> {
    type Value = Object<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object without duplicate names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de, N>, A::Error> {
        let duplicate = || A::Error::custom("duplicate name");
        let mut known = Vec::new();
        known.resize_with(N::ALL.len(), || None);
        let mut others: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        let mut many = HashSet::new();
        while let Some(Name(name)) = map.next_key()? {
            let index = N::of(&name).map(N::index);
            if let Some(slot) = index.and_then(|at| known.get_mut(at)) {
                if slot.replace(map.next_value()?).is_some() {
                    return Err(duplicate());
                }
                continue;
            }
            if others.len() == MAX_COMPARED {
                many.extend(others.iter().map(|(name, _)| name.clone()));
            }
            let is_new = if others.len() < MAX_COMPARED {
                others.iter().all(|(own, _)| *own != name)
            } else {
                many.insert(name.clone())
            };
            if !is_new {
                return Err(duplicate());
            }
            others.push((name, map.next_value()?));
        }
        Ok(Object {
            known,
            names: PhantomData,
            others,
        })
    }
}

/// Name of a member. A name without escapes borrows from the input.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(NameVisitor).map(Name)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(JsonVisitor)
    }
}

/// Visitor that borrows texts, and delegates other values to [`StrictVisitor`].
struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        StrictVisitor.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'de>, E> {
        StrictVisitor.visit_unit().map(Json::Other)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json<'de>, E> {
        StrictVisitor.visit_bool(value).map(Json::Other)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json<'de>, E> {
        StrictVisitor.visit_i64(value).map(Json::Other)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json<'de>, E> {
        StrictVisitor.visit_u64(value).map(Json::Other)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json<'de>, E> {
        StrictVisitor.visit_f64(value).map(Json::Other)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Json<'de>, A::Error> {
        StrictVisitor.visit_seq(seq).map(Json::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Json<'de>, A::Error> {
        StrictVisitor.visit_map(map).map(Json::Other)
    }
}

/// Value below the outermost object.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate names")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let Strict(value) = map.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate name"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
