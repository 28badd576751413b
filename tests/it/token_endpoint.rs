//! Tests that the SDK sends correct token requests and handles each response of the token endpoint.

use std::time::Duration;

use kycport::{
    RelyingParty, TransportError,
    mock::{Endpoint, Fault, MockIssuer, Rule},
    oidc::{Authenticated, ExchangeError, LoginError, LoginRequest},
};
use serde_json::{Value, json};

use crate::{
    direct::{login_until_callback, relying_party, relying_party_with_short_timeouts, sign_in},
    support::{setup, setup_with, tenant_app},
};

/// Text that must not appear in any error.
const CANARY: &str = "canary-in-the-body-0123456789";

fn assert_no_canary(error: &LoginError) {
    for error_text in [
        format!("{error}"),
        format!("{error:?}"),
        format!("{error:#?}"),
    ] {
        assert!(!error_text.contains(CANARY), "{error_text}");
    }
}

/// Runs a login with this fault, and asserts the number of token requests.
async fn login_error(kyc: &MockIssuer, app: &RelyingParty, fault: Fault) -> LoginError {
    let ada = kyc.person("ada").create();
    kyc.forget_requests();
    let error = sign_in(kyc, app, &ada).await.unwrap_err();
    kyc.requests(Endpoint::Token).assert_count(1);
    assert_no_canary(&error);
    drop(fault);
    error
}

#[tokio::test]
async fn a_confidential_client_sends_exactly_what_is_documented() {
    // K20
    let (kyc, app, ada) = setup().await;
    let browser = kyc.browser();
    browser
        .sign_in(app.url("/auth/login"), &ada)
        .await
        .unwrap()
        .assert_ok();

    let requests = kyc.requests(Endpoint::Token);
    requests.assert_count(1);
    let request = requests.last().unwrap();
    // The request has this path, this method and these parameter names. The mock rejects a
    // parameter that occurs twice.
    let error_text = format!("{request:?}");
    let (line, names) = error_text.split_once(" form:").unwrap();
    assert_eq!(line, "POST /api/oidc/token/");
    let (names, status) = names.split_once(" -> ").unwrap();
    let mut names: Vec<_> = names.split(',').collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "client_id",
            "client_secret",
            "code",
            "code_verifier",
            "grant_type",
            "redirect_uri"
        ]
    );
    assert_eq!(status, "200");
    assert_eq!(request.form("grant_type"), Some("authorization_code"));
    assert_eq!(request.form("client_id"), Some(kyc.client().id()));
    assert_eq!(request.form("client_secret"), kyc.client().secret());
    assert_eq!(
        request.form("redirect_uri"),
        Some(app.url("/auth/callback").as_str())
    );
    assert_eq!(request.form("code_verifier").unwrap().len(), 43);
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("cookie"), None);
    assert_eq!(request.header("referer"), None);
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
}

#[tokio::test]
async fn a_public_client_sends_no_secret() {
    // K20
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    let redirect_uri = "http://127.0.0.1:9/auth/callback";
    let config = kyc
        .config_for(kyc.public_client(), redirect_uri)
        .build()
        .unwrap();
    let app = RelyingParty::new(config).unwrap();

    sign_in(&kyc, &app, &ada).await.unwrap();

    let requests = kyc.requests(Endpoint::Token);
    let request = requests.last().unwrap();
    assert_eq!(request.form("client_id"), Some(kyc.public_client().id()));
    assert_eq!(request.form("client_secret"), None);
    assert_eq!(request.header("authorization"), None);
    assert!(!format!("{request:?}").contains("client_secret"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_code_is_not_resent() {
    // Covers threat case 47.
    let kyc = MockIssuer::start().await;
    let foreign = MockIssuer::start().await;
    for status in [301, 302, 303, 307, 308] {
        for to in [foreign.url(Endpoint::Token), kyc.url(Endpoint::Token)] {
            let app = relying_party(&kyc);
            let fault = kyc.on(Endpoint::Token).redirect(status, &to).always();
            assert_eq!(
                login_error(&kyc, &app, fault).await,
                ExchangeError::from(TransportError::Redirect { status }).into()
            );
        }
    }
    assert_eq!(foreign.all_requests().len(), 0);
}

#[tokio::test]
async fn an_invalid_response_is_a_typed_error_without_its_body() {
    // Covers threat case 48.
    let kyc = MockIssuer::start().await;
    let at = || kyc.on(Endpoint::Token);
    let says = |status, body: String| at().answer(status, "application/json", body);
    let unavailable = |status| ExchangeError::Unavailable {
        status,
        retry_after: None,
    };
    let html = format!("<!doctype html><p>{CANARY}</p>");
    let invalid = ExchangeError::InvalidResponse;
    let broken = ExchangeError::from(TransportError::Broken);
    let capped = ExchangeError::from(TransportError::TooLarge { limit: 65_536 });
    let table: Vec<(Rule, ExchangeError)> = vec![
        (
            at().answer(500, "text/html", html.clone()),
            unavailable(500),
        ),
        (
            at().answer(502, "text/html", html.clone()),
            unavailable(502),
        ),
        (at().answer(200, "text/html", html.clone()), invalid.clone()),
        (at().answer(404, "text/html", html.clone()), invalid.clone()),
        (at().answer(400, "text/html", html), invalid.clone()),
        (says(200, String::new()), invalid.clone()),
        (says(204, String::new()), invalid.clone()),
        (says(400, String::new()), invalid.clone()),
        (
            says(200, format!("{{\"access_token\":\"{CANARY}")),
            invalid.clone(),
        ),
        (says(200, format!("[\"{CANARY}\"]")), invalid.clone()),
        (says(200, "null".to_owned()), invalid.clone()),
        (says(200, json!(CANARY).to_string()), invalid.clone()),
        (
            says(200, json!({ "error": CANARY }).to_string()),
            invalid.clone(),
        ),
        (
            says(
                200,
                json!({ "error": "invalid_grant", "error_description": CANARY }).to_string(),
            ),
            invalid.clone(),
        ),
        (
            says(
                200,
                json!({ "id_token": CANARY, "token_type": "Bearer" }).to_string(),
            ),
            invalid.clone(),
        ),
        (
            says(
                200,
                json!({ "access_token": "", "token_type": "Bearer", "id_token": CANARY })
                    .to_string(),
            ),
            invalid.clone(),
        ),
        (
            says(400, json!({ "detail": CANARY }).to_string()),
            invalid.clone(),
        ),
        (
            says(400, json!({ "error": [CANARY] }).to_string()),
            invalid.clone(),
        ),
        (says(200, "[".repeat(60_000)), invalid.clone()),
        (at().truncate(), broken.clone()),
        (at().drop_connection(), broken),
        (at().endless_body(), capped.clone()),
        (at().huge(100_000_000), capped),
        (at().gzip_bomb(10_000_000), TransportError::Encoded.into()),
    ];
    for (rule, expected) in table {
        let app = relying_party(&kyc);
        let name = format!("{rule:?}");
        let error = login_error(&kyc, &app, rule.always()).await;
        assert_eq!(error, expected.into(), "{name}");
    }
}

#[tokio::test]
async fn a_valid_response_with_another_content_type_is_rejected() {
    // Covers threat case 48.
    let kyc = MockIssuer::start().await;
    for content_type in ["text/html", "text/plain; charset=utf-8", "application/jwt"] {
        let app = relying_party(&kyc);
        let body = json!({ "access_token": CANARY, "token_type": "Bearer", "id_token": CANARY });
        let fault = kyc
            .on(Endpoint::Token)
            .answer(200, content_type, body.to_string())
            .always();
        let error = login_error(&kyc, &app, fault).await;
        assert_eq!(
            error,
            ExchangeError::InvalidResponse.into(),
            "{content_type}"
        );
    }
}

/// Runs a login with a modified token response.
async fn edited(
    edit: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Result<Authenticated, LoginError> {
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    let _fault = kyc.edit_token_response(edit).always();
    sign_in(&kyc, &relying_party(&kyc), &ada).await
}

#[tokio::test]
async fn a_response_without_an_id_token_is_rejected() {
    // Covers threat case 48.
    for edit in [
        |answer: &mut Value| drop(answer.as_object_mut().unwrap().remove("id_token")),
        |answer: &mut Value| answer["id_token"] = Value::Null,
    ] {
        assert_eq!(edited(edit).await.unwrap_err(), LoginError::NoIdToken);
    }
    for mistyped in [json!(1), json!([]), json!({})] {
        let error = edited(move |answer| answer["id_token"] = mistyped.clone())
            .await
            .unwrap_err();
        assert_eq!(error, ExchangeError::InvalidResponse.into());
    }
}

#[tokio::test]
async fn token_type_must_be_bearer_in_any_case() {
    // Covers threat case 49.
    for good in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        edited(move |answer| answer["token_type"] = json!(good))
            .await
            .unwrap();
    }
    for bad in [
        json!("DPoP"),
        json!("mac"),
        json!("N_A"),
        json!("Bearer "),
        json!(""),
        json!(null),
        json!(1),
        json!(["Bearer"]),
    ] {
        let error_text = bad.to_string();
        let error = edited(move |answer| answer["token_type"] = bad.clone())
            .await
            .unwrap_err();
        assert_eq!(error, ExchangeError::InvalidResponse.into(), "{error_text}");
    }
    let error = edited(|answer| drop(answer.as_object_mut().unwrap().remove("token_type")))
        .await
        .unwrap_err();
    assert_eq!(error, ExchangeError::InvalidResponse.into());
}

#[tokio::test]
async fn an_invalid_expires_in_never_outlives_the_token() {
    // Threat case 50: the `exp` of the access token is 900 s ahead
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    let ada = kyc.person("ada").create();
    let now = kycport::Clock::now(kyc.clock());
    let app = relying_party(&kyc);
    for (says, seconds) in [
        (None, 900),
        (Some(json!(null)), 900),
        (Some(json!("300")), 900),
        (Some(json!(-1)), 900),
        (Some(json!(1.5)), 900),
        (Some(json!(1e18)), 900),
        (Some(json!(1e300)), 900),
        (Some(json!(1_000_000_000_000_000_000_u64)), 900),
        (Some(json!(i64::MAX)), 900),
        (Some(json!(u64::MAX)), 900),
        (Some(json!([300])), 900),
        (Some(json!({})), 900),
        (Some(json!(true)), 900),
        (Some(json!(0)), 0),
        (Some(json!(300)), 300),
        (Some(json!(900)), 900),
    ] {
        let put = says.clone();
        let _fault = kyc
            .edit_token_response(move |answer| {
                let answer = answer.as_object_mut().unwrap();
                answer.remove("expires_in");
                if let Some(put) = &put {
                    answer.insert("expires_in".to_owned(), put.clone());
                }
            })
            .always();
        let tokens = sign_in(&kyc, &app, &ada).await.unwrap().tokens;
        let expected = now.saturating_add(Duration::from_secs(seconds));
        assert_eq!(tokens.expires_at.as_unix(), expected.as_unix(), "{says:?}");
    }
}

#[tokio::test]
async fn a_lost_response_creates_no_session_and_the_code_is_not_resent() {
    // Threat case 51: KYCPort has redeemed the code, but its response is lost or incomplete
    let moment = Duration::from_millis(500);
    let (kyc, app, ada) =
        setup_with(|config| config.connect_timeout(moment).request_timeout(moment)).await;
    kyc.browser()
        .sign_in(app.url("/auth/login"), &ada)
        .await
        .unwrap()
        .assert_ok();
    let at = || kyc.on(Endpoint::Token).after();
    for rule in [
        at().hang(),
        at().hang_body(),
        at().dribble(Duration::from_millis(20)),
        at().truncate(),
        at().drop_connection(),
        at().reset(),
        at().hang_headers(),
        at().fail(500),
    ] {
        kyc.forget_requests();
        let name = format!("{rule:?}");
        let fault = rule.always();
        let browser = kyc.browser();

        let page = browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();

        assert_eq!(page.status(), 503, "{name}");
        assert_eq!(browser.cookie(app.url("/"), "__Host-kycport"), None);
        browser
            .fetch(app.url("/auth/me"))
            .await
            .unwrap()
            .assert_status(401);
        drop(fault);
        // A reload of the page does not send the code again either.
        let again = browser.get(page.url()).await.unwrap();
        assert!(again.status() >= 400, "{name}");
        browser
            .fetch(app.url("/auth/me"))
            .await
            .unwrap()
            .assert_status(401);
        kyc.requests(Endpoint::Token).assert_count(1);
    }
}

#[tokio::test]
async fn a_timeout_is_a_typed_error() {
    // Covers threat case 51.
    let kyc = MockIssuer::start().await;
    let at = || kyc.on(Endpoint::Token).after();
    for rule in [
        at().hang(),
        at().hang_body(),
        at().dribble(Duration::from_millis(20)),
    ] {
        let app = relying_party_with_short_timeouts(&kyc);
        let error = login_error(&kyc, &app, rule.always()).await;
        assert_eq!(error, ExchangeError::from(TransportError::Timeout).into());
    }
    // The mock stops between the authorization page and the callback.
    let app = relying_party(&kyc);
    let ada = kyc.person("ada").create();
    let (transaction, params) = login_until_callback(&kyc, &app, &ada, &LoginRequest::new()).await;
    kyc.stop().unwrap();
    let error = app.oidc().finish(transaction, params).await.unwrap_err();
    // An older connection may detect the failure first.
    let lost = [TransportError::Connect, TransportError::Broken];
    assert!(
        lost.iter()
            .any(|it| error == ExchangeError::from(*it).into()),
        "{error:?}"
    );
}

#[tokio::test]
async fn retry_after_is_returned_to_the_caller_and_shown_on_the_page() {
    let (kyc, app, ada) = setup().await;
    let direct = relying_party(&kyc);
    for status in [429, 503] {
        for (says, typed, page_says) in [
            (Some("7"), Some(7), "7"),
            (Some(" 7 "), Some(7), "7"),
            (Some("0"), Some(0), "1"),
            (Some("999999"), Some(3600), "3600"),
            (Some("-1"), None, "5"),
            (Some("1.5"), None, "5"),
            (Some("soon"), None, "5"),
            (Some("99999999999999999999999"), Some(3600), "3600"),
            (None, None, "5"),
        ] {
            let mut rule = kyc.on(Endpoint::Token).fail(status);
            if let Some(says) = says {
                rule = rule.add_header("retry-after", says);
            }
            let _fault = rule.always();
            let error = sign_in(&kyc, &direct, &ada).await.unwrap_err();
            let unavailable = ExchangeError::Unavailable {
                status,
                retry_after: typed.map(Duration::from_secs),
            };
            assert_eq!(error, unavailable.into(), "{says:?}");

            let browser = kyc.browser();
            let page = browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();

            page.assert_status(503);
            assert_eq!(page.header("retry-after"), Some(page_says), "{says:?}");
            browser
                .fetch(app.url("/auth/me"))
                .await
                .unwrap()
                .assert_status(401);
            // A pause after a 429 takes at most 60 s.
            kyc.clock().advance(Duration::from_secs(60));
        }
    }
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    let app = relying_party(&kyc);
    let now = kycport::Clock::now(kyc.clock()).as_unix();
    // The precision of an HTTP date is one second.
    kyc.clock().jump_to(kycport::Timestamp::from_unix(now));
    for (ahead, expected) in [(90, 90), (0, 0), (-3600, 0), (1_000_000, 3600)] {
        let at = std::time::UNIX_EPOCH + Duration::from_secs((now + ahead).try_into().unwrap());
        let fault = kyc
            .on(Endpoint::Token)
            .fail(503)
            .add_header("retry-after", &httpdate::fmt_http_date(at))
            .always();
        let unavailable = ExchangeError::Unavailable {
            status: 503,
            retry_after: Some(Duration::from_secs(expected)),
        };
        assert_eq!(login_error(&kyc, &app, fault).await, unavailable.into());
    }
}

#[tokio::test]
async fn a_rejection_keeps_its_error_code_and_hides_its_description() {
    // K23
    let kyc = MockIssuer::start().await;
    for (status, code) in [
        (400, "invalid_grant"),
        (400, "invalid_request"),
        (401, "invalid_client"),
        (403, "unauthorized_client"),
        (400, "a_code_of_tomorrow"),
    ] {
        let app = relying_party(&kyc);
        let body = json!({ "error": code, "error_description": CANARY });
        let fault = kyc
            .on(Endpoint::Token)
            .answer(status, "application/json", body.to_string())
            .always();
        let error = login_error(&kyc, &app, fault).await;
        let refused = ExchangeError::Rejected {
            code: code.to_owned(),
            description: Some(CANARY.to_owned()),
        };
        assert_eq!(error, refused.into());
    }
    // An unreadable error description does not hide the error code.
    let app = relying_party(&kyc);
    let body = r#"{"error":"invalid_grant","error_description":"x\ud83d"}"#;
    let fault = kyc
        .on(Endpoint::Token)
        .answer(400, "application/json", body)
        .always();
    let error = login_error(&kyc, &app, fault).await;
    assert!(
        matches!(&error, LoginError::Exchange(ExchangeError::Rejected { code, .. }) if code == "invalid_grant"),
        "{error:?}"
    );
    // A 403 without an error code has a specific remedy (K23).
    for body in [json!({ "detail": CANARY }).to_string(), String::new()] {
        let app = relying_party(&kyc);
        let fault = kyc
            .on(Endpoint::Token)
            .answer(403, "application/json", body)
            .always();
        let error = login_error(&kyc, &app, fault).await;
        assert_eq!(error, ExchangeError::Forbidden.into());
        assert!(error.to_string().contains("KYCPORT_CLIENT_SECRET"));
    }
    // The app must escape this error code, which contains a forged log line.
    let app = relying_party(&kyc);
    let body = json!({ "error": "x\r\n\u{1b}[31mforged", "error_description": CANARY });
    let fault = kyc
        .on(Endpoint::Token)
        .answer(400, "application/json", body.to_string())
        .always();
    let error = login_error(&kyc, &app, fault).await;
    for error_text in [error.to_string(), format!("{error:?}")] {
        assert!(
            !error_text.contains(['\r', '\n', '\u{1b}']),
            "{error_text:?}"
        );
        assert!(!error_text.contains("\\u{1b}"), "{error_text:?}");
    }
}

#[tokio::test]
async fn rejections_of_the_strict_mock_are_typed() {
    // K20, K24
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    // The client sends the same code twice, and the issuer rejects the second request.
    let app = relying_party(&kyc);
    let (transaction, params) = login_until_callback(&kyc, &app, &ada, &LoginRequest::new()).await;
    app.oidc()
        .finish(transaction.clone(), params.clone())
        .await
        .unwrap();
    let again = app.oidc().finish(transaction, params).await.unwrap_err();
    assert!(
        matches!(&again, LoginError::Exchange(ExchangeError::Rejected { code, .. }) if code == "invalid_grant"),
        "{again:?}"
    );
    // The app uses the secret of another client.
    let wrong =
        crate::direct::relying_party_with(&kyc, |config| config.client_secret("wrong-secret"));
    let error = sign_in(&kyc, &wrong, &ada).await.unwrap_err();
    assert!(
        matches!(&error, LoginError::Exchange(ExchangeError::Rejected { code, .. }) if code == "invalid_client"),
        "{error:?}"
    );
    assert!(!format!("{error:?}{error}").contains("wrong-secret"));
    // The error page contains the cause.
    let page_app = kyc
        .serve(|config| tenant_app(config.client_secret("wrong-secret")))
        .await
        .unwrap();
    let browser = kyc.browser();
    let page = browser
        .sign_in(page_app.url("/auth/login"), &ada)
        .await
        .unwrap();
    page.assert_status(502);
    browser
        .fetch(page_app.url("/auth/me"))
        .await
        .unwrap()
        .assert_status(401);
}
