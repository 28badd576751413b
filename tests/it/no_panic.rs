//! Fuzz tests: arbitrary bytes produce an error and never a panic.

use kycport::oidc::{AlgorithmNames, CallbackParams, KeySet, TokenValidationError};
use serde_json::json;

use crate::mint::{ACCESS, ID, Mint, b64, jwk, key, sign_parts};

/// Pseudorandom number generator (`SplitMix64`) that returns the same numbers in every run.
struct Random(u64);

impl Random {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next_u64() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next_u64().to_le_bytes()[0]
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Returns `seed` with one to four small changes. A change flips a bit, sets a byte, cuts, repeats
/// or moves a part, or inserts a word of the grammar.
fn mutated(rng: &mut Random, seed: &[u8], words: &[&str]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len());
        let end = at + rng.below((bytes.len() - at).min(64));
        match rng.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            1 if !bytes.is_empty() => bytes[at] = rng.byte(),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = rng.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => drop(bytes.splice(at..at, rng.pick(words).bytes())),
        }
    }
    bytes
}

const TOKEN_WORDS: [&str; 10] = [
    ".",
    "..",
    "....",
    "=",
    "-",
    "_",
    "A",
    "e30",
    "eyJhbGciOiJFZERTQSJ9",
    "\u{e9}",
];

const JSON_WORDS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "0",
    "-1",
    "1e300",
    "1e999",
    "18446744073709551615",
    "\"kid\":",
    "\"crit\":[],",
    "\"iss\":null,",
    "\"exp\":1,",
    "\"x\":\"\",",
    "{\"a\":",
    "\u{e9}",
];

/// Verifies mutations of a valid token. Each mutation differs from the valid token, and the client
/// rejects each mutation.
fn verify_mutations(mint: Mint, seed: u64, rounds: usize) {
    let good = mint.good();
    let mut rng = Random(seed);
    for round in 0..rounds {
        let bytes = mutated(&mut rng, good.as_bytes(), &TOKEN_WORDS);
        let token = String::from_utf8_lossy(&bytes);
        let verdict = mint.verify(&token);
        assert_eq!(verdict.is_ok(), token == good, "{round}: {token}");
    }
}

/// Verifies correctly signed tokens whose header or payload is mutated JSON. Some of these tokens
/// may be valid.
fn verify_signed_mutations(mint: Mint, seed: u64, rounds: usize) {
    let (header, claims) = (mint.header().to_string(), mint.claims().to_string());
    let mut rng = Random(seed);
    let mut refusals = std::collections::BTreeSet::new();
    for _ in 0..rounds {
        let (mut header, mut claims) = (header.clone().into_bytes(), claims.clone().into_bytes());
        let part = rng.pick(&["header", "claims"]);
        let mutate = if part == "header" {
            &mut header
        } else {
            &mut claims
        };
        *mutate = mutated(&mut rng, mutate, &JSON_WORDS);
        let token = sign_parts(&b64(header), &b64(claims));
        if let Err(refusal) = mint.verify(&token) {
            assert_ne!(refusal, TokenValidationError::Signature);
            refusals.insert(refusal.code());
        }
    }
    // Each of these checks has rejected at least one mutation.
    for code in ["not_json", "algorithm", "type", "unknown_key", "claim"] {
        assert!(refusals.contains(code), "{code} never occurred");
    }
}

#[test]
fn mutated_id_tokens_are_rejected_without_a_panic() {
    // Covers threat cases 56, 76, 77, 78.
    verify_mutations(ID, 1, 45_000);
}

#[test]
fn mutated_access_tokens_are_rejected_without_a_panic() {
    // Covers threat cases 56, 76, 77, 78.
    verify_mutations(ACCESS, 2, 45_000);
}

#[test]
fn signed_mutations_are_verified_without_a_panic() {
    // Covers threat cases 61, 69, 73, 76.
    verify_signed_mutations(ID, 3, 10_000);
    verify_signed_mutations(ACCESS, 4, 10_000);
}

#[test]
fn mutated_key_sets_are_parsed_without_a_panic() {
    // Covers threat cases 18, 20, 21.
    let set = json!({"keys": [jwk(&key(1), "a"), jwk(&key(2), "b")]}).to_string();
    let mut rng = Random(5);
    for _ in 0..40_000 {
        let bytes = mutated(&mut rng, set.as_bytes(), &JSON_WORDS);
        if let Ok(keys) = KeySet::from_json(&bytes, AlgorithmNames::default()) {
            assert!((1..=3).contains(&keys.len()));
        }
    }
}

#[test]
fn mutated_callbacks_are_parsed_without_a_panic() {
    // Covers threat cases 38, 43.
    let query = "code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj&iss=https%3A%2F%2Fwww.kycport.com";
    let words = [
        "&",
        "=",
        "%",
        "%%",
        "%0",
        "%00",
        "%ff",
        "%c3%a9",
        "+",
        "code=",
        "&state=",
        "&iss=x",
        "&error=access_denied",
        "\u{e9}",
        "\u{0}",
    ];
    let mut rng = Random(6);
    for _ in 0..40_000 {
        let bytes = mutated(&mut rng, query.as_bytes(), &words);
        if let Ok(params) = CallbackParams::parse(&String::from_utf8_lossy(&bytes)) {
            assert!(!params.state().expose().is_empty());
        }
    }
}

#[test]
fn arbitrary_bytes_are_parsed_without_a_panic() {
    // Covers threat cases 76, 77.
    let mut rng = Random(7);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..rng.below(200)).map(|_| rng.byte()).collect();
        let text = String::from_utf8_lossy(&bytes);
        for mint in [ID, ACCESS] {
            assert!(mint.verify(&text).is_err());
            let signed = format!("{}.{}.{}", b64(&bytes), b64(&bytes), b64(&bytes));
            assert!(mint.verify(&signed).is_err());
        }
        assert!(KeySet::from_json(&bytes, AlgorithmNames::default()).is_err());
        drop(CallbackParams::parse(&text));
    }
}
