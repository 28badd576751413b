//! Tests that the SDK validates and caches the discovery document, also if the issuer is
//! unavailable.

use std::{
    fmt,
    future::Future,
    io::{Read as _, Write as _},
    net::TcpListener,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use kycport::{
    Clock, RelyingParty, TestClock, Timestamp, TransportError,
    mock::{Endpoint, MockIssuer},
    oidc::{LoginRequest, MetadataError, ProviderError, UndeclaredCapabilities},
};
use serde_json::{Value, json};

use crate::{
    direct::{relying_party, relying_party_with, relying_party_with_short_timeouts, sign_in},
    support::{serve, setup, setup_with},
};

/// Duration that is longer than any back-off.
const PAST_ANY_BACK_OFF: Duration = Duration::from_secs(31);

async fn begin(app: &RelyingParty) -> Result<(), ProviderError> {
    app.oidc().begin(&LoginRequest::new()).await.map(|_| ())
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Sends requests to another endpoint. When this function returns, the mock has logged every
/// earlier request.
async fn settle(kyc: &MockIssuer) {
    let url = kyc.url(Endpoint::Userinfo);
    for _ in 0..3 {
        drop(kyc.browser().fetch(&url).await);
    }
}

#[tokio::test]
async fn a_document_of_another_issuer_is_rejected_and_not_cached() {
    // Covers threat case 1.
    let (kyc, _, ada) = setup().await;
    let own = kyc.issuer().to_owned();
    for other in [
        format!("{own}/"),
        own.to_uppercase(),
        own.replace("127.0.0.1", "localhost"),
        own.replace("http:", "https:"),
        format!("{own}.evil.test"),
        format!(" {own}"),
        own[..own.len() - 1].to_owned(),
        "https://www.kycport.com".to_owned(),
        String::new(),
    ] {
        let app = serve(&kyc, |config| config).await;
        let direct = relying_party(&kyc);
        let named = other.clone();
        let fault = kyc
            .edit_discovery(move |document| document["issuer"] = json!(named))
            .always();

        let page = kyc.browser().get(app.url("/auth/login")).await.unwrap();

        page.assert_status(503);
        assert!(page.header("retry-after").is_some());
        assert_eq!(
            begin(&direct).await,
            Err(MetadataError::IssuerMismatch.into()),
            "{other:?}"
        );
        drop(fault);
        kyc.clock().advance(PAST_ANY_BACK_OFF);
        begin(&direct).await.unwrap();
        kyc.browser()
            .sign_in(app.url("/auth/login"), &ada)
            .await
            .unwrap()
            .assert_ok();
    }
}

#[tokio::test]
async fn an_endpoint_on_another_host_is_never_called() {
    // Covers threat case 2.
    let kyc = MockIssuer::start().await;
    let foreign = MockIssuer::start().await;
    let own = kyc.origin();
    let host = own.strip_prefix("http://").unwrap();
    let bad = [
        format!("{}/api/oidc/token/", foreign.origin()),
        "http://www.kycport.com/x".to_owned(),
        "https://www.kycport.com/x".to_owned(),
        "https://10.0.0.1/x".to_owned(),
        "https://192.168.1.1/x".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[::ffff:10.0.0.1]/x".to_owned(),
        "http://0x7f000001/x".to_owned(),
        format!("http://{host}.evil.test/x"),
        format!("http://user@{host}/x"),
        format!("http://user:secret@{host}/x"),
        format!("http://:secret@{host}/x"),
        format!("http://{host}@evil.test/x"),
        format!("{own}/x#fragment"),
        format!("https://{host}/x"),
        format!("ftp://{host}/x"),
        "file:///etc/passwd".to_owned(),
        "javascript:alert(1)".to_owned(),
        "data:application/json,{}".to_owned(),
        "/relative".to_owned(),
        format!("//{host}/x"),
        String::new(),
    ];
    for endpoint in [
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
    ] {
        for address in &bad {
            let app = relying_party(&kyc);
            let put = address.clone();
            let _fault = kyc
                .edit_discovery(move |document| document[endpoint] = json!(put))
                .always();

            assert_eq!(
                begin(&app).await,
                Err(MetadataError::Endpoint(endpoint).into()),
                "{endpoint} {address:?}"
            );
            // The client does not fetch keys from this host either.
            assert!(app.oidc().verify_access_token("a.b.c").await.is_err());
        }
    }
    assert_eq!(foreign.all_requests().len(), 0);
    for quiet in [Endpoint::Token, Endpoint::Jwks, Endpoint::Userinfo] {
        kyc.requests(quiet).assert_count(0);
    }
}

#[tokio::test]
async fn an_authorization_endpoint_with_protocol_parameters_is_rejected() {
    // Covers threat case 2.
    let kyc = MockIssuer::start().await;
    let authorize = kyc.url(Endpoint::Authorize);
    for (query, accepted) in [
        ("redirect_uri=https://evil.test/", false),
        ("state=planted", false),
        ("%73tate=planted", false),
        ("a=1&nonce=planted", false),
        ("code_challenge_method=plain", false),
        ("request=e30.e30.", false),
        ("request_uri=https://evil.test/", false),
        ("scope", false),
        ("tenant=acme", true),
    ] {
        let app = relying_party(&kyc);
        let put = format!("{authorize}?{query}");
        let _fault = kyc
            .edit_discovery(move |document| document["authorization_endpoint"] = json!(put))
            .always();

        let refused = Err(MetadataError::Endpoint("authorization_endpoint").into());
        let expected = if accepted { Ok(()) } else { refused };
        assert_eq!(begin(&app).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_configured_further_host_is_called() {
    // Covers threat case 2.
    let kyc = MockIssuer::start().await;
    let foreign = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    let jwks = foreign.url(Endpoint::Jwks);
    kyc.edit_discovery(move |document| document["jwks_uri"] = json!(jwks))
        .always()
        .keep();
    let token = kyc.mint().access_token(&ada, kyc.client()).sign();
    let app = relying_party_with(&kyc, |config| {
        config.allow_endpoint_origin(foreign.origin())
    });

    begin(&app).await.unwrap();
    // Keys of the other host are not keys of this issuer.
    assert!(app.oidc().verify_access_token(&token).await.is_err());

    assert!(foreign.requests(Endpoint::Jwks).count() > 0);
    kyc.requests(Endpoint::Jwks).assert_count(0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    // Covers threat case 3.
    let kyc = MockIssuer::start().await;
    let foreign = MockIssuer::start().await;
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let app = relying_party(&kyc);
        let fault = kyc
            .on(Endpoint::Discovery)
            .redirect(status, &foreign.discovery_url())
            .always();

        assert_eq!(
            begin(&app).await,
            Err(TransportError::Redirect { status }.into())
        );
        assert_eq!(fault.hits(), 1);
    }
    assert_eq!(foreign.all_requests().len(), 0);
}

#[tokio::test]
async fn only_a_200_response_is_accepted() {
    // Covers threat case 4.
    let kyc = MockIssuer::start().await;
    let good = kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
    for status in [201, 203, 206, 400, 401, 403, 404, 410, 429, 500, 502, 503] {
        let app = relying_party(&kyc);
        let _fault = kyc
            .on(Endpoint::Discovery)
            .answer(status, "application/json", good.body())
            .always();
        assert_eq!(begin(&app).await, Err(ProviderError::Status(status)));
    }
}

#[tokio::test]
async fn an_invalid_discovery_document_gives_a_typed_error() {
    // Covers threat case 4.
    let kyc = MockIssuer::start().await;
    let good = kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
    let document = good.json();
    let text = good.body().to_owned();
    let mut bad: Vec<(String, Vec<u8>)> = Vec::new();
    for member in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
    ] {
        let mut without = document.clone();
        without.as_object_mut().unwrap().remove(member);
        bad.push((format!("no {member}"), without.to_string().into()));
        for other in [
            json!(null),
            json!(1),
            json!(true),
            json!([member]),
            json!({}),
        ] {
            bad.push((
                format!("{member}: {other}"),
                with(&document, member, &other),
            ));
        }
    }
    for list in [
        "response_types_supported",
        "code_challenge_methods_supported",
        "id_token_signing_alg_values_supported",
    ] {
        for other in [
            json!("code S256 EdDSA"),
            json!(1),
            json!([1]),
            json!([null]),
            json!({}),
        ] {
            bad.push((format!("{list}: {other}"), with(&document, list, &other)));
        }
    }
    let nest = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, body) in [
        ("array root", format!("[{text}]").into_bytes()),
        ("a string", json!(text).to_string().into()),
        ("null", b"null".to_vec()),
        ("empty", Vec::new()),
        ("white space", b"  \r\n".to_vec()),
        ("truncated", text.as_bytes()[..text.len() / 2].to_vec()),
        (
            "HTML",
            b"<!doctype html><title>Maintenance</title>".to_vec(),
        ),
        ("UTF-16", utf16),
        (
            "not UTF-8",
            [b"{\"issuer\":\"\xff\"}".as_slice(), text.as_bytes()].concat(),
        ),
        ("trailing data", format!("{text}{{}}").into()),
        ("NUL", format!("{text}\0").into()),
        ("a comment", format!("/* hello */{text}").into()),
        (
            "duplicate issuer",
            text.replacen('{', "{\"issuer\":\"https://evil.test\",", 1)
                .into(),
        ),
        (
            "duplicate jwks_uri",
            text.replacen('{', "{\"jwks_uri\":\"https://evil.test\",", 1)
                .into(),
        ),
        ("deep nesting", nest(20_000).into()),
    ] {
        bad.push((name.to_owned(), body));
    }

    for (name, body) in bad {
        let app = relying_party(&kyc);
        let _fault = kyc
            .on(Endpoint::Discovery)
            .answer(200, "application/json", body)
            .always();
        assert_eq!(
            begin(&app).await,
            Err(MetadataError::Malformed.into()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_unknown_deeply_nested_member_is_ignored() {
    // Threat case 4: the client accepts an unknown, deeply nested member without a stack overflow.
    let kyc = MockIssuer::start().await;
    let good = kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
    let nest = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let unusual = good.body().replacen('{', &format!("{{\"a\":{nest},"), 1);
    let _fault = kyc
        .on(Endpoint::Discovery)
        .answer(200, "text/plain", unusual)
        .always();
    begin(&relying_party(&kyc)).await.unwrap();
}

#[tokio::test]
async fn unused_members_of_a_document_are_ignored() {
    // Threat cases 4, 18: the document has a byte order mark, a lone surrogate, and lists that the
    // client does not use
    let (kyc, _, ada) = setup().await;
    let discovery = kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
    let mut document = discovery.json();
    for list in [
        "grant_types_supported",
        "token_endpoint_auth_methods_supported",
        "scopes_supported",
        "claims_supported",
        "subject_types_supported",
        "acr_values_supported",
    ] {
        document[list] = json!([null, 1]);
    }
    let unusual = |json: String| json.replacen('{', "\u{feff}{\"unusual\":\"\\ud83d\",", 1);
    let _discovery = kyc
        .on(Endpoint::Discovery)
        .answer(200, "application/json", unusual(document.to_string()))
        .always();
    let keys = kyc.browser().fetch(kyc.url(Endpoint::Jwks)).await.unwrap();
    let _keys = kyc
        .on(Endpoint::Jwks)
        .answer(200, "application/json", unusual(keys.body().to_owned()))
        .always();
    sign_in(&kyc, &relying_party(&kyc), &ada).await.unwrap();
}

fn with(document: &Value, member: &str, value: &Value) -> Vec<u8> {
    let mut document = document.clone();
    document[member] = value.clone();
    document.to_string().into()
}

#[tokio::test]
async fn a_body_is_read_up_to_the_size_limit() {
    // Threat case 5: the client stops at the size limit, long before the deadline
    const CAP: usize = 64 * 1024;
    let kyc = MockIssuer::start().await;
    let too_large = Err(TransportError::TooLarge { limit: CAP }.into());
    let good = kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
    let padded = |size: usize| {
        let body = good.body();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    let patient = || {
        relying_party_with(&kyc, |config| {
            config
                .connect_timeout(seconds(60))
                .request_timeout(seconds(3600))
        })
    };
    let at = || kyc.on(Endpoint::Discovery);
    for (fault, expected) in [
        (at().endless_body(), too_large),
        (at().huge(100_000_000), too_large),
        (
            at().answer(200, "application/json", padded(CAP + 1)),
            too_large,
        ),
        (at().answer(200, "application/json", padded(CAP)), Ok(())),
        (
            at().gzip_bomb(10_000_000),
            Err(TransportError::Encoded.into()),
        ),
        (
            at().answer(200, "application/json", good.body())
                .add_header("content-encoding", "br"),
            Err(TransportError::Encoded.into()),
        ),
    ] {
        let app = patient();
        let fault = fault.always();
        assert_eq!(begin(&app).await, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn one_deadline_covers_the_whole_response() {
    // Covers threat case 6.
    let kyc = MockIssuer::start().await;
    let timeout = Err(TransportError::Timeout.into());
    let at = || kyc.on(Endpoint::Discovery);
    for fault in [
        at().hang(),
        at().hang_body(),
        at().dribble(Duration::from_millis(20)),
        at().delay(seconds(60)),
    ] {
        let app = relying_party_with_short_timeouts(&kyc);
        let fault = fault.always();
        assert_eq!(begin(&app).await, timeout, "{fault:?}");
    }
    // Sends the header one byte at a time.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ");
        while socket.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let moment = Duration::from_millis(300);
    let app = relying_party_with(&kyc, |config| {
        config
            .discovery_url(format!("http://{address}/"))
            .connect_timeout(moment)
            .request_timeout(moment)
    });
    assert_eq!(begin(&app).await, timeout);
}

#[tokio::test]
async fn a_broken_connection_gives_a_typed_error() {
    // Covers threat case 4.
    let kyc = MockIssuer::start().await;
    let broken = Err(TransportError::Broken.into());
    for fault in [
        kyc.on(Endpoint::Discovery).drop_connection(),
        kyc.on(Endpoint::Discovery).truncate(),
    ] {
        let app = relying_party(&kyc);
        let fault = fault.always();
        assert_eq!(begin(&app).await, broken, "{fault:?}");
    }
    kyc.stop().unwrap();
    let app = relying_party(&kyc);
    assert_eq!(begin(&app).await, Err(TransportError::Connect.into()));
}

#[tokio::test]
async fn an_app_starts_without_its_issuer_and_recovers() {
    // Covers threat case 7.
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    kyc.stop().unwrap();
    let app = serve(&kyc, |config| config).await;
    let ada = kyc.person("ada").create();
    let browser = kyc.browser();
    browser.get(app.url("/")).await.unwrap().assert_ok();

    let page = browser.get(app.url("/auth/login")).await.unwrap();

    page.assert_status(503);
    let wait: u64 = page.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait));
    kyc.restart().unwrap();
    kyc.clock().advance(seconds(wait));
    browser
        .sign_in(app.url("/auth/login"), &ada)
        .await
        .unwrap()
        .assert_ok();
}

#[tokio::test]
async fn requests_to_an_unavailable_issuer_back_off() {
    // Covers threat case 7.
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    let app = relying_party(&kyc);
    let fault = kyc.on(Endpoint::Discovery).fail(503).always();
    let mut asked = 0;
    for back_off in [1, 2, 4, 8, 16, 30, 30, 30] {
        asked += 1;
        for _ in 0..5 {
            assert_eq!(begin(&app).await, Err(ProviderError::Status(503)));
        }
        assert_eq!(fault.hits(), asked, "one request");
        kyc.clock()
            .advance(Duration::from_millis(back_off * 1000 - 1));
        assert!(begin(&app).await.is_err());
        assert_eq!(
            fault.hits(),
            asked,
            "a request was sent within {back_off} s"
        );
        kyc.clock().advance(Duration::from_millis(1));
    }
    drop(fault);
    begin(&app).await.unwrap();
    // A successful fetch resets the back-off.
    kyc.clock().advance(seconds(2 * 3600));
    let fault = kyc.on(Endpoint::Discovery).fail(503).always();
    assert!(begin(&app).await.is_err());
    kyc.clock().advance(seconds(1));
    assert!(begin(&app).await.is_err());
    assert_eq!(fault.hits(), 2);
}

#[tokio::test]
async fn during_an_issuer_outage_sessions_work_and_metadata_is_used_for_another_hour() {
    // Covers threat case 8.
    let day = seconds(24 * 3600);
    let (kyc, app, ada) =
        setup_with(|config| config.session_idle_timeout(day).session_lifetime(day)).await;
    kyc.clock().freeze();
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    kyc.stop().unwrap();
    let status = async |path: &str| browser.open(app.url(path)).await.unwrap().status();

    for (advance, login) in [
        (0, 303),
        (601, 303),
        (3597, 303),
        (1, 303),
        (1, 503),
        (3600, 503),
    ] {
        kyc.clock().advance(seconds(advance));
        assert_eq!(status("/auth/login").await, login, "{advance}");
        assert_eq!(status("/vault").await, 200);
        assert_eq!(status("/auth/me").await, 200);
    }
    kyc.restart().unwrap();
    kyc.clock().advance(PAST_ANY_BACK_OFF);
    assert_eq!(status("/auth/login").await, 303);
}

#[tokio::test]
async fn a_provider_without_a_necessary_capability_is_rejected() {
    // Covers threat case 9.
    let kyc = MockIssuer::start().await;
    for (list, documented, others) in [
        (
            "response_types_supported",
            "code",
            json!(["token", "code id_token", "Code"]),
        ),
        (
            "code_challenge_methods_supported",
            "S256",
            json!(["plain", "s256"]),
        ),
        (
            "id_token_signing_alg_values_supported",
            "EdDSA",
            json!(["RS256", "none", "eddsa"]),
        ),
    ] {
        let refused = Err(MetadataError::Capability(list).into());
        for (value, by_default, assumed) in [
            (None, refused, Ok(())),
            (Some(json!(null)), refused, Ok(())),
            (Some(json!([])), refused, refused),
            (Some(others), refused, refused),
            (Some(json!(["other", documented])), Ok(()), Ok(())),
        ] {
            let put = value.clone();
            let _fault = kyc
                .edit_discovery(move |document| {
                    let document = document.as_object_mut().unwrap();
                    document.remove(list);
                    if let Some(put) = &put {
                        document.insert(list.to_owned(), put.clone());
                    }
                })
                .always();
            let strict = relying_party(&kyc);
            assert_eq!(begin(&strict).await, by_default, "{list}: {value:?}");
            let trusting = relying_party_with(&kyc, |config| {
                config.undeclared_capabilities(UndeclaredCapabilities::AssumeDocumented)
            });
            assert_eq!(begin(&trusting).await, assumed, "{list}: {value:?}");
        }
    }
}

#[tokio::test]
async fn cache_control_is_limited_to_between_a_minute_and_an_hour() {
    for (says, fresh) in [
        (Some(0), 60),
        (Some(1), 60),
        (Some(60), 60),
        (Some(120), 120),
        (Some(600), 600),
        (Some(3600), 3600),
        (Some(1_000_000), 3600),
        (None, 600),
    ] {
        let kyc = MockIssuer::start().await;
        kyc.clock().freeze();
        kyc.switch(|switches| switches.cache_max_age = says.map(seconds));
        let app = relying_party(&kyc);
        begin(&app).await.unwrap();
        // The client does not refresh the document yet, because half of the document's lifetime
        // remains.
        kyc.clock().advance(seconds(fresh / 2));
        for _ in 0..5 {
            begin(&app).await.unwrap();
        }
        settle(&kyc).await;
        kyc.requests(Endpoint::Discovery).assert_count(1);
        // The client fetches the document again when its lifetime has ended.
        kyc.clock().advance(seconds(fresh - fresh / 2));
        let _fault = kyc.on(Endpoint::Discovery).fail(500).always();
        begin(&app).await.unwrap();
        kyc.requests(Endpoint::Discovery).assert_count(2);
    }
}

#[tokio::test]
async fn a_no_store_document_is_cached_for_a_minute() {
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    kyc.switch(|switches| switches.cache_max_age = None);
    kyc.on(Endpoint::Discovery)
        .add_header("cache-control", "no-store")
        .named("no-store")
        .always()
        .keep();
    let app = relying_party(&kyc);
    for (advance, requests) in [(0, 1), (40, 1), (20, 2)] {
        kyc.clock().advance(seconds(advance));
        begin(&app).await.unwrap();
        settle(&kyc).await;
        kyc.requests(Endpoint::Discovery).assert_count(requests);
    }
}

#[tokio::test]
async fn a_document_is_refreshed_in_the_background_in_its_last_minute() {
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    let app = relying_party(&kyc);
    begin(&app).await.unwrap();
    kyc.clock().advance(seconds(539));
    begin(&app).await.unwrap();
    settle(&kyc).await;
    kyc.requests(Endpoint::Discovery).assert_count(1);
    kyc.clock().advance(seconds(1));
    let gate = kyc.on(Endpoint::Discovery).hold();

    // The mock delays the refresh, and no login waits for the refresh.
    for _ in 0..100 {
        begin(&app).await.unwrap();
    }

    gate.wait_for(1).await;
    assert_eq!(gate.hits(), 1);
    gate.release();
    // The old document has expired. The login uses the new document, because the client sends no
    // further request.
    kyc.clock().advance(seconds(61));
    begin(&app).await.unwrap();
    kyc.requests(Endpoint::Discovery).assert_count(2);
}

#[tokio::test]
async fn a_failed_background_refresh_backs_off_and_fails_no_login() {
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    let app = relying_party(&kyc);
    begin(&app).await.unwrap();
    kyc.clock().advance(seconds(550));
    let fault = kyc.on(Endpoint::Discovery).fail(500).always();
    for _ in 0..20 {
        begin(&app).await.unwrap();
        settle(&kyc).await;
    }
    assert_eq!(fault.hits(), 1);
}

#[tokio::test]
async fn a_thousand_simultaneous_first_logins_share_one_request() {
    let kyc = MockIssuer::start().await;
    let app = relying_party(&kyc);
    let gate = kyc.on(Endpoint::Discovery).hold();
    let request = LoginRequest::new();
    let logins = join_all((0..1000).map(|_| app.oidc().begin(&request)));

    let (logins, ()) = tokio::join!(logins, async {
        gate.wait_for(1).await;
        gate.release();
    });

    assert!(logins.iter().all(Result::is_ok));
    kyc.requests(Endpoint::Discovery).assert_count(1);
}

#[tokio::test]
async fn a_thousand_failing_first_logins_share_one_request() {
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    let app = relying_party(&kyc);
    let fault = kyc.on(Endpoint::Discovery).fail(500).always();
    let logins = join_all((0..1000).map(|_| begin(&app))).await;
    assert!(logins.iter().all(Result::is_err));
    assert_eq!(fault.hits(), 1);
}

#[tokio::test]
async fn a_cancelled_first_caller_does_not_cancel_the_shared_fetch() {
    // Covers threat case 140.
    let kyc = MockIssuer::start().await;
    let app = relying_party(&kyc);
    let gate = kyc.on(Endpoint::Discovery).hold();
    let leader = {
        let app = app.clone();
        tokio::spawn(async move { begin(&app).await })
    };
    gate.wait_for(1).await;
    let follower = {
        let app = app.clone();
        tokio::spawn(async move { begin(&app).await })
    };
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    gate.release();

    follower.await.unwrap().unwrap();
    begin(&app).await.unwrap();

    kyc.requests(Endpoint::Discovery).assert_count(1);
}

#[test]
fn a_runtime_that_ends_during_a_fetch_does_not_block_later_fetches() {
    // Covers threat case 140.
    let kyc = MockIssuer::start_blocking();
    let app = relying_party(&kyc);
    let gate = kyc.on(Endpoint::Discovery).hold();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        tokio::select! {
            _ = begin(&app) => panic!("the login completed although the gate is closed"),
            () = gate.wait_for(1) => {}
        }
    });
    drop(first);
    gate.release();

    runtime().block_on(begin(&app)).unwrap();
}

#[test]
fn a_runtime_that_has_ended_fails_only_its_own_caller() {
    // Threat case 140: the runtime drops the fetch task before the task runs
    let kyc = MockIssuer::start_blocking();
    let app = relying_party(&kyc);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let (tell, result) = mpsc::channel();
    let late = app.clone();
    thread::spawn(move || {
        let _inside = handle.enter();
        let login = pin!(begin(&late)).poll(&mut Context::from_waker(Waker::noop()));
        tell.send(login).unwrap();
    });

    let login = result
        .recv_timeout(seconds(20))
        .expect("the login did not return");

    assert_eq!(login, Poll::Ready(Err(ProviderError::Interrupted)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(begin(&app)).unwrap();
}

/// Test clock that panics while `armed` is set.
struct PanickingClock {
    clock: TestClock,
    armed: Arc<AtomicBool>,
}

impl fmt::Debug for PanickingClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PanickingClock")
    }
}

impl Clock for PanickingClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        assert!(!self.armed.load(Ordering::SeqCst), "the clock is broken");
        self.clock.monotonic()
    }
}

#[tokio::test]
async fn a_panic_during_a_fetch_does_not_block_later_fetches() {
    // Covers threat case 140.
    let kyc = MockIssuer::start().await;
    let armed = Arc::new(AtomicBool::new(false));
    let clock = PanickingClock {
        clock: kyc.clock().clone(),
        armed: Arc::clone(&armed),
    };
    let app = relying_party_with(&kyc, |config| config.clock(clock));
    let gate = kyc.on(Endpoint::Discovery).hold();
    let login = {
        let app = app.clone();
        tokio::spawn(async move { begin(&app).await })
    };
    gate.wait_for(1).await;
    armed.store(true, Ordering::SeqCst);
    gate.release();
    // The clock panics in the fetch task and then in the caller's task.
    assert!(login.await.is_err());
    armed.store(false, Ordering::SeqCst);

    begin(&app).await.unwrap();
}
