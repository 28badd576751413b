//! Tests that the SDK rejects invalid ID tokens and invalid access tokens. Each test covers both
//! token types.

use kycport::{
    Timestamp,
    oidc::{
        AlgorithmNames,
        ClaimError::{Future, Mismatch, Missing, Mistyped, Past},
        MAX_TOKEN_BYTES, TokenKind,
        TokenPart::{Header, Payload},
        TokenValidationError as R,
    },
};
use serde_json::{Value, json};

use crate::mint::{
    ACCESS, CLIENT, ID, ISSUER, KID, Mint, NOW, SKEW, Verdict, b64, claim, jwk, key, keys, now,
    sign_input, sign_parts, signature_of, with_signature,
};

type Row = (&'static str, String, Verdict);

/// Verifies each row of the table that `rows` creates, for both token types.
fn check_table(rows: impl Fn(Mint) -> Vec<Row>) {
    for mint in [ID, ACCESS] {
        for (name, token, verdict) in rows(mint) {
            assert_eq!(mint.verify(&token), verdict, "{}: {name}", mint.0);
        }
    }
}

/// Returns `token` after `change` has changed part `index`. This function does not recompute the
/// signature.
fn altered(token: &str, index: usize, change: impl FnOnce(&str) -> String) -> String {
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts[index] = change(&parts[index]);
    parts.join(".")
}

/// Returns this part of the token with one inverted bit.
fn bit_flipped(part: &str, bit: usize) -> String {
    let mut bytes = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, part).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    b64(bytes)
}

#[test]
fn a_valid_token_is_accepted() {
    check_table(|mint| vec![("unchanged", mint.good(), Ok(()))]);
}

#[test]
fn a_token_with_one_inverted_bit_is_rejected() {
    // Covers threat case 56.
    for mint in [ID, ACCESS] {
        let good = mint.good();
        for index in 0..3 {
            let part = good.split('.').nth(index).unwrap();
            for bit in 0..part.len() * 6 / 8 * 8 {
                let token = altered(&good, index, |part| bit_flipped(part, bit));
                assert!(
                    mint.verify(&token).is_err(),
                    "bit {bit} of part {index} is inverted"
                );
            }
        }
    }
}

#[test]
fn only_the_issuers_signature_over_these_bytes_is_accepted() {
    let other_key = |mint: Mint| {
        let good = mint.good();
        let (input, _) = good.rsplit_once('.').unwrap();
        let signature = ed25519_dalek::Signer::sign(&key(2), input.as_bytes());
        with_signature(&good, &signature.to_bytes())
    };
    check_table(|mint| {
        let good = mint.good();
        let other = mint.set("sub", "person-2");
        let signature = signature_of(&good);
        vec![
            // Covers threat case 56.
            (
                "no signature",
                with_signature(&good, &[]),
                Err(R::Signature),
            ),
            ("by another key", other_key(mint), Err(R::Signature)),
            (
                "of another token",
                with_signature(&good, &signature_of(&other)),
                Err(R::Signature),
            ),
            (
                "the payload is from another token",
                altered(&good, 1, |_| other.split('.').nth(1).unwrap().to_owned()),
                Err(R::Signature),
            ),
            (
                "the header has another encoding",
                altered(&good, 0, |_| b64(format!("{} ", mint.header()))),
                Err(R::Signature),
            ),
            // Covers threat case 80.
            (
                "63 bytes",
                with_signature(&good, &signature[..63]),
                Err(R::Signature),
            ),
            (
                "65 bytes",
                with_signature(&good, &[&signature[..], &[0]].concat()),
                Err(R::Signature),
            ),
            (
                "twice",
                with_signature(&good, &[signature, signature].concat()),
                Err(R::Signature),
            ),
            (
                "S + L",
                with_signature(&good, &plus(signature, &ORDER)),
                Err(R::Signature),
            ),
            (
                "S + 2^253",
                with_signature(&good, &plus(signature, &power_of_two(253))),
                Err(R::Signature),
            ),
            (
                "S + 2^255",
                with_signature(&good, &plus(signature, &power_of_two(255))),
                Err(R::Signature),
            ),
            (
                "R is not a point",
                with_signature(&good, &[&[0x02; 32][..], &signature[32..]].concat()),
                Err(R::Signature),
            ),
            (
                "all zeros",
                with_signature(&good, &[0; 64]),
                Err(R::Signature),
            ),
        ]
    });
}

/// Order L of the group in little-endian bytes (RFC 8032 section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn power_of_two(exponent: usize) -> [u8; 32] {
    let mut number = [0; 32];
    number[exponent / 8] = 1 << (exponent % 8);
    number
}

/// Returns the signature with `number` added to its S.
fn plus(mut signature: [u8; 64], number: &[u8; 32]) -> [u8; 64] {
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(number) {
        let sum = u16::from(*byte) + u16::from(*add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    signature
}

#[test]
fn only_the_algorithm_eddsa_is_accepted() {
    check_table(|mint| {
        let mut rows = vec![
            // Covers threat case 57.
            ("absent", mint.header_without("alg"), Err(R::Algorithm)),
            (
                "null",
                mint.header_set("alg", Value::Null),
                Err(R::Algorithm),
            ),
            (
                "a list",
                mint.header_set("alg", json!(["EdDSA"])),
                Err(R::Algorithm),
            ),
            ("a number", mint.header_set("alg", 1), Err(R::Algorithm)),
        ];
        for alg in [
            // Covers threat case 57.
            "none",
            "None",
            "NONE",
            "NoNe",
            "nonE",
            "", // case 58
            "HS256",
            "HS512",
            "RS256",
            "PS256",
            "ES256",
            "ES256K",
            "Ed448", // case 59
            "Ed25519",
            "eddsa",
            "EDDSA",
            "EdDSA ",
            "Ed25519ph",
        ] {
            rows.push((alg, mint.header_set("alg", alg), Err(R::Algorithm)));
        }
        // Threat case 57: the token also has no signature
        let unsigned = with_signature(&mint.header_set("alg", "none"), &[]);
        rows.push(("none, unsigned", unsigned, Err(R::Algorithm)));
        rows
    });
}

#[test]
fn the_algorithm_name_ed25519_is_accepted_only_if_configured() {
    // Covers threat case 59.
    let names = AlgorithmNames::EdDsaOrEd25519;
    for mint in [ID, ACCESS] {
        for (alg, verdict) in [
            ("EdDSA", Ok(())),
            ("Ed25519", Ok(())),
            ("ed25519", Err(R::Algorithm)),
            ("Ed448", Err(R::Algorithm)),
            ("none", Err(R::Algorithm)),
        ] {
            let token = mint.header_set("alg", alg);
            let keys = keys(&[jwk(&key(1), KID)]);
            let judged = mint.verify_with(&token, &keys, names, now());
            assert_eq!(judged, verdict, "{alg}");
        }
    }
}

#[test]
fn keys_in_the_token_header_are_ignored() {
    // Covers threat case 60.
    let attacker = key(2);
    for (name, value) in [
        ("jwk", jwk(&attacker, KID)),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        for mint in [ID, ACCESS] {
            // The client ignores keys in the header. The client accepts the issuer's signature and
            // rejects the attacker's signature.
            let token = mint.header_set(name, value.clone());
            assert_eq!(mint.verify(&token), Ok(()), "{name}");
            let (input, _) = token.rsplit_once('.').unwrap();
            let forged = ed25519_dalek::Signer::sign(&attacker, input.as_bytes());
            let forged = with_signature(&token, &forged.to_bytes());
            assert_eq!(mint.verify(&forged), Err(R::Signature), "{name}");
        }
    }
}

#[test]
fn the_kid_only_selects_a_known_key() {
    check_table(|mint| {
        let mut rows = vec![
            ("a number", mint.header_set("kid", 1), Err(R::UnknownKey)),
            (
                "null",
                mint.header_set("kid", Value::Null),
                Err(R::UnknownKey),
            ),
            (
                "a list",
                mint.header_set("kid", json!([KID])),
                Err(R::UnknownKey),
            ),
            // Covers threat case 16.
            (
                "the kid is absent, and the set has one key",
                mint.header_without("kid"),
                Ok(()),
            ),
            // Covers threat case 61.
            (
                "ten thousand bytes",
                mint.header_set("kid", "k".repeat(10_000)),
                Err(R::UnknownKey),
            ),
            (
                "a megabyte",
                mint.header_set("kid", "k".repeat(1 << 20)),
                Err(R::TooLong),
            ),
        ];
        for kid in [
            "",
            "key-2",
            "KEY-1",
            "key-1 ",
            "key-1\u{0}",
            "../../key-1",
            "/dev/null",
            "' OR '1'='1",
            "key-1'; DROP TABLE keys;--",
            "https://evil.example/jwks",
        ] {
            rows.push((kid, mint.header_set("kid", kid), Err(R::UnknownKey)));
        }
        rows
    });
}

#[test]
fn extensions_and_encrypted_tokens_are_rejected() {
    check_table(|mint| {
        vec![
            // Covers threat case 62.
            (
                "crit",
                mint.header_set("crit", json!(["exp"])),
                Err(R::Extension),
            ),
            (
                "empty crit",
                mint.header_set("crit", json!([])),
                Err(R::Extension),
            ),
            (
                "crit null",
                mint.header_set("crit", Value::Null),
                Err(R::Extension),
            ),
            (
                "b64 false",
                mint.header_set("b64", false),
                Err(R::Extension),
            ),
            ("b64 true", mint.header_set("b64", true), Err(R::Extension)),
            (
                "crit and b64",
                mint.with_header(|header| {
                    header["crit"] = json!(["b64"]);
                    header["b64"] = json!(false);
                }),
                Err(R::Extension),
            ),
            // Covers threat case 79.
            ("zip", mint.header_set("zip", "DEF"), Err(R::Extension)),
            ("nested", mint.header_set("cty", "JWT"), Err(R::Extension)),
            ("enc", mint.header_set("enc", "A256GCM"), Err(R::Encrypted)),
            (
                "JWE",
                format!("{}.a.b.c.d", b64(r#"{"alg":"dir","enc":"A256GCM"}"#)),
                Err(R::Encrypted),
            ),
            (
                "five parts, signed",
                sign_input(&format!("{}.a.b", good_input(mint))),
                Err(R::Encrypted),
            ),
            ("five empty parts", "....".to_owned(), Err(R::Encrypted)),
        ]
    });
}

fn good_input(mint: Mint) -> String {
    let good = mint.good();
    good.rsplit_once('.').unwrap().0.to_owned()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn duplicate_names_and_invalid_json_are_rejected() {
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    check_table(|mint| {
        let header = mint.header().to_string();
        let claims = mint.claims().to_string();
        let reopened = |json: &str, more: &str| format!("{},{more}}}", &json[..json.len() - 1]);
        let parts = |header: &[u8], payload: &[u8]| sign_parts(&b64(header), &b64(payload));
        let in_header = |bytes: &[u8]| parts(bytes, claims.as_bytes());
        let in_payload = |bytes: &[u8]| parts(header.as_bytes(), bytes);
        vec![
            // Covers threat case 76.
            (
                "duplicate alg",
                mint.raw_header(&reopened(&header, r#""alg":"EdDSA""#)),
                Err(R::NotJson(Header)),
            ),
            (
                "duplicate unknown header",
                mint.raw_header(&reopened(&header, r#""a":1,"a":1"#)),
                Err(R::NotJson(Header)),
            ),
            (
                "the kid occurs twice, once escaped",
                mint.raw_header(&reopened(&header, r#""\u006bid":"key-1""#)),
                Err(R::NotJson(Header)),
            ),
            (
                "duplicate iss",
                mint.raw_payload(&reopened(&claims, &format!(r#""iss":"{ISSUER}""#))),
                Err(R::NotJson(Payload)),
            ),
            (
                "duplicate unknown claim",
                mint.raw_payload(&reopened(&claims, r#""a":1,"a":2"#)),
                Err(R::NotJson(Payload)),
            ),
            (
                "a claim contains a duplicate name",
                mint.raw_payload(&reopened(&claims, r#""a":{"b":1,"b":2}"#)),
                Err(R::NotJson(Payload)),
            ),
            (
                "the header contains invalid UTF-8",
                in_header(b"{\"alg\":\"EdDSA\",\"a\":\"\xff\"}"),
                Err(R::NotJson(Header)),
            ),
            (
                "the payload contains invalid UTF-8",
                in_payload(b"{\"iss\":\"\xc0\x80\"}"),
                Err(R::NotJson(Payload)),
            ),
            (
                "deeply nested payload",
                mint.raw_payload(&reopened(&claims, &format!(r#""a":{deep}"#))),
                Err(R::NotJson(Payload)),
            ),
            (
                "deeply nested header",
                mint.raw_header(&reopened(&header, &format!(r#""a":{deep}"#))),
                Err(R::NotJson(Header)),
            ),
            (
                "a number is out of range",
                mint.raw_payload(&reopened(&claims, r#""a":1e999"#)),
                Err(R::NotJson(Payload)),
            ),
            (
                "byte order mark",
                mint.raw_payload(&format!("\u{feff}{claims}")),
                Err(R::NotJson(Payload)),
            ),
            (
                "trailing data",
                mint.raw_payload(&format!("{claims}{{}}")),
                Err(R::NotJson(Payload)),
            ),
            (
                "an unused claim contains a lone surrogate",
                mint.raw_payload(&reopened(&claims, r#""name":"Ada \ud83d""#)),
                Ok(()),
            ),
            (
                "the header contains a lone surrogate",
                mint.raw_header(&reopened(&header, r#""a":"\udc00""#)),
                Ok(()),
            ),
            (
                "a duplicate claim follows a lone surrogate",
                mint.raw_payload(&reopened(&claims, r#""a":"\ud800","a":1"#)),
                Err(R::NotJson(Payload)),
            ),
            (
                "the object is in a list",
                mint.raw_payload(&format!("[{claims}]")),
                Err(R::NotJson(Payload)),
            ),
            // White space and unknown names are valid JSON.
            (
                "white space",
                mint.raw_payload(&format!(" {claims}\n")),
                Ok(()),
            ),
            (
                "an unknown claim",
                mint.set("a", json!({"b": [1, 2.5, null, true]})),
                Ok(()),
            ),
        ]
    });
}

#[test]
fn header_and_payload_must_be_json_objects() {
    // Covers threat case 76.
    check_table(|mint| {
        let mut rows = Vec::new();
        for text in ["", "null", "1", "\"text\"", "[]", "{", "{}{}", "{'a':1}"] {
            rows.push(("payload", mint.raw_payload(text), Err(R::NotJson(Payload))));
            rows.push(("header", mint.raw_header(text), Err(R::NotJson(Header))));
        }
        rows
    });
}

#[test]
fn a_token_must_have_three_parts_of_canonical_base64url() {
    let json_form = |token: &str| {
        let mut parts = token.split('.');
        let mut next = || parts.next().unwrap();
        json!({"protected": next(), "payload": next(), "signature": next()}).to_string()
    };
    check_table(|mint| {
        let good = mint.good();
        let parts = || good.split('.');
        let (header, claims) = (mint.header().to_string(), mint.claims().to_string());
        // With these lengths, the last base64url character has unused bits.
        let long = |text: &str| format!("{text:0$}", text.len().next_multiple_of(3) + 1);
        let whole = format!("{header:0$}", header.len().next_multiple_of(3));
        let (header, claims) = (b64(long(&header)), b64(long(&claims)));
        let spare = |part: &str| format!("{}{}", &part[..part.len() - 1], "h");
        let mut rows = vec![
            // Covers threat case 77.
            ("empty", String::new(), Err(R::NotCompact)),
            ("one part", parts().take(1).collect(), Err(R::NotCompact)),
            (
                "two parts",
                parts().take(2).collect::<Vec<_>>().join("."),
                Err(R::NotCompact),
            ),
            ("two empty parts", ".".to_owned(), Err(R::NotCompact)),
            (
                "three empty parts",
                "..".to_owned(),
                Err(R::NotJson(Header)),
            ),
            (
                "four parts",
                sign_input(&format!("{}.e30", good_input(mint))),
                Err(R::NotCompact),
            ),
            (
                "the token has an empty fourth part",
                format!("{good}."),
                Err(R::NotCompact),
            ),
            ("six parts", format!("{good}.a.b.c"), Err(R::NotCompact)),
            ("JSON form", json_form(&good), Err(R::NotCompact)),
            ("space before", format!(" {good}"), Err(R::NotCompact)),
            ("space after", format!("{good} "), Err(R::NotCompact)),
            ("line end after", format!("{good}\n"), Err(R::NotCompact)),
            (
                "detached payload",
                altered(&good, 1, |_| String::new()),
                Err(R::Signature),
            ),
            ("not ASCII", format!("{good}é"), Err(R::NotCompact)),
            (
                "padded header",
                sign_parts(&format!("{header}=="), &claims),
                Err(R::NotCompact),
            ),
            (
                "padded payload",
                sign_parts(&header, &format!("{claims}==")),
                Err(R::NotCompact),
            ),
            ("padded signature", format!("{good}=="), Err(R::NotCompact)),
            ("no spare bits", sign_parts(&header, &claims), Ok(())),
            (
                "the header has spare bits",
                sign_parts(&spare(&header), &claims),
                Err(R::NotCompact),
            ),
            (
                "the payload has spare bits",
                sign_parts(&header, &spare(&claims)),
                Err(R::NotCompact),
            ),
            (
                "the signature has spare bits",
                altered(&good, 2, spare),
                Err(R::NotCompact),
            ),
            (
                "one excess character",
                sign_parts(&format!("{}A", b64(whole)), &claims),
                Err(R::NotCompact),
            ),
        ];
        for (index, name) in ["header", "payload", "signature"].into_iter().enumerate() {
            for bad in ["+", "/", "=", " ", "\n", "%", "\0"] {
                let token = altered(&good, index, |part| format!("{bad}{}", &part[1..]));
                rows.push((name, token, Err(R::NotCompact)));
            }
        }
        rows
    });
}

#[test]
fn a_token_over_the_size_limit_is_rejected() {
    check_table(|mint| {
        vec![
            // Covers threat case 78.
            ("dots", ".".repeat(MAX_TOKEN_BYTES), Err(R::NotCompact)),
            ("a million dots", ".".repeat(1_000_000), Err(R::TooLong)),
            ("ten megabytes", "A".repeat(10 << 20), Err(R::TooLong)),
            ("maximum length", mint.of_length(MAX_TOKEN_BYTES), Ok(())),
            (
                "the token is one byte too long",
                mint.of_length(MAX_TOKEN_BYTES + 1),
                Err(R::TooLong),
            ),
        ]
    });
}

#[test]
fn the_issuer_must_match_exactly() {
    check_table(|mint| {
        let mut rows = vec![
            // Covers threat case 64.
            ("absent", mint.without("iss"), claim("iss", Missing)),
            ("null", mint.set("iss", Value::Null), claim("iss", Mistyped)),
            ("a number", mint.set("iss", 7), claim("iss", Mistyped)),
            // Covers threat case 65.
            (
                "the issuer is in a list",
                mint.set("iss", json!([ISSUER])),
                claim("iss", Mistyped),
            ),
        ];
        for iss in [
            // Covers threat case 64.
            "",
            "https://evil.example",
            "https://www.kycport.com/",
            "https://WWW.kycport.com",
            "http://www.kycport.com",
            "https://kycport.com",
            "https://www.kycport.com:443",
            "https://www.kycport.com ",
            "https://www.kycport.c\u{043e}m",
            // Covers threat case 65.
            "https://www.kycport.co",
            "https://www.kycport.com.evil.example",
            "kycport",
        ] {
            rows.push((iss, mint.set("iss", iss), claim("iss", Mismatch)));
        }
        rows
    });
}

#[test]
fn the_client_must_be_the_only_audience() {
    check_table(|mint| {
        vec![
            // Covers threat cases 66, 85.
            ("absent", mint.without("aud"), claim("aud", Missing)),
            ("null", mint.set("aud", Value::Null), claim("aud", Mistyped)),
            ("a number", mint.set("aud", 1), claim("aud", Mistyped)),
            (
                "an object",
                mint.set("aud", json!({CLIENT: true})),
                claim("aud", Mistyped),
            ),
            (
                "another",
                mint.set("aud", "client-2"),
                claim("aud", Mismatch),
            ),
            (
                "the audience is a prefix of the client id",
                mint.set("aud", "client"),
                claim("aud", Mismatch),
            ),
            (
                "the audience is the client id with a suffix",
                mint.set("aud", "client-11"),
                claim("aud", Mismatch),
            ),
            (
                "different case",
                mint.set("aud", "Client-1"),
                claim("aud", Mismatch),
            ),
            (
                "one string contains several audiences",
                mint.set("aud", "client-1 client-2"),
                claim("aud", Mismatch),
            ),
            // Covers threat case 67.
            (
                "the list contains only the client id",
                mint.set("aud", json!([CLIENT])),
                Ok(()),
            ),
            (
                "an empty list",
                mint.set("aud", json!([])),
                claim("aud", Mismatch),
            ),
            (
                "the list contains only another client",
                mint.set("aud", json!(["client-2"])),
                claim("aud", Mismatch),
            ),
            (
                "another audience follows the client id",
                mint.set("aud", json!([CLIENT, "client-2"])),
                claim("aud", Mismatch),
            ),
            (
                "another audience precedes the client id",
                mint.set("aud", json!(["client-2", CLIENT])),
                claim("aud", Mismatch),
            ),
            (
                "the list contains the client id twice",
                mint.set("aud", json!([CLIENT, CLIENT])),
                claim("aud", Mismatch),
            ),
            (
                "the list contains a list",
                mint.set("aud", json!([[CLIENT]])),
                claim("aud", Mismatch),
            ),
            (
                "the list contains a number",
                mint.set("aud", json!([1])),
                claim("aud", Mismatch),
            ),
        ]
    });
}

#[test]
fn azp_must_be_the_client_if_present() {
    // Covers threat case 68.
    check_table(|mint| {
        vec![
            ("us", mint.set("azp", CLIENT), Ok(())),
            (
                "another",
                mint.set("azp", "client-2"),
                claim("azp", Mismatch),
            ),
            ("empty", mint.set("azp", ""), claim("azp", Mismatch)),
            ("null", mint.set("azp", Value::Null), Ok(())),
            (
                "a list",
                mint.set("azp", json!([CLIENT])),
                claim("azp", Mistyped),
            ),
        ]
    });
}

#[test]
fn the_subject_must_be_present_and_of_valid_length() {
    // Covers threat case 73.
    check_table(|mint| {
        vec![
            ("absent", mint.without("sub"), claim("sub", Missing)),
            ("null", mint.set("sub", Value::Null), claim("sub", Mistyped)),
            ("a number", mint.set("sub", 42), claim("sub", Mistyped)),
            (
                "a list",
                mint.set("sub", json!(["person-1"])),
                claim("sub", Mistyped),
            ),
            ("empty", mint.set("sub", ""), claim("sub", Mistyped)),
            ("one byte", mint.set("sub", "p"), Ok(())),
            ("255 bytes", mint.set("sub", "p".repeat(255)), Ok(())),
            (
                "256 bytes",
                mint.set("sub", "p".repeat(256)),
                claim("sub", Mistyped),
            ),
            (
                "the subject has 256 bytes in 128 letters",
                mint.set("sub", "é".repeat(128)),
                claim("sub", Mistyped),
            ),
            // A URL path cannot contain these subjects, so the app could never request the status
            // of the person.
            ("a dot", mint.set("sub", "."), claim("sub", Mistyped)),
            ("two dots", mint.set("sub", ".."), claim("sub", Mistyped)),
            ("three dots", mint.set("sub", "..."), Ok(())),
            ("a tab", mint.set("sub", "a\tb"), claim("sub", Mistyped)),
            ("a newline", mint.set("sub", "a\n"), claim("sub", Mistyped)),
            ("a slash", mint.set("sub", "a/../b c"), Ok(())),
            (
                "a lone surrogate",
                mint.raw_payload(&mint.claims().to_string().replace("person-1", r"p\ud800")),
                claim("sub", Mistyped),
            ),
        ]
    });
}

#[test]
fn exp_nbf_and_iat_respect_the_clock_skew_exactly() {
    check_table(|mint| {
        let mut rows = vec![
            // Covers threat cases 69, 82.
            (
                "exp is one second before the end of the skew",
                mint.set("exp", NOW - SKEW + 1),
                Ok(()),
            ),
            (
                "exp is at the end of the skew",
                mint.set("exp", NOW - SKEW),
                claim("exp", Past),
            ),
            (
                "exp is one second after the end of the skew",
                mint.set("exp", NOW - SKEW - 1),
                claim("exp", Past),
            ),
            (
                "exp is ten minutes ago",
                mint.set("exp", NOW - 600),
                claim("exp", Past),
            ),
            ("exp: 1970", mint.set("exp", 0), claim("exp", Past)),
            ("exp: absent", mint.without("exp"), claim("exp", Missing)),
            ("exp is the maximum time", mint.set("exp", i64::MAX), Ok(())),
            // Covers threat cases 70, 82.
            ("nbf: now", mint.set("nbf", NOW), Ok(())),
            (
                "nbf is ahead by exactly the skew",
                mint.set("nbf", NOW + SKEW),
                Ok(()),
            ),
            (
                "nbf is ahead by one second more than the skew",
                mint.set("nbf", NOW + SKEW + 1),
                claim("nbf", Future),
            ),
            (
                "nbf is ten minutes ahead",
                mint.set("nbf", NOW + 600),
                claim("nbf", Future),
            ),
            (
                "nbf is the maximum time",
                mint.set("nbf", i64::MAX),
                claim("nbf", Future),
            ),
            // Covers threat cases 71, 82.
            (
                "iat is ahead by exactly the skew",
                mint.set("iat", NOW + SKEW),
                Ok(()),
            ),
            (
                "iat is ahead by one second more than the skew",
                mint.set("iat", NOW + SKEW + 1),
                claim("iat", Future),
            ),
            (
                "iat is ten minutes ahead",
                mint.set("iat", NOW + 600),
                claim("iat", Future),
            ),
            (
                "iat is in the past by exactly the skew",
                mint.set("iat", NOW - SKEW),
                Ok(()),
            ),
            ("iat: absent", mint.without("iat"), claim("iat", Missing)),
        ];
        for name in ["exp", "nbf", "iat"] {
            for odd in [
                json!(""),
                json!(NOW.to_string()),
                json!(-1),
                json!(i64::MIN),
                json!(-0.5),
                json!(1e300),
                json!(u64::MAX),
                json!(i64::MAX as u64 + 1),
                json!(true),
                json!([NOW]),
                json!({"t": NOW}),
            ] {
                rows.push((name, mint.set(name, odd), claim(name, Mistyped)));
            }
            // RFC 7519 section 2 allows a fraction in a time.
            for fraction in [json!(1.8e9), json!(1_800_000_000.5)] {
                rows.push((name, mint.set(name, fraction), Ok(())));
            }
            let null = match name {
                "nbf" => Ok(()),
                _ => claim(name, Mistyped),
            };
            rows.push((name, mint.set(name, Value::Null), null));
        }
        rows.push((
            "exp is a fraction at the end of the skew",
            mint.set("exp", json!(1_799_999_940.0)),
            claim("exp", Past),
        ));
        rows
    });
}

#[test]
fn extreme_clocks_cause_no_panic() {
    // Threat case 82: the clock of the machine jumps
    for mint in [ID, ACCESS] {
        let verdict = |at| mint.verify_at(&mint.good(), Timestamp::from_unix(at));
        assert_eq!(verdict(NOW), Ok(()));
        assert_eq!(verdict(NOW + 300 + SKEW - 1), Ok(()));
        assert_eq!(verdict(NOW + 300 + SKEW), claim("exp", Past));
        assert_eq!(verdict(NOW - SKEW), Ok(()));
        assert_eq!(verdict(NOW - SKEW - 1), claim("iat", Future));
        for early in [0, -1, i64::MIN] {
            assert_eq!(verdict(early), claim("iat", Future));
        }
        assert_eq!(verdict(i64::MAX), claim("exp", Past));
        // At the maximum time, the SDK rejects every token, including a token that never expires.
        let for_ever = mint.set("exp", i64::MAX);
        let end = Timestamp::from_unix(i64::MAX);
        assert_eq!(mint.verify_at(&for_ever, end), claim("exp", Past));
    }
}

#[test]
fn id_tokens_and_access_tokens_are_not_interchangeable() {
    // Covers threat cases 63, 84.
    assert_eq!(ID.verify(&ACCESS.good()), Err(R::Type(TokenKind::IdToken)));
    assert_eq!(
        ACCESS.verify(&ID.good()),
        Err(R::Type(TokenKind::AccessToken))
    );
}

#[test]
fn an_error_has_a_code_and_contains_no_part_of_the_token() {
    // Covers threat case 137.
    let refused = [
        (R::TooLong, "too_long"),
        (R::NotCompact, "not_compact"),
        (R::Encrypted, "encrypted"),
        (R::NotJson(Header), "not_json"),
        (R::Algorithm, "algorithm"),
        (R::Type(TokenKind::IdToken), "type"),
        (R::Extension, "extension"),
        (R::UnknownKey, "unknown_key"),
        (R::AmbiguousKey, "ambiguous_key"),
        (R::Signature, "signature"),
    ];
    for (error, code) in refused {
        assert_eq!(error.code(), code);
    }
    let canary = ID.set("iss", "canary");
    let error = ID.verify(&canary).unwrap_err();
    assert_eq!(error.code(), "claim");
    assert_eq!(error.to_string(), "claim iss: unexpected value");
    assert_eq!(
        R::NotJson(Payload).to_string(),
        "the payload is not a JSON object, or contains a duplicate name"
    );
    assert_eq!(
        R::Type(TokenKind::AccessToken).to_string(),
        "the `typ` header does not match an access token"
    );
    assert!(!format!("{error:?}").contains("canary"));
}
