//! Tests that faults change responses, that gates hold requests, and that the mock manipulates
//! tokens.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use kycport::mock::{Endpoint, MockIssuer, Signing, Tamper};

use crate::support::{TestIssuer, part, payload};

#[tokio::test]
async fn a_fault_occurs_the_requested_number_of_times() {
    let issuer = TestIssuer::new().await;
    let url = issuer.kyc.discovery_url();
    let always = issuer.kyc.on(Endpoint::Discovery).fail(500).always();
    let fault = issuer
        .kyc
        .on(Endpoint::Discovery)
        .fail(503)
        .retry_after(1)
        .times(2);
    for status in [503, 503, 500] {
        let page = issuer.browser.fetch(&url).await.unwrap();
        assert_eq!(page.status(), status);
        if status == 503 {
            assert_eq!(page.header("retry-after"), Some("1"));
        }
    }
    assert_eq!((fault.hits(), always.hits()), (2, 1));
    always.remove();
    issuer.browser.fetch(&url).await.unwrap().assert_ok();
    issuer.kyc.requests(Endpoint::Discovery).assert_count(4);
}

#[test]
fn an_unused_fault_fails_the_test_with_its_name() {
    let kyc = MockIssuer::start_blocking();
    let fault = kyc.on(Endpoint::Token).fail(503).once();
    let failure = catch_unwind(AssertUnwindSafe(|| drop(fault))).unwrap_err();
    let text = failure.downcast_ref::<String>().unwrap();
    assert!(text.contains("fail(503)"), "{text}");
    drop(kyc.on(Endpoint::Token).hang().optional().once());
    kyc.on(Endpoint::Token).hang().once().keep();
}

#[test]
fn unused_faults_cause_at_most_one_panic() {
    let kyc = MockIssuer::start_blocking();
    let text = |failure: Box<dyn std::any::Any + Send>| match failure.downcast::<String>() {
        Ok(text) => *text,
        Err(failure) => (*failure.downcast::<&str>().unwrap()).to_owned(),
    };
    // A test that fails for another reason reports that reason.
    let failure = catch_unwind(AssertUnwindSafe(|| {
        let _fault = kyc.on(Endpoint::Token).fail(503).once();
        let _gate = kyc.on(Endpoint::Jwks).hold();
        panic!("another reason");
    }));
    assert_eq!(text(failure.unwrap_err()), "another reason");
    // Only one of the two unused faults panics, because a second panic would abort the process.
    let failure = catch_unwind(AssertUnwindSafe(|| {
        let _first = kyc.on(Endpoint::Token).fail(503).named("first").once();
        let _second = kyc.on(Endpoint::Token).fail(503).named("second").once();
    }));
    assert!(text(failure.unwrap_err()).contains("`second`"));
    // No fault is installed after the panics.
    let browser = kyc.browser();
    let page = kyc.block_on(browser.fetch(kyc.url(Endpoint::Jwks)));
    page.unwrap().assert_ok();
}

#[tokio::test]
async fn each_fault_has_its_effect() {
    let issuer = TestIssuer::new().await;
    let url = issuer.kyc.discovery_url();
    let on = || issuer.kyc.on(Endpoint::Discovery);
    let client = reqwest::Client::builder()
        .timeout(Duration::from_millis(300))
        .build()
        .unwrap();

    for endless in [on().hang(), on().hang_body(), on().endless_body()] {
        let fault = endless.once();
        let answer = client.get(&url).send().await;
        let body = match answer {
            Ok(answer) => answer.bytes().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(body.unwrap_err().is_timeout(), "{fault:?}");
    }

    let fault = on().drop_connection().once();
    assert!(!client.get(&url).send().await.unwrap_err().is_timeout());
    fault.assert_hit();

    let fault = on().truncate().once();
    let answer = client.get(&url).send().await.unwrap();
    assert!(answer.content_length().unwrap() > 100);
    assert!(!answer.bytes().await.unwrap_err().is_timeout());
    fault.assert_hit();

    let fault = on().huge(100_000).once();
    let body = issuer.browser.fetch(&url).await.unwrap();
    assert_eq!(body.body().len(), 100_000);
    assert!(body.json().is_object());
    fault.assert_hit();

    let fault = on().redirect(307, "https://evil.test/").once();
    let page = issuer.browser.open(&url).await.unwrap();
    assert_eq!(page.location().unwrap().as_str(), "https://evil.test/");
    fault.assert_hit();

    let fault = on().dribble(Duration::from_millis(1)).once();
    let page = issuer.browser.fetch(&url).await.unwrap();
    assert_eq!(page.json()["issuer"], issuer.kyc.issuer());
    fault.assert_hit();
}

#[tokio::test]
async fn a_gzip_bomb_is_well_formed() {
    let issuer = TestIssuer::new().await;
    let fault = issuer.kyc.on(Endpoint::Jwks).gzip_bomb(1_000_000).once();
    let url = issuer.kyc.url(Endpoint::Jwks);
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let body = answer.bytes().await.unwrap();
    assert!(body.len() < 10_000, "{}", body.len());
    assert!(body.starts_with(&[0x1f, 0x8b]));
    fault.assert_hit();
    // If the program `gzip` is installed, the test also checks the body with it.
    let mut gzip = std::process::Command::new("gzip");
    gzip.arg("-t")
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    if let Ok(mut child) = gzip.spawn() {
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, &body).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

// case 51
#[tokio::test]
async fn a_response_can_be_lost_after_the_endpoint_processed_the_request() {
    let issuer = TestIssuer::new().await;
    let form = issuer.exchange(&issuer.code().await);
    let fault = issuer.kyc.on(Endpoint::Token).after().fail(502).once();
    assert_eq!(issuer.token(&form).await.status(), 502);
    assert_eq!(issuer.token(&form).await.json()["error"], "invalid_grant");
    fault.assert_hit();
}

#[tokio::test]
async fn a_gate_holds_requests_until_it_is_released() {
    let issuer = TestIssuer::new().await;
    let gate = issuer.kyc.on(Endpoint::Jwks).hold();
    let url = issuer.kyc.url(Endpoint::Jwks);
    let browsers = [
        issuer.browser.clone(),
        issuer.browser.clone(),
        issuer.browser.clone(),
    ];
    let asking = browsers.map(|browser| {
        let url = url.clone();
        tokio::spawn(async move { browser.fetch(url).await })
    });
    gate.wait_for(3).await;
    assert_eq!(gate.waiting(), 3);
    gate.release();
    for request in asking {
        request.await.unwrap().unwrap().assert_ok();
    }
    issuer.browser.fetch(&url).await.unwrap().assert_ok();
}

#[tokio::test]
async fn every_document_can_be_edited() {
    let issuer = TestIssuer::new().await;
    let kyc = &issuer.kyc;
    let edits = [
        kyc.edit_discovery(|json| json["issuer"] = "https://evil.test".into())
            .once(),
        kyc.edit_jwks(|json| json["keys"] = serde_json::json!([]))
            .once(),
        kyc.edit_token_response(|json| json["token_type"] = "DPoP".into())
            .once(),
        kyc.edit_userinfo(|json| json["sub"] = "somebody else".into())
            .once(),
        kyc.edit_authorization_response(|params| params.retain(|(name, _)| name != "iss"))
            .once(),
    ];
    let page = issuer.browser.fetch(kyc.discovery_url()).await.unwrap();
    assert_eq!(page.json()["issuer"], "https://evil.test");
    let page = issuer.browser.fetch(kyc.url(Endpoint::Jwks)).await.unwrap();
    assert_eq!(page.json()["keys"], serde_json::json!([]));
    let tokens = issuer.tokens().await.json();
    assert_eq!(tokens["token_type"], "DPoP");
    let info = issuer
        .userinfo(tokens["access_token"].as_str().unwrap())
        .await;
    assert_eq!(info.json()["sub"], "somebody else");
    for edit in &edits {
        edit.assert_hit();
    }
}

#[tokio::test]
async fn every_tamper_changes_only_the_tokens_of_one_person() {
    let issuer = TestIssuer::new().await;
    let client = issuer.kyc.client();
    let mint = issuer.kyc.mint();
    for &tamper in Tamper::ALL {
        // Some manipulations change claims that only an access token has.
        let id_token = mint
            .id_token(&issuer.ada, client, "n")
            .for_access_token("token");
        let access_token = mint.access_token(&issuer.ada, client);
        let tampered = [
            (id_token.clone().tamper(tamper).sign(), id_token.sign()),
            (
                access_token.clone().tamper(tamper).sign(),
                access_token.sign(),
            ),
        ];
        assert!(
            tampered.iter().any(|(tampered, good)| tampered != good),
            "{tamper:?}"
        );
    }
    let bob = issuer.kyc.person("bob").create();
    let for_bob = issuer
        .kyc
        .tokens_for(&bob)
        .id_token(Tamper::WrongAudience)
        .optional()
        .always();
    let for_ada = issuer
        .kyc
        .tokens_for(&issuer.ada)
        .id_token(Tamper::Expired)
        .once();
    let tokens = issuer.tokens().await.json();
    let claims = payload(tokens["id_token"].as_str().unwrap());
    assert_eq!(claims["aud"], client.id());
    assert!(claims["exp"].as_i64().unwrap() < claims["auth_time"].as_i64().unwrap());
    assert_eq!((for_bob.hits(), for_ada.hits()), (0, 1));
}

#[tokio::test]
async fn a_token_can_be_edited_freely() {
    let issuer = TestIssuer::new().await;
    let edit = issuer.kyc.tokens().edit_id_token(|draft| {
        draft.header.insert("typ".to_owned(), "strange".into());
        draft.signing = Signing::None;
    });
    let edit = edit.once();
    let raw = issuer.kyc.tokens().edit_access_token(|draft| {
        draft.signing = Signing::Raw("opaque".to_owned());
    });
    let raw = raw.once();
    let tokens = issuer.tokens().await.json();
    assert_eq!(tokens["access_token"], "opaque");
    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(part(id_token, 0)["typ"], "strange");
    assert!(id_token.ends_with('.'));
    edit.assert_hit();
    raw.assert_hit();
}
