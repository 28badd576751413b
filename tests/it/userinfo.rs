//! Tests that the SDK sends userinfo requests and validates the responses. The response must be
//! about the requested person.

use std::time::Duration;

use kycport::{
    KycStatus, KycTier, RelyingParty, Secret,
    mock::{Endpoint, Fault, MockIssuer, On, Person},
    oidc::{Userinfo, UserinfoError},
};
use serde_json::{Value, json};

struct UserinfoTest {
    kyc: MockIssuer,
    party: RelyingParty,
    ada: Person,
}

async fn setup() -> UserinfoTest {
    let kyc = MockIssuer::start().await;
    let config = kyc.config("http://127.0.0.1:1/auth/callback");
    let config = config
        .connect_timeout(Duration::from_secs(3))
        .request_timeout(Duration::from_secs(3));
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let ada = kyc.person("ada").create();
    UserinfoTest { kyc, party, ada }
}

impl UserinfoTest {
    async fn ask(&self) -> Result<Userinfo, UserinfoError> {
        let mint = self.kyc.mint();
        let token = mint.access_token(&self.ada, self.kyc.client()).sign();
        let oidc = self.party.oidc();
        oidc.userinfo(&Secret::new(token), self.ada.id()).await
    }
}

#[tokio::test]
async fn userinfo_returns_the_person_and_their_status() {
    // K31, K35
    let setup = setup().await;
    let info = setup.ask().await.unwrap();
    assert_eq!(info.subject, setup.ada.id());
    assert_eq!(info.kyc_status, Some(KycStatus::Verified));
    assert_eq!(info.kyc_tier, Some(KycTier::T2));
    assert!(!format!("{info:?}").contains(setup.ada.id()));
    let sent = setup.kyc.requests(Endpoint::Userinfo);
    let sent = sent.last().unwrap();
    assert!(sent.header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(sent.header("accept"), Some("application/json"));
}

#[tokio::test]
async fn a_response_about_another_person_is_rejected() {
    // Covers threat case 88 (OpenID Connect Core 1.0 section 5.3.2).
    let setup = setup().await;
    let id = setup.ada.id().to_owned();
    for sub in [
        "person_other".to_owned(),
        format!("{id} "),
        id.to_uppercase(),
        id[..id.len() - 1].to_owned(),
        String::new(),
    ] {
        let edit = setup
            .kyc
            .edit_userinfo(move |info| info["sub"] = json!(sub));
        let _fault = edit.always();
        assert_eq!(
            setup.ask().await.unwrap_err(),
            UserinfoError::SubjectMismatch
        );
    }
    let edits: [fn(&mut Value); 3] = [
        |info| drop(info.as_object_mut().unwrap().remove("sub")),
        |info| info["sub"] = Value::Null,
        |info| info["sub"] = json!(7),
    ];
    for edit in edits {
        let _fault = setup.kyc.edit_userinfo(edit).always();
        assert_eq!(
            setup.ask().await.unwrap_err(),
            UserinfoError::InvalidResponse
        );
    }
}

#[tokio::test]
async fn a_response_that_is_not_userinfo_is_an_error() {
    // Covers threat case 89.
    type MakeFault = fn(On) -> Fault;
    let table: [(MakeFault, &str); 18] = [
        (|on| on.fail(401).always(), "rejected the access token"),
        (|on| on.fail(403).always(), "status 403"),
        (|on| on.fail(500).always(), "status 500"),
        (|on| on.fail(429).always(), "rate limited"),
        (|on| on.answer(204, "application/json", "").always(), "204"),
        (|on| on.redirect(302, "/api/health/").always(), "redirect"),
        (
            |on| on.redirect(307, "https://evil.example/").always(),
            "redirect",
        ),
        (
            |on| on.answer(200, "text/html", "<h1>").always(),
            "not a JSON object",
        ),
        (
            |on| on.answer(200, "application/jwt", "a.b.c").always(),
            "not a JSON object",
        ),
        (
            |on| on.answer(200, "application/jwt", r#"{"sub":"a"}"#).always(),
            "not a JSON object",
        ),
        (
            |on| on.answer(200, "application/json", "[]").always(),
            "not a JSON object",
        ),
        (
            |on| on.answer(200, "application/json", "").always(),
            "not a JSON object",
        ),
        (
            |on| {
                let twice = r#"{"sub":"a","sub":"b"}"#;
                on.answer(200, "application/json", twice).always()
            },
            "not a JSON object",
        ),
        (|on| on.huge(1 << 20).always(), "larger"),
        (|on| on.endless_body().always(), "larger"),
        (|on| on.gzip_bomb(1 << 20).always(), "compressed"),
        (|on| on.truncate().always(), "closed"),
        (|on| on.drop_connection().always(), "closed"),
    ];
    let setup = setup().await;
    for (break_it, says) in table {
        let _fault = break_it(setup.kyc.on(Endpoint::Userinfo));
        let error = setup.ask().await.unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        // The pause after a 429 ends.
        setup.kyc.clock().advance(Duration::from_secs(1));
        let error_text = format!("{error:?} {error}");
        assert!(
            !error_text.contains("ey"),
            "the error contains a token: {error_text}"
        );
    }
    setup.ask().await.unwrap();
}

#[tokio::test]
async fn the_access_token_is_sent_to_one_host_only() {
    // Covers threat case 89.
    let setup = setup().await;
    let elsewhere = MockIssuer::start().await;
    for status in [301, 302, 303, 307, 308] {
        let on = setup.kyc.on(Endpoint::Userinfo);
        let to = elsewhere.url(Endpoint::Userinfo);
        let _fault = on.redirect(status, &to).always();
        setup.ask().await.unwrap_err();
    }
    assert_eq!(elsewhere.all_requests().len(), 0);
}

#[tokio::test]
async fn a_value_of_another_type_is_unknown() {
    let setup = setup().await;
    for (name, value) in [
        ("kyc_status", json!(true)),
        ("kyc_status", json!(["verified"])),
        ("kyc_tier", json!(-1)),
        ("kyc_tier", json!({})),
    ] {
        let edit = setup
            .kyc
            .edit_userinfo(move |info| info[name] = value.clone());
        let _fault = edit.always();
        let info = setup.ask().await.unwrap();
        assert!(info.kyc_status.is_none() || info.kyc_tier.is_none());
    }
}

#[tokio::test]
async fn after_a_429_no_userinfo_request_is_sent_for_the_time_of_retry_after() {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    let fault = setup.kyc.on(Endpoint::Userinfo).fail(429).retry_after(7);
    let fault = fault.once();
    let limited = |seconds| UserinfoError::RateLimited {
        retry_after: Duration::from_secs(seconds),
    };
    assert_eq!(setup.ask().await.unwrap_err(), limited(7));
    fault.assert_hit();
    setup.kyc.clock().advance(Duration::from_secs(3));
    assert_eq!(setup.ask().await.unwrap_err(), limited(4));
    setup.kyc.requests(Endpoint::Userinfo).assert_count(1);
    setup.kyc.clock().advance(Duration::from_secs(4));
    setup.ask().await.unwrap();
}

#[tokio::test]
async fn a_hanging_userinfo_endpoint_times_out() {
    let setup = setup().await;
    let config = setup.kyc.config("http://127.0.0.1:1/auth/callback");
    let config = config
        .connect_timeout(Duration::from_secs(3))
        .request_timeout(Duration::from_millis(500));
    let impatient = UserinfoTest {
        party: RelyingParty::new(config.build().unwrap()).unwrap(),
        ..setup
    };
    impatient.ask().await.unwrap();
    let _fault = impatient.kyc.on(Endpoint::Userinfo).hang_body().always();
    let error = impatient.ask().await.unwrap_err();
    assert!(error.to_string().contains("timed out"), "{error}");
}
