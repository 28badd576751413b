//! Tests which keys of a JWK Set the client accepts, and which key verifies a token.

use kycport::oidc::{
    AlgorithmNames, KeySet, KeySetError as E, MAX_KEYS, TokenValidationError as R,
};
use serde_json::{Value, json};

use crate::mint::{ACCESS, ID, KID, Verdict, b64, jwk, key, keys, now};

fn read(set: &Value) -> Result<usize, E> {
    read_with(set, AlgorithmNames::default())
}

fn read_with(set: &Value, names: AlgorithmNames) -> Result<usize, E> {
    KeySet::from_json(set.to_string().as_bytes(), names).map(|keys| keys.len())
}

/// Returns the issuer's key after `change`.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut jwk = jwk(&key(1), KID);
    change(&mut jwk);
    jwk
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    changed(|jwk| jwk[name] = value.into())
}

fn without(name: &str) -> Value {
    changed(|jwk| drop(jwk.as_object_mut().unwrap().remove(name)))
}

#[test]
fn a_set_is_an_object_with_a_list_of_keys() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "{\"keys\":null}",
        "{\"keys\":{}}",
        "{\"keys\":\"\"}",
        "<html>",
        "{\"keys\":[]} x",
        "{\"keys\":[],\"keys\":[]}",
    ] {
        let refused = KeySet::from_json(text.as_bytes(), AlgorithmNames::default());
        assert_eq!(refused.map(drop), Err(E::NotAJwkSet), "{text}");
    }
    let nested = format!("{{\"keys\":{}{}}}", "[".repeat(9999), "]".repeat(9999));
    let refused = KeySet::from_json(nested.as_bytes(), AlgorithmNames::default());
    assert_eq!(refused.map(drop), Err(E::NotAJwkSet));
    let refused = KeySet::from_json(b"{\"keys\":[\"\xff\"]}", AlgorithmNames::default());
    assert_eq!(refused.map(drop), Err(E::NotAJwkSet));
    assert_eq!(read(&json!({"keys": []})), Err(E::NoUsableKey));
    assert_eq!(
        read(&json!({"keys": [jwk(&key(1), KID)], "more": 1})),
        Ok(1)
    );
}

#[test]
fn a_key_set_has_at_most_a_hundred_keys() {
    // Covers threat case 24.
    let many = |n: usize| -> Vec<_> { (0..n).map(|i| jwk(&key(1), &format!("k{i}"))).collect() };
    assert_eq!(MAX_KEYS, 100);
    assert_eq!(read(&json!({"keys": many(100)})), Ok(100));
    assert_eq!(read(&json!({"keys": many(101)})), Err(E::TooManyKeys));
    assert_eq!(read(&json!({"keys": many(10_000)})), Err(E::TooManyKeys));
    // Unusable keys also count towards the limit on keys.
    let mut padded = vec![json!({}); 100];
    padded.push(jwk(&key(1), KID));
    assert_eq!(read(&json!({"keys": padded})), Err(E::TooManyKeys));
}

/// The test reads each key twice: alone, and together with a valid key. The client ignores an
/// unusable key.
#[test]
fn only_ed25519_verification_keys_are_accepted() {
    let mut table = vec![
        ("unchanged", with("alg", "EdDSA"), true),
        ("no alg", without("alg"), true),
        ("no use", without("use"), true),
        ("no kid", without("kid"), true),
        ("unknown member", with("x5t", "abc"), true),
        // Covers threat case 18.
        ("no kty", without("kty"), false),
        ("no crv", without("crv"), false),
        ("no x", without("x"), false),
        ("not an object", json!("key"), false),
        ("null", Value::Null, false),
        (
            "RSA",
            json!({"kty": "RSA", "kid": KID, "n": "AQAB", "e": "AQAB"}),
            false,
        ),
        (
            "EC",
            json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
            false,
        ),
        ("kty lower case", with("kty", "okp"), false),
        ("kty AKP", with("kty", "AKP"), false),
        ("kty is EC, and crv is Ed25519", with("kty", "EC"), false),
        ("X25519", with("crv", "X25519"), false),
        ("Ed448", with("crv", "Ed448"), false),
        ("crv lower case", with("crv", "ed25519"), false),
        ("kid a number", with("kid", 1), false),
        ("x a number", with("x", 1), false),
        // Covers threat case 19.
        ("use enc", with("use", "enc"), false),
        ("use in capitals", with("use", "SIG"), false),
        ("use a list", with("use", json!(["sig"])), false),
        ("verify", with("key_ops", json!(["verify"])), true),
        (
            "sign and verify",
            with("key_ops", json!(["sign", "verify"])),
            true,
        ),
        ("sign only", with("key_ops", json!(["sign"])), false),
        ("encrypt", with("key_ops", json!(["encrypt"])), false),
        ("empty key_ops", with("key_ops", json!([])), false),
        ("key_ops is not a list", with("key_ops", "verify"), false),
        ("alg Ed25519", with("alg", "Ed25519"), false),
        ("alg ES256", with("alg", "ES256"), false),
        ("alg HS256", with("alg", "HS256"), false),
        ("alg none", with("alg", "none"), false),
        // Covers threat case 22.
        (
            "oct",
            json!({"kty": "oct", "kid": KID, "k": "c2VjcmV0", "alg": "HS256"}),
            false,
        ),
        ("kty oct, members of OKP", with("kty", "oct"), false),
    ];
    // Covers threat case 20.
    for size in [0, 1, 31, 33, 72, 4096] {
        table.push(("x has another size", with("x", b64(vec![7; size])), false));
    }
    let mut encoded = (1..).map(|seed| b64(key(seed).verifying_key().to_bytes()));
    let x = encoded.find(|x| x.contains(['-', '_'])).unwrap();
    let bad_base64 = [
        format!("{x}="),
        format!(" {x}"),
        format!("{x}\n"),
        x.replace('-', "+").replace('_', "/"),
        format!("{}{}", &x[..42], spare_bit(&x)),
        "é".repeat(43),
    ];
    for x in bad_base64 {
        table.push(("x is not canonical base64url", with("x", x), false));
    }
    for (name, member, is_accepted) in table {
        let alone = read(&json!({"keys": [member]}));
        assert_eq!(
            alone,
            if is_accepted {
                Ok(1)
            } else {
                Err(E::NoUsableKey)
            },
            "{name}"
        );
        // Covers threat case 18.
        let good = jwk(&key(2), "good");
        for set in [[member.clone(), good.clone()], [good, member]] {
            assert_eq!(
                read(&json!({"keys": set})),
                Ok(1 + usize::from(is_accepted)),
                "{name}"
            );
            let keys = keys(&set);
            let token = ID.header_set("kid", "good");
            let judged = ID.verify_with(&token, &keys, AlgorithmNames::default(), now());
            // The client finds the key with the `kid` of the token. The client rejects the
            // signature, because another key signed the token.
            assert_eq!(judged, Err(R::Signature), "{name}");
        }
    }
}

/// Returns the last character of `x` with its unused lowest bit set.
fn spare_bit(x: &str) -> char {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = x.as_bytes()[42];
    let value = ALPHABET.iter().position(|c| *c == last).unwrap();
    char::from(ALPHABET[value | 1])
}

#[test]
fn alg_ed25519_in_a_key_is_accepted_only_if_configured() {
    // Covers threat case 59.
    let names = AlgorithmNames::EdDsaOrEd25519;
    for (alg, is_accepted) in [("EdDSA", true), ("Ed25519", true), ("Ed448", false)] {
        let set = json!({"keys": [with("alg", alg)]});
        assert_eq!(read_with(&set, names).is_ok(), is_accepted, "{alg}");
    }
}

#[test]
fn weak_and_non_canonical_keys_are_rejected() {
    // Covers threat cases 21, 81.
    let little = |low: u8, rest: u8, high: u8| {
        let mut bytes = [rest; 32];
        (bytes[0], bytes[31]) = (low, high);
        bytes
    };
    let order_eight = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ];
    for (name, x) in [
        ("the identity point", little(1, 0, 0)),
        ("order 2", little(0xec, 0xff, 0x7f)),
        ("order 4", little(0, 0, 0)),
        ("order 4, with the other sign bit", little(0, 0, 0x80)),
        ("order 8", order_eight),
        ("identity, with a sign bit", little(1, 0, 0x80)),
        ("y = p", little(0xed, 0xff, 0x7f)),
        ("y = p + 1", little(0xee, 0xff, 0x7f)),
        // The point has a large order but is encoded as y + p. No correct implementation encodes a
        // point as y + p.
        ("y = p + 3", little(0xf0, 0xff, 0x7f)),
        ("y = p + 4", little(0xf1, 0xff, 0x7f)),
        ("y = 2^255 - 1", little(0xff, 0xff, 0x7f)),
        ("not a point", little(2, 0, 0)),
    ] {
        assert_eq!(
            read(&json!({"keys": [with("x", b64(x))]})),
            Err(E::NoUsableKey),
            "{name}"
        );
    }
}

#[test]
fn a_token_is_verified_by_the_key_with_its_kid() {
    let a = || jwk(&key(1), "a");
    let b = || jwk(&key(2), "b");
    let bare = |seed| {
        let mut jwk = jwk(&key(seed), "");
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    let table: Vec<(&str, Option<&str>, Vec<Value>, Verdict)> = vec![
        ("named", Some("a"), vec![a(), b()], Ok(())),
        (
            "the other key",
            Some("b"),
            vec![a(), b()],
            Err(R::Signature),
        ),
        ("unknown", Some("c"), vec![a(), b()], Err(R::UnknownKey)),
        ("unknown, one key", Some("c"), vec![a()], Err(R::UnknownKey)),
        (
            "the token has a kid, and the key has no kid",
            Some("a"),
            vec![bare(1)],
            Err(R::UnknownKey),
        ),
        // Covers threat case 16.
        ("absent, one key", None, vec![a()], Ok(())),
        ("no kid in token and key", None, vec![bare(1)], Ok(())),
        (
            "absent, two keys",
            None,
            vec![a(), b()],
            Err(R::AmbiguousKey),
        ),
        (
            "the token has no kid, one key has a kid, and one key has no kid",
            None,
            vec![bare(1), b()],
            Err(R::AmbiguousKey),
        ),
        (
            "the token has no kid, and two keys have no kid",
            None,
            vec![bare(1), bare(2)],
            Err(R::AmbiguousKey),
        ),
        (
            "absent, one usable",
            None,
            vec![a(), json!({"kty": "RSA"})],
            Ok(()),
        ),
        // Covers threat case 17.
        (
            "one key occurs twice with the same kid",
            Some("a"),
            vec![a(), a(), b()],
            Err(R::AmbiguousKey),
        ),
        (
            "two keys have the same kid",
            Some("a"),
            vec![a(), jwk(&key(2), "a"), b()],
            Err(R::AmbiguousKey),
        ),
        (
            "thrice",
            Some("a"),
            vec![a(), a(), a(), b()],
            Err(R::AmbiguousKey),
        ),
        (
            "the kid is unique, and another kid is duplicate",
            Some("b"),
            vec![jwk(&key(1), "b"), a(), a()],
            Ok(()),
        ),
        (
            "the token has no kid, and a kid of the set is duplicate",
            None,
            vec![jwk(&key(1), "b"), a(), a()],
            Err(R::AmbiguousKey),
        ),
        (
            "two keys have the same kid, and one key is for encryption",
            Some(KID),
            vec![jwk(&key(1), KID), with("use", "enc")],
            Ok(()),
        ),
    ];
    for (name, kid, members, verdict) in table {
        let keys = keys(&members);
        for mint in [ID, ACCESS] {
            let token = match kid {
                Some(kid) => mint.header_set("kid", kid),
                None => mint.header_without("kid"),
            };
            let judged = mint.verify_with(&token, &keys, AlgorithmNames::default(), now());
            assert_eq!(judged, verdict, "{name}");
        }
    }
}

#[test]
fn a_set_with_only_duplicates_has_no_usable_key() {
    // Covers threat case 17.
    let a = || jwk(&key(1), "a");
    assert_eq!(read(&json!({"keys": [a(), a()]})), Err(E::NoUsableKey));
    assert!(!keys(&[a()]).is_empty());
}

#[test]
fn private_members_are_dropped_and_absent_from_debug_output() {
    // Covers threat case 23.
    let set = json!({"keys": [with("d", "canary")]});
    let keys = KeySet::from_json(set.to_string().as_bytes(), AlgorithmNames::default()).unwrap();
    assert_eq!(keys.len(), 1);
    let debug_output = format!("{keys:?}");
    assert!(
        debug_output.contains("VerifyKey(Ed25519)"),
        "{debug_output}"
    );
    assert!(!debug_output.contains("canary"), "{debug_output}");
}
