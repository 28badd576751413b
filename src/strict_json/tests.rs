use std::borrow::Cow;

use serde_json::json;

use super::{Json, document, map, object, readable};

names! {
    enum Letter {
        A = letters::A,
        B = letters::B,
        D = letters::D,
    }
}

mod letters {
    pub(super) const A: &str = "a";
    pub(super) const B: &str = "b";
    pub(super) const D: &str = "d";
}

/// Returns a JSON object with `names` names. The name at position `again`, counted from 1, occurs
/// twice.
fn many_names(names: usize, again: usize) -> String {
    let again = (again > 0).then_some(again);
    let members = (1..=names).chain(again).map(|n| format!("\"n{n}\":0"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[test]
fn a_member_is_taken_once_and_the_others_remain() {
    let json = br#"{"a":"x","c":[1],"b":null,"e":"y"}"#;
    let mut object = object::<Letter>(json).unwrap();
    assert!(object.contains(Letter::A) && object.contains(Letter::B));
    assert!(!object.contains(Letter::D));
    assert!(matches!(object.get(Letter::A), Some(Json::Text(text)) if text == "x"));
    assert!(matches!(object.take(Letter::A), Some(Json::Text(text)) if text == "x"));
    assert!(object.take(Letter::A).is_none());
    assert!(object.take(Letter::D).is_none());
    let rest = json!({"b": null, "c": [1], "e": "y"});
    assert_eq!(json!(object.rest()), rest);
}

#[test]
fn a_text_without_escapes_is_borrowed() {
    let json = br#"{"a":"plain","\u0062":"\u0061b\n"}"#;
    let mut object = object::<Letter>(json).unwrap();
    let plain = object.take(Letter::A);
    assert!(matches!(plain, Some(Json::Text(Cow::Borrowed("plain")))));
    let escaped = object.take(Letter::B);
    assert!(matches!(escaped, Some(Json::Text(Cow::Owned(text))) if text == "ab\n"));
}

#[test]
fn every_kind_of_value_is_parsed() {
    let json =
        r#"{"a":[-1,1.5,1,18446744073709551615,true,null],"b":"\u00e9","c":{"d":[]},"e":-7}"#;
    let whole: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json!(map(json.as_bytes()).unwrap()), whole);
    let object = object::<Letter>(json.as_bytes()).unwrap();
    assert_eq!(json!(object.rest()), whole);
}

#[test]
fn duplicate_names_are_rejected() {
    // case 76
    for (json, accepted) in [
        (
            r#"{"a":1,"b":[{"a":1}],"c":null,"d":1.5,"e":-1,"f":true}"#.to_owned(),
            true,
        ),
        (r"{}".to_owned(), true),
        (r#"{"a":1,"a":1}"#.to_owned(), false),
        (r#"{"a":1,"\u0061":1}"#.to_owned(), false),
        (r#"{"a":1,"c":1,"e":1,"a":"x"}"#.to_owned(), false),
        (r#"{"c":1,"a":1,"c":1}"#.to_owned(), false),
        (r#"{"c":1,"\u0063":1}"#.to_owned(), false),
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
        assert_eq!(map(json.as_bytes()).is_some(), accepted, "{json:.60}");
        let with_names = object::<Letter>(json.as_bytes());
        assert_eq!(with_names.is_some(), accepted, "{json:.60}");
    }
    assert!(map(b"{\"a\":\"\xff\"}").is_none());
    assert!(object::<Letter>(b"{\"a\":\"\xff\"}").is_none());
}

#[test]
fn only_escapes_of_lone_surrogates_are_replaced() {
    for (json, expected) in [
        (r#"{"a":"plain"}"#, None),
        (r#"{"a":"\ud83d\ude00 \u00e9 \\ud83d \n"}"#, None),
        (r#"{"a":"\ud83d"}"#, Some(r#"{"a":"\ufffd"}"#)),
        (r#"{"a":"\uDE00x"}"#, Some(r#"{"a":"\ufffdx"}"#)),
        (
            r#"{"a":"\ud83d\ud83d\ude00"}"#,
            Some(r#"{"a":"\ufffd\ud83d\ude00"}"#),
        ),
        (r#"{"a":"\ude00\ud83d"}"#, Some(r#"{"a":"\ufffd\ufffd"}"#)),
        (r#"{"a":"\\\ud83d"}"#, Some(r#"{"a":"\\\ufffd"}"#)),
        (r#"{"a":"\ud83d\n"}"#, Some(r#"{"a":"\ufffd\n"}"#)),
        (r#"{"a":"\ud83"#, None),
        (r#"{"a":"\u+83d"}"#, None),
        (r#"{"a":"\"#, None),
    ] {
        let read = readable(json.as_bytes());
        assert_eq!(matches!(read, Cow::Owned(_)), expected.is_some(), "{json}");
        assert_eq!(&*read, expected.unwrap_or(json).as_bytes(), "{json}");
    }
    assert_eq!(
        json!(map(br#"{"a":"x\ud83d","b":1}"#).unwrap()),
        json!({"a": "x\u{fffd}", "b": 1})
    );
}

#[test]
fn a_document_is_an_object_with_or_without_a_byte_order_mark() {
    for (bytes, is_document) in [
        (&b"{\"a\":1}"[..], true),
        (b"\xEF\xBB\xBF {\"a\":1}", true),
        (b"\xEF\xBB\xBF\xEF\xBB\xBF{}", false),
        (b"[1]", false),
        (b"", false),
    ] {
        let read = document::<serde_json::Value>(bytes);
        assert_eq!(read.is_some(), is_document, "{bytes:?}");
    }
}
