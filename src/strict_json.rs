//! JSON objects in which no name stands twice (RFC 8725 section 3.7, RFC 7515 section 4).

use std::{borrow::Cow, collections::HashSet, fmt, str};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Up to so many names are compared one by one. With more, that would take time by the square of
/// what a stranger sends, and they are hashed.
const FEW: usize = 32;

/// Reads a JSON object, refusing duplicate names at every depth.
pub(crate) fn object(bytes: &[u8]) -> Option<Object<'_>> {
    // Once for all of it, which is faster than string by string.
    let text = str::from_utf8(bytes).ok()?;
    serde_json::from_str(text).ok()
}

/// The outermost object. It has a dozen members, each of which is looked for once and taken out: a
/// list does that in less time than a tree.
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Value)>);

impl Object<'_> {
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let member = self.0.iter().find(|(own, _)| own == name)?;
        Some(&member.1)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// What nobody took.
    pub(crate) fn rest(self) -> Map<String, Value> {
        let owned = self.0.into_iter();
        owned
            .map(|(name, value)| (name.into_owned(), value))
            .collect()
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object without duplicate names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Value)> = Vec::with_capacity(FEW / 2);
        let mut many = HashSet::new();
        while let Some(Name(name)) = map.next_key()? {
            if members.len() == FEW {
                many.extend(members.iter().map(|(name, _)| name.clone()));
            }
            let twice = if members.len() < FEW {
                members.iter().any(|(own, _)| *own == name)
            } else {
                !many.insert(name.clone())
            };
            if twice {
                return Err(A::Error::custom("a name stands twice"));
            }
            let Strict(value) = map.next_value()?;
            members.push((name, value));
        }
        Ok(Object(members))
    }
}

/// A name, borrowed unless it is written with escapes.
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
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::object;

    /// An object of so many names, and one of them (they count from 1) again.
    fn many_names(names: usize, again: usize) -> String {
        let again = (again > 0).then_some(again);
        let members = (1..=names).chain(again).map(|n| format!("\"n{n}\":0"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_member_is_found_taken_once_and_left_if_nobody_takes_it() {
        let mut object = object(br#"{"a":1,"b":null,"c":"x"}"#).unwrap();
        assert!(object.contains("a") && object.contains("b") && !object.contains("d"));
        assert_eq!(object.get("c"), Some(&json!("x")));
        assert_eq!(object.take("a"), Some(json!(1)));
        assert_eq!(object.take("a"), None);
        assert_eq!(json!(object.rest()), json!({"b": null, "c": "x"}));
    }

    #[test]
    fn every_value_reads_as_it_stands() {
        let json =
            r#"{"a":[-1,1.5,1,18446744073709551615,true,null],"b":"\u00e9","c":{"d":[]},"e":-7}"#;
        let whole: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json!(object(json.as_bytes()).unwrap().rest()), whole);
    }

    #[test]
    fn only_objects_without_duplicates() {
        // case 76
        for (json, accepted) in [
            (
                r#"{"a":1,"b":[{"a":1}],"c":null,"d":1.5,"e":-1,"f":true}"#.to_owned(),
                true,
            ),
            (r"{}".to_owned(), true),
            (r#"{"a":1,"a":1}"#.to_owned(), false),
            (r#"{"a":1,"\u0061":1}"#.to_owned(), false),
            (r#"{"x":{"a":1,"a":2}}"#.to_owned(), false),
            (r#"{"x":[{"a":1,"a":2}]}"#.to_owned(), false),
            (many_names(31, 0), true),
            (many_names(31, 31), false),
            (many_names(32, 32), false),
            (many_names(33, 1), false),
            (many_names(33, 33), false),
            (many_names(500, 0), true),
            (many_names(500, 32), false),
            (many_names(500, 33), false),
            (many_names(500, 500), false),
            ("[]".to_owned(), false),
            ("null".to_owned(), false),
            (String::new(), false),
            ("{} {}".to_owned(), false),
            (
                format!("{{\"a\":{}1{}}}", "[".repeat(9999), "]".repeat(9999)),
                false,
            ),
        ] {
            assert_eq!(object(json.as_bytes()).is_some(), accepted, "{json:.60}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none());
    }
}
