//! Tests that a certified relying party can sign in to the mock: `openid-client` on Node, over TLS.
//! The relying party contains no code of this crate. `openid-client` signs in with the mock's valid
//! tokens and rejects the mock's malformed tokens.
//!
//! The tests print a message and stop if `node` or the packages of `tests/foreign` are not
//! installed. With `KYCPORT_REQUIRE_NODE=1`, the tests fail instead.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use kycport::{
    KycStatus, KycTier,
    mock::{Fault, MockIssuer, Rule, Tamper},
};
use serde_json::{Value, json};

/// Callback URL of an app that does not exist. The program never requests the callback.
const REDIRECT_URI: &str = "https://app.example.test/callback";

/// Malformed tokens that `openid-client` accepts. This crate validates more rules than
/// `openid-client`. The list makes the test fail if `openid-client` or the mock changes.
const TOLERATED: &[Tamper] = &[
    // `openid-client` accepts these token types and header parameters.
    Tamper::TypAtJwt,
    Tamper::TypLogout,
    Tamper::NestedCty,
    Tamper::Zip,
    // `openid-client` accepts another authorized party (`azp`) if the client is an audience.
    Tamper::ForeignAzp,
    // Lifetime.
    Tamper::ExpFloat,
    Tamper::ExpHuge,
    Tamper::ExpFarFuture,
    Tamper::FutureIat,
    Tamper::AncientIat,
    // `openid-client` ignores the hash of the access token, because the code flow does not need
    // this hash.
    Tamper::WrongAtHash,
    // Encoding and size.
    Tamper::DuplicateClaim,
    Tamper::DuplicateHeader,
    Tamper::BadUtf8,
    Tamper::DeepNesting,
    Tamper::Padded,
    Tamper::TrailingSpace,
    Tamper::SpareBits,
    Tamper::Large,
    Tamper::Huge,
];

#[test]
fn openid_client_signs_in_to_the_mock_and_rejects_malformed_tokens() {
    if let Err(missing) = tools() {
        return skip(&missing);
    }
    let kyc = mock();
    let mut cases = vec![valid(&kyc)];
    let mut faults = Vec::new();
    for &tamper in Tamper::HARMLESS {
        faults.push(malformed(&kyc, tamper, "accept", &mut cases));
    }
    for tamper in Tamper::attacks() {
        let tolerated = TOLERATED.contains(&tamper);
        let expected = if tolerated { "accept" } else { "refuse" };
        faults.push(malformed(&kyc, tamper, expected, &mut cases));
    }
    assert_all_pass(&kyc, &cases);
    for fault in faults {
        fault.assert_hit();
    }
}

#[test]
fn openid_client_rejects_malformed_responses() {
    if let Err(missing) = tools() {
        return skip(&missing);
    }
    let kyc = mock();
    let case = |name, expect| json!({ "name": name, "loginHint": "ada", "expect": expect });
    assert_all_pass(&kyc, &[case("valid", "accept")]);
    let edits: [(&str, Rule); 5] = [
        (
            "the callback has no iss",
            kyc.edit_authorization_response(|all| all.retain(|(name, _)| name != "iss")),
        ),
        (
            "the callback has another iss",
            kyc.edit_authorization_response(|all| tamper_with(all, "iss")),
        ),
        (
            "the callback has another state",
            kyc.edit_authorization_response(|all| tamper_with(all, "state")),
        ),
        (
            "the token type is unknown",
            kyc.edit_token_response(|json| json["token_type"] = "mac".into()),
        ),
        (
            "userinfo is about another person",
            kyc.edit_userinfo(|json| json["sub"] = "somebody else".into()),
        ),
    ];
    for (name, edit) in edits {
        let fault = edit.always();
        assert_all_pass(&kyc, &[case(name, "refuse")]);
        fault.assert_hit();
    }
}

fn tamper_with(parameters: &mut [(String, String)], which: &str) {
    for (name, value) in parameters {
        if name == which {
            value.push('x');
        }
    }
}

fn mock() -> MockIssuer {
    let builder = MockIssuer::builder().tls().auto_consent(true);
    let kyc = builder.start_blocking().unwrap();
    kyc.client().register_redirect_uri(REDIRECT_URI).unwrap();
    kyc.person("ada").create();
    kyc
}

#[track_caller]
fn assert_all_pass(kyc: &MockIssuer, cases: &[Value]) {
    let output = run(kyc, &Value::from(cases));
    let said = String::from_utf8_lossy(&output.stdout);
    let erred = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{erred}");
    let closing = said.lines().last().unwrap_or_default();
    assert_eq!(closing, format!("{} passed, 0 failed", cases.len()));
}

/// Returns a test case with a valid token and the claims that the client must read from this token.
fn valid(kyc: &MockIssuer) -> Value {
    let grace = kyc
        .person("grace")
        .status(KycStatus::Verified)
        .tier(KycTier::T1)
        .email("grace@example.test")
        .create();
    json!({
        "name": "Good",
        "loginHint": grace.id(),
        "expect": "accept",
        "claims": {
            "sub": grace.id(),
            "iss": kyc.issuer(),
            "aud": kyc.client().id(),
            "email": "grace@example.test",
            "kyc_status": "verified",
            "kyc_tier": "t1",
            "aml_clear": true,
        },
    })
}

/// Returns a test case in which every token has this defect.
fn malformed(kyc: &MockIssuer, tamper: Tamper, expect: &str, cases: &mut Vec<Value>) -> Fault {
    let name = format!("{tamper:?}");
    let person = kyc.person(&name.to_lowercase()).create();
    cases.push(json!({ "name": name, "loginHint": person.id(), "expect": expect }));
    kyc.tokens_for(&person).id_token(tamper).always()
}

fn run(kyc: &MockIssuer, cases: &Value) -> Output {
    // Only this mock uses the port while the mock runs.
    let (_, port) = kyc.origin().rsplit_once(':').unwrap();
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("foreign-root-{port}.pem"));
    fs::write(&root, kyc.root_pem().unwrap()).unwrap();
    let output = Command::new("node")
        .arg("openid_client.mjs")
        .current_dir(folder())
        .env("NODE_EXTRA_CA_CERTS", &root)
        .env("DISCOVERY_URL", kyc.discovery_url())
        .env("CLIENT_ID", kyc.client().id())
        .env("CLIENT_SECRET", kyc.client().secret().unwrap())
        .env("REDIRECT_URI", REDIRECT_URI)
        .env("CASES", cases.to_string())
        .output();
    fs::remove_file(&root).unwrap();
    output.unwrap()
}

/// Returns an error with the name of the missing tool.
fn tools() -> Result<(), String> {
    let version = Command::new("node").arg("--version").output();
    let version = version
        .ok()
        .and_then(|it| String::from_utf8(it.stdout).ok());
    let version = version.ok_or("node is not installed")?;
    let major = version.trim_start_matches('v').split('.').next();
    let major = major.and_then(|it| it.parse().ok()).unwrap_or(0);
    if major < 20 {
        return Err(format!("node is older than 20: {}", version.trim()));
    }
    if !folder().join("node_modules/openid-client").is_dir() {
        return Err("`npm ci` was not run in tests/foreign".to_owned());
    }
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign")
}

/// Writes directly to stderr, because the test harness captures `eprintln!`.
fn skip(reason: &str) {
    assert!(
        std::env::var_os("KYCPORT_REQUIRE_NODE").is_none(),
        "the foreign relying party is required, but it cannot run: {reason}"
    );
    let mut stderr = std::io::stderr();
    writeln!(
        stderr,
        "SKIPPED: the foreign relying party cannot run: {reason}"
    )
    .unwrap();
}
