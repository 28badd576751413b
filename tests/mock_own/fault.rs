//! Faults, gates and bent tokens.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use kycport::mock::{Endpoint, MockIssuer, Signing, Tamper};

use crate::support::{Desk, part, payload};

#[tokio::test]
async fn a_fault_comes_as_often_as_it_was_asked_for() {
    let desk = Desk::new().await;
    let url = desk.kyc.discovery_url();
    let always = desk.kyc.on(Endpoint::Discovery).fail(500).always();
    let fault = desk
        .kyc
        .on(Endpoint::Discovery)
        .fail(503)
        .retry_after(1)
        .times(2);
    for status in [503, 503, 500] {
        let page = desk.browser.fetch(&url).await.unwrap();
        assert_eq!(page.status(), status);
        if status == 503 {
            assert_eq!(page.header("retry-after"), Some("1"));
        }
    }
    assert_eq!((fault.hits(), always.hits()), (2, 1));
    always.remove();
    desk.browser.fetch(&url).await.unwrap().assert_ok();
    desk.kyc.requests(Endpoint::Discovery).assert_count(4);
}

#[test]
fn a_fault_that_was_never_hit_fails_the_test_with_its_name() {
    let kyc = MockIssuer::start_blocking();
    let fault = kyc.on(Endpoint::Token).fail(503).once();
    let failure = catch_unwind(AssertUnwindSafe(|| drop(fault))).unwrap_err();
    let text = failure.downcast_ref::<String>().unwrap();
    assert!(text.contains("fail(503)"), "{text}");
    drop(kyc.on(Endpoint::Token).hang().optional().once());
    kyc.on(Endpoint::Token).hang().once().keep();
}

#[test]
fn nothing_panics_twice() {
    let kyc = MockIssuer::start_blocking();
    let text = |failure: Box<dyn std::any::Any + Send>| match failure.downcast::<String>() {
        Ok(text) => *text,
        Err(failure) => (*failure.downcast::<&str>().unwrap()).to_owned(),
    };
    // A test that fails for its own reason says that one.
    let failure = catch_unwind(AssertUnwindSafe(|| {
        let _fault = kyc.on(Endpoint::Token).fail(503).once();
        let _gate = kyc.on(Endpoint::Jwks).hold();
        panic!("its own reason");
    }));
    assert_eq!(text(failure.unwrap_err()), "its own reason");
    // Of two that were never hit one is named; a second panic would end the process.
    let failure = catch_unwind(AssertUnwindSafe(|| {
        let _first = kyc.on(Endpoint::Token).fail(503).named("first").once();
        let _second = kyc.on(Endpoint::Token).fail(503).named("second").once();
    }));
    assert!(text(failure.unwrap_err()).contains("`second`"));
    // And nothing of it is left.
    let browser = kyc.browser();
    let page = kyc.block_on(browser.fetch(kyc.url(Endpoint::Jwks)));
    page.unwrap().assert_ok();
}

#[tokio::test]
async fn each_breakage_breaks_as_it_says() {
    let desk = Desk::new().await;
    let url = desk.kyc.discovery_url();
    let on = || desk.kyc.on(Endpoint::Discovery);
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
    let body = desk.browser.fetch(&url).await.unwrap();
    assert_eq!(body.body().len(), 100_000);
    assert!(body.json().is_object());
    fault.assert_hit();

    let fault = on().redirect(307, "https://evil.test/").once();
    let page = desk.browser.open(&url).await.unwrap();
    assert_eq!(page.location().unwrap().as_str(), "https://evil.test/");
    fault.assert_hit();

    let fault = on().dribble(Duration::from_millis(1)).once();
    let page = desk.browser.fetch(&url).await.unwrap();
    assert_eq!(page.json()["issuer"], desk.kyc.issuer());
    fault.assert_hit();
}

#[tokio::test]
async fn a_bomb_is_well_formed_gzip() {
    let desk = Desk::new().await;
    let fault = desk.kyc.on(Endpoint::Jwks).gzip_bomb(1_000_000).once();
    let url = desk.kyc.url(Endpoint::Jwks);
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let body = answer.bytes().await.unwrap();
    assert!(body.len() < 10_000, "{}", body.len());
    assert!(body.starts_with(&[0x1f, 0x8b]));
    fault.assert_hit();
    // A foreign program has the last word, where there is one.
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
async fn an_answer_can_be_lost_after_the_work_was_done() {
    let desk = Desk::new().await;
    let form = desk.exchange(&desk.code().await);
    let fault = desk.kyc.on(Endpoint::Token).after().fail(502).once();
    assert_eq!(desk.token(&form).await.status(), 502);
    assert_eq!(desk.token(&form).await.json()["error"], "invalid_grant");
    fault.assert_hit();
}

#[tokio::test]
async fn a_gate_holds_requests_until_it_is_released() {
    let desk = Desk::new().await;
    let gate = desk.kyc.on(Endpoint::Jwks).hold();
    let url = desk.kyc.url(Endpoint::Jwks);
    let browsers = [
        desk.browser.clone(),
        desk.browser.clone(),
        desk.browser.clone(),
    ];
    let asking = browsers.map(|browser| {
        let url = url.clone();
        tokio::spawn(async move { browser.fetch(url).await })
    });
    gate.wait_for(3).await;
    assert_eq!(gate.waiting(), 3);
    gate.release();
    for asked in asking {
        asked.await.unwrap().unwrap().assert_ok();
    }
    desk.browser.fetch(&url).await.unwrap().assert_ok();
}

#[tokio::test]
async fn every_document_can_be_edited() {
    let desk = Desk::new().await;
    let kyc = &desk.kyc;
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
    let page = desk.browser.fetch(kyc.discovery_url()).await.unwrap();
    assert_eq!(page.json()["issuer"], "https://evil.test");
    let page = desk.browser.fetch(kyc.url(Endpoint::Jwks)).await.unwrap();
    assert_eq!(page.json()["keys"], serde_json::json!([]));
    let tokens = desk.tokens().await.json();
    assert_eq!(tokens["token_type"], "DPoP");
    let told = desk
        .userinfo(tokens["access_token"].as_str().unwrap())
        .await;
    assert_eq!(told.json()["sub"], "somebody else");
    for edit in &edits {
        edit.assert_hit();
    }
}

#[tokio::test]
async fn every_tamper_changes_the_token_and_only_for_whom_it_was_meant() {
    let desk = Desk::new().await;
    let client = desk.kyc.client();
    let mint = desk.kyc.mint();
    for &tamper in Tamper::ALL {
        // An access token has claims of its own that the last ones are about.
        let id_token = mint
            .id_token(&desk.ada, client, "n")
            .for_access_token("token");
        let access_token = mint.access_token(&desk.ada, client);
        let bent = [
            (id_token.clone().tamper(tamper).sign(), id_token.sign()),
            (
                access_token.clone().tamper(tamper).sign(),
                access_token.sign(),
            ),
        ];
        assert!(bent.iter().any(|(bent, good)| bent != good), "{tamper:?}");
    }
    let bob = desk.kyc.person("bob").create();
    let for_bob = desk
        .kyc
        .tokens_for(&bob)
        .id_token(Tamper::WrongAudience)
        .optional()
        .always();
    let for_ada = desk
        .kyc
        .tokens_for(&desk.ada)
        .id_token(Tamper::Expired)
        .once();
    let tokens = desk.tokens().await.json();
    let claims = payload(tokens["id_token"].as_str().unwrap());
    assert_eq!(claims["aud"], client.id());
    assert!(claims["exp"].as_i64().unwrap() < claims["auth_time"].as_i64().unwrap());
    assert_eq!((for_bob.hits(), for_ada.hits()), (0, 1));
}

#[tokio::test]
async fn a_token_can_be_changed_in_any_way() {
    let desk = Desk::new().await;
    let edit = desk.kyc.tokens().edit_id_token(|draft| {
        draft.header.insert("typ".to_owned(), "strange".into());
        draft.signing = Signing::None;
    });
    let edit = edit.once();
    let raw = desk.kyc.tokens().edit_access_token(|draft| {
        draft.signing = Signing::Raw("opaque".to_owned());
    });
    let raw = raw.once();
    let tokens = desk.tokens().await.json();
    assert_eq!(tokens["access_token"], "opaque");
    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(part(id_token, 0)["typ"], "strange");
    assert!(id_token.ends_with('.'));
    edit.assert_hit();
    raw.assert_hit();
}
