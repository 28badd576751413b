//! What userinfo says is said of the person, or not believed.

use std::time::Duration;

use kycport::{
    KycStatus, KycTier, RelyingParty, Secret,
    mock::{Endpoint, Fault, MockIssuer, On, Person},
    oidc::{Userinfo, UserinfoError},
};
use serde_json::{Value, json};

struct Stage {
    kyc: MockIssuer,
    party: RelyingParty,
    ada: Person,
}

async fn stage() -> Stage {
    let kyc = MockIssuer::start().await;
    let config = kyc.config("http://127.0.0.1:1/auth/callback");
    let config = config
        .connect_timeout(Duration::from_secs(3))
        .request_timeout(Duration::from_secs(3));
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let ada = kyc.person("ada").create();
    Stage { kyc, party, ada }
}

impl Stage {
    async fn ask(&self) -> Result<Userinfo, UserinfoError> {
        let mint = self.kyc.mint();
        let token = mint.access_token(&self.ada, self.kyc.client()).sign();
        let oidc = self.party.oidc();
        oidc.userinfo(&Secret::new(token), self.ada.id()).await
    }
}

#[tokio::test]
async fn it_says_who_and_how_well() {
    // K31, K35
    let stage = stage().await;
    let said = stage.ask().await.unwrap();
    assert_eq!(said.subject, stage.ada.id());
    assert_eq!(said.kyc_status, Some(KycStatus::Verified));
    assert_eq!(said.kyc_tier, Some(KycTier::T2));
    assert!(!format!("{said:?}").contains(stage.ada.id()));
    let sent = stage.kyc.requests(Endpoint::Userinfo);
    let sent = sent.last().unwrap();
    assert!(sent.header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(sent.header("accept"), Some("application/json"));
}

#[tokio::test]
async fn an_answer_about_somebody_else_is_thrown_away() {
    // case 88; OpenID Connect Core 1.0 section 5.3.2
    let stage = stage().await;
    let id = stage.ada.id().to_owned();
    for sub in [
        "person_other".to_owned(),
        format!("{id} "),
        id.to_uppercase(),
        id[..id.len() - 1].to_owned(),
        String::new(),
    ] {
        let edit = stage
            .kyc
            .edit_userinfo(move |said| said["sub"] = json!(sub));
        let _fault = edit.always();
        assert_eq!(
            stage.ask().await.unwrap_err(),
            UserinfoError::SubjectMismatch
        );
    }
    let edits: [fn(&mut Value); 3] = [
        |said| drop(said.as_object_mut().unwrap().remove("sub")),
        |said| said["sub"] = Value::Null,
        |said| said["sub"] = json!(7),
    ];
    for edit in edits {
        let _fault = stage.kyc.edit_userinfo(edit).always();
        assert_eq!(
            stage.ask().await.unwrap_err(),
            UserinfoError::InvalidResponse
        );
    }
}

#[tokio::test]
async fn what_is_no_userinfo_is_an_error() {
    // case 89
    type Break = fn(On) -> Fault;
    let table: [(Break, &str); 18] = [
        (|on| on.fail(401).always(), "rejected the access token"),
        (|on| on.fail(403).always(), "status 403"),
        (|on| on.fail(500).always(), "status 500"),
        (|on| on.fail(429).always(), "status 429"),
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
    let stage = stage().await;
    for (break_it, says) in table {
        let _fault = break_it(stage.kyc.on(Endpoint::Userinfo));
        let error = stage.ask().await.unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("ey"), "a token in {shown}");
    }
    stage.ask().await.unwrap();
}

#[tokio::test]
async fn the_token_goes_to_one_host_and_nowhere_else() {
    // case 89
    let stage = stage().await;
    let elsewhere = MockIssuer::start().await;
    for status in [301, 302, 303, 307, 308] {
        let on = stage.kyc.on(Endpoint::Userinfo);
        let to = elsewhere.url(Endpoint::Userinfo);
        let _fault = on.redirect(status, &to).always();
        stage.ask().await.unwrap_err();
    }
    assert_eq!(elsewhere.all_requests().len(), 0);
}

#[tokio::test]
async fn a_word_of_another_type_is_not_known() {
    let stage = stage().await;
    for (name, value) in [
        ("kyc_status", json!(true)),
        ("kyc_status", json!(["verified"])),
        ("kyc_tier", json!(-1)),
        ("kyc_tier", json!({})),
    ] {
        let edit = stage
            .kyc
            .edit_userinfo(move |said| said[name] = value.clone());
        let _fault = edit.always();
        let said = stage.ask().await.unwrap();
        assert!(said.kyc_status.is_none() || said.kyc_tier.is_none());
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_given_up_on() {
    let stage = stage().await;
    let config = stage.kyc.config("http://127.0.0.1:1/auth/callback");
    let config = config
        .connect_timeout(Duration::from_secs(3))
        .request_timeout(Duration::from_millis(500));
    let hasty = Stage {
        party: RelyingParty::new(config.build().unwrap()).unwrap(),
        ..stage
    };
    hasty.ask().await.unwrap();
    let _fault = hasty.kyc.on(Endpoint::Userinfo).hang_body().always();
    let error = hasty.ask().await.unwrap_err();
    assert!(error.to_string().contains("timed out"), "{error}");
}
