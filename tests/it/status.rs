//! Tests that the status client works without axum and without sessions.

use std::time::Duration;

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use kycport::{
    Clock as _, Config, KycStatus, KycTier, RelyingParty,
    clock::Timestamp,
    kyc::{AssuranceSource, StatusError, StatusPersonId},
    mock::{Endpoint, Fault, MockIssuer, On, Person},
};

const REDIRECT: &str = "http://127.0.0.1:1/auth/callback";

async fn mock() -> (MockIssuer, Person) {
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    (kyc, ada)
}

/// Creates a client with very short pauses, because the tests must be fast.
fn client(kyc: &MockIssuer) -> RelyingParty {
    client_within(kyc, Duration::from_secs(20))
}

fn client_within(kyc: &MockIssuer, total: Duration) -> RelyingParty {
    let config = kyc.config(REDIRECT);
    let config = config
        .max_attempts(3)
        .retry_pause(Duration::from_millis(1))
        .retry_deadline(total);
    RelyingParty::new(config.build().unwrap()).unwrap()
}

fn status_requests(kyc: &MockIssuer) -> usize {
    kyc.requests(Endpoint::Status).count()
}

#[tokio::test]
async fn the_result_has_kycports_status_and_the_request_time() {
    let (kyc, ada) = mock().await;
    kyc.clock().freeze();
    let party = client(&kyc);
    for number in [false, true] {
        kyc.switch(|switches| switches.tier_as_number = number);
        let assurance = party.status().status(ada.id()).await.unwrap();
        assert_eq!(assurance.kyc_status, Some(KycStatus::Verified));
        assert_eq!(assurance.kyc_tier, Some(KycTier::T2));
        assert_eq!(assurance.aml_clear, Some(true));
        assert_eq!(assurance.checked_at, kyc.clock().now());
        assert_eq!(assurance.source, AssuranceSource::Status);
    }
    // `checked_at` is the time of the request and not the time of the response.
    let before = kyc.clock().now();
    let gate = kyc.on(Endpoint::Status).hold();
    let (assurance, ()) = tokio::join!(party.status().status(ada.id()), async {
        gate.wait_for(1).await;
        kyc.clock().advance(Duration::from_secs(5));
        gate.release();
    });
    assert_eq!(assurance.unwrap().checked_at, before);
}

#[tokio::test]
async fn a_rejection_is_typed_and_not_retried() {
    // Covers threat case 114 and contract row K43.
    let (kyc, ada) = mock().await;
    let refused = |error: StatusError| match error {
        StatusError::Rejected { status, code, .. } => (status, code),
        other => panic!("{other:?}"),
    };
    let wrong = kyc
        .config(REDIRECT)
        .tenant_api_key("wrong-key")
        .build()
        .unwrap();
    let wrong = RelyingParty::new(wrong).unwrap();
    let error = wrong.status().status(ada.id()).await.unwrap_err();
    assert_eq!(refused(error), (401, Some("invalid_api_key".to_owned())));
    let party = client(&kyc);
    let hidden = kyc.person("eve").only_for(kyc.other_tenant()).create();
    for unknown in ["unknown", hidden.id()] {
        let error = party.status().status(unknown).await.unwrap_err();
        assert_eq!(refused(error), (404, Some("person_not_found".to_owned())));
    }
    kyc.tenant().revoke_status_right();
    let error = party.status().status(ada.id()).await.unwrap_err();
    assert_eq!(refused(error), (403, Some("forbidden".to_owned())));
    assert_eq!(status_requests(&kyc), 4);

    for (body, code) in [
        (r#"{"error":"brand_new"}"#, Some("brand_new")),
        (r#"{"error":7}"#, None),
        ("<h1>No</h1>", None),
        ("", None),
    ] {
        let on = kyc.on(Endpoint::Status);
        let _fault = on.answer(403, "application/json", body).always();
        let error = party.status().status(ada.id()).await.unwrap_err();
        assert_eq!(refused(error), (403, code.map(str::to_owned)));
    }
    assert_eq!(status_requests(&kyc), 8);
}

#[tokio::test]
async fn the_tenant_key_is_in_no_error_and_no_debug_output() {
    // Covers threat case 114.
    let (kyc, ada) = mock().await;
    let key = kyc.tenant().api_key().to_owned();
    let echo = r#"{"error":"bad key","detail":"no such person"}"#;
    let party = client(&kyc);
    let _fault = kyc
        .on(Endpoint::Status)
        .answer(403, "application/json", echo)
        .always();
    let error = party.status().status(ada.id()).await.unwrap_err();
    for debug_output in [
        format!("{party:?}"),
        format!("{:?}", party.status()),
        format!("{:?}", party.config()),
        format!("{error:?}"),
        error.to_string(),
    ] {
        assert!(!debug_output.contains(&key), "{debug_output}");
    }
    let sent = kyc.requests(Endpoint::Status);
    let sent = sent.last().unwrap();
    assert_eq!(
        sent.header("authorization"),
        Some(&*format!("Bearer {key}"))
    );
    assert_eq!(sent.method(), "GET");
    // The client sends no request without a key.
    let client = kyc.client();
    let keyless = Config::builder(client.id(), REDIRECT)
        .client_secret(client.secret().unwrap())
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url());
    let keyless = RelyingParty::new(keyless.build().unwrap()).unwrap();
    assert!(!keyless.status().is_configured());
    let error = keyless.status().status(ada.id()).await;
    assert_eq!(error, Err(StatusError::NoTenantKey));
    assert_eq!(status_requests(&kyc), 1);
}

#[tokio::test]
async fn retry_after_is_honoured_in_both_forms_up_to_the_call_limit() {
    // Covers threat case 115.
    let (kyc, ada) = mock().await;
    kyc.clock().freeze();
    kyc.clock().jump_to(Timestamp::from_unix(784_111_777)); // Sun, 06 Nov 1994 08:49:37 GMT
    for (header, seconds) in [
        ("60", 60),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("86400", 3600),
        ("99999999999999999999999", 3600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    ] {
        for status in [429, 503] {
            let party = client(&kyc);
            kyc.forget_requests();
            let fault = kyc.on(Endpoint::Status).fail(status);
            let _fault = fault.add_header("retry-after", header).always();
            let error = party.status().status(ada.id()).await.unwrap_err();
            let retry_after = Duration::from_secs(seconds);
            assert_eq!(error, StatusError::RateLimited { retry_after }, "{header}");
            assert_eq!(status_requests(&kyc), 1, "{status} {header}");
        }
        // A 429 response applies to all callers, so the next caller gets the error immediately.
        let party = client(&kyc);
        let fault = kyc.on(Endpoint::Status).fail(429);
        let fault = fault.add_header("retry-after", header).once();
        party.status().status(ada.id()).await.unwrap_err();
        fault.assert_hit();
        kyc.forget_requests();
        let error = party.status().status(ada.id()).await.unwrap_err();
        assert!(matches!(error, StatusError::RateLimited { .. }));
        assert_eq!(status_requests(&kyc), 0, "{header}");
        kyc.clock().advance(Duration::from_secs(seconds));
        party.status().status(ada.id()).await.unwrap();
        kyc.clock().jump_to(Timestamp::from_unix(784_111_777));
    }
}

#[tokio::test]
async fn an_invalid_retry_after_causes_a_normal_back_off() {
    // Covers threat case 115.
    let (kyc, ada) = mock().await;
    for header in [
        "soon",
        "-1",
        "1.5",
        "",
        "0",
        "Sun, 06 Nov 1994 08:49:37 GMT",
    ] {
        let party = client(&kyc);
        kyc.forget_requests();
        let fault = kyc.on(Endpoint::Status).fail(429);
        let _fault = fault.add_header("retry-after", header).times(2);
        let assurance = party.status().status(ada.id()).await;
        assert!(assurance.is_ok(), "{header:?}: {assurance:?}");
        assert_eq!(status_requests(&kyc), 3, "{header:?}");
    }
}

#[tokio::test]
async fn transient_errors_are_retried_at_most_three_times() {
    // Covers threat case 116 and contract row K44.
    let (kyc, ada) = mock().await;
    let unavailable = |status| StatusError::Unavailable { status };
    for (status, times) in [
        (500, 3),
        (502, 3),
        (503, 3),
        (504, 3),
        (408, 3),
        (501, 1),
        (505, 1),
    ] {
        let party = client(&kyc);
        kyc.forget_requests();
        let fault = kyc.on(Endpoint::Status).fail(status).always();
        let error = party.status().status(ada.id()).await.unwrap_err();
        assert_eq!(error, unavailable(status));
        assert_eq!(status_requests(&kyc), times, "{status}");
        drop(fault);
        if times == 3 {
            let _fault = kyc.on(Endpoint::Status).fail(status).times(2);
            party.status().status(ada.id()).await.unwrap();
        }
    }
}

type MakeFault = fn(On) -> Fault;

#[tokio::test]
async fn an_unreadable_response_is_a_descriptive_error() {
    // Covers threat cases 117, 120.
    let (kyc, ada) = mock().await;
    let table: [(MakeFault, &str, usize); 12] = [
        (|on| on.drop_connection().always(), "closed", 3),
        (|on| on.truncate().always(), "closed", 3),
        (|on| on.huge(1 << 20).always(), "larger than 65536", 1),
        (|on| on.endless_body().always(), "larger than 65536", 1),
        (|on| on.gzip_bomb(1 << 20).always(), "compressed", 1),
        (
            |on| on.add_header("content-encoding", "br").always(),
            "compressed",
            1,
        ),
        (
            |on| on.answer(200, "text/html", "<p>").always(),
            "not a valid status",
            1,
        ),
        (
            |on| on.answer(200, "application/json", "[]").always(),
            "not a valid status",
            1,
        ),
        (
            |on| on.answer(200, "application/json", " ").always(),
            "not a valid status",
            1,
        ),
        (
            |on| {
                let nested = "[".repeat(60_000);
                on.answer(200, "application/json", format!("{{\"a\":{nested}"))
                    .always()
            },
            "not a valid status",
            1,
        ),
        (
            |on| on.redirect(301, "/api/health/").always(),
            "redirect (status 301)",
            1,
        ),
        (
            |on| on.answer(206, "text/plain", "{}").always(),
            "not a valid status",
            1,
        ),
    ];
    for (break_it, says, times) in table {
        let party = client(&kyc);
        kyc.forget_requests();
        let _fault = break_it(kyc.on(Endpoint::Status));
        let error = party.status().status(ada.id()).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(status_requests(&kyc), times, "{error}");
    }
    kyc.stop().unwrap();
    let error = client(&kyc).status().status(ada.id()).await.unwrap_err();
    assert!(error.to_string().contains("connection failed"), "{error}");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let (kyc, ada) = mock().await;
    let total = Duration::from_millis(200);
    for break_it in [On::hang as fn(On) -> _, On::hang_body, |on: On| {
        on.dribble(Duration::from_millis(100))
    }] {
        let party = client_within(&kyc, total);
        let _fault = break_it(kyc.on(Endpoint::Status)).always();
        let began = kyc.clock().monotonic();
        let error = party.status().status(ada.id()).await.unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
        assert!(kyc.clock().monotonic().saturating_sub(began) >= total);
    }
}

#[tokio::test]
async fn a_missing_or_unknown_value_is_never_verified() {
    // Covers threat case 117.
    let (kyc, ada) = mock().await;
    let party = client(&kyc);
    for body in [
        "{}",
        r#"{"kyc_status":null,"kyc_tier":"t3","aml_clear":true}"#,
        r#"{"kyc_tier":"t3","aml_clear":true}"#,
        r#"{"kyc_status":"verified"}"#,
        r#"{"kyc_status":"verified","kyc_tier":null}"#,
        r#"{"kyc_status":"verified","kyc_tier":"t4"}"#,
        r#"{"kyc_status":"verified","kyc_tier":-1}"#,
        r#"{"kyc_status":"verified","kyc_tier":2.0}"#,
        r#"{"kyc_status":"verified","kyc_tier":true}"#,
        r#"{"kyc_status":["verified"],"kyc_tier":"t3"}"#,
        r#"{"kyc_status":"approved","kyc_tier":"t3"}"#,
        r#"{"KYC_STATUS":"verified","kyc_tier":"t3"}"#,
    ] {
        let on = kyc.on(Endpoint::Status);
        let _fault = on.answer(200, "application/json", body).always();
        let assurance = party.status().status(ada.id()).await.unwrap();
        assert!(!assurance.is_known(), "{body}");
        assert!(!assurance.is_verified_at(&KycTier::T0), "{body}");
    }
}

#[tokio::test]
async fn a_response_about_another_person_is_rejected() {
    // Covers threat case 118.
    let (kyc, ada) = mock().await;
    let eve = kyc.person("eve").tier(KycTier::T3).create();
    let party = client(&kyc);
    {
        let _fault = kyc.answer_status_of(&eve).always();
        let error = party.status().status(ada.id()).await;
        assert_eq!(error, Err(StatusError::SubjectMismatch));
    }
    kyc.switch(|switches| switches.status_person_id = true);
    party.status().status(ada.id()).await.unwrap();
    for other in [
        serde_json::json!(7),
        serde_json::json!(""),
        serde_json::json!([ada.id()]),
        serde_json::json!(format!("{} ", ada.id())),
    ] {
        let edit = kyc.edit_status(move |rate_limited| rate_limited["person_id"] = other.clone());
        let _fault = edit.always();
        let error = party.status().status(ada.id()).await;
        assert_eq!(error, Err(StatusError::SubjectMismatch));
    }
}

#[tokio::test]
async fn a_response_without_a_person_is_rejected_only_if_configured() {
    let (kyc, ada) = mock().await;
    let strict = kyc
        .config(REDIRECT)
        .status_person_id(StatusPersonId::Required);
    let strict = RelyingParty::new(strict.build().unwrap()).unwrap();
    let default = client(&kyc);
    default.status().status(ada.id()).await.unwrap();
    let error = strict.status().status(ada.id()).await;
    assert_eq!(error, Err(StatusError::MissingPersonId));
    kyc.switch(|switches| switches.status_person_id = true);
    default.status().status(ada.id()).await.unwrap();
    strict.status().status(ada.id()).await.unwrap();
    let edit = kyc.edit_status(|told| told["person_id"] = serde_json::Value::Null);
    let _fault = edit.always();
    default.status().status(ada.id()).await.unwrap();
    let error = strict.status().status(ada.id()).await;
    assert_eq!(error, Err(StatusError::MissingPersonId));
}

#[tokio::test]
async fn a_person_id_must_be_one_path_segment() {
    // Covers threat case 119.
    let (kyc, ada) = mock().await;
    let party = client(&kyc);
    let longest = "a".repeat(255);
    for (id, segment) in [
        ("../../health", "..%2F..%2Fhealth"),
        ("a/../b", "a%2F..%2Fb"),
        ("a?b=c", "a%3Fb=c"),
        ("a#b", "a%23b"),
        ("%2f", "%252f"),
        ("%2e%2e", "%252e%252e"),
        ("a\\b", "a%5Cb"),
        ("a b", "a%20b"),
        ("...", "..."),
        ("ünï", "%C3%BCn%C3%AF"),
        ("a;b&c", "a;b&c"),
        ("https://evil.example", "https:%2F%2Fevil.example"),
        (&longest, &longest),
    ] {
        kyc.forget_requests();
        let error = party.status().status(id).await.unwrap_err();
        assert!(
            matches!(error, StatusError::Rejected { status: 404, .. }),
            "{id}: {error}"
        );
        let requests = kyc.all_requests();
        assert_eq!(requests.len(), 1, "{id}");
        let path = format!("/api/v1/kyc/{segment}/status/");
        assert_eq!(requests[0].path(), path, "{id}");
    }
    kyc.forget_requests();
    let too_long = "a".repeat(256);
    // A URL library would drop these characters, so the request would be about another person.
    let broken = format!("{}\n", ada.id());
    let tabbed = format!("{}\t{}", &ada.id()[..9], &ada.id()[9..]);
    for id in [
        "", ".", "..", "a\r\nb", "\u{0}", "a\u{7f}", &broken, &tabbed, &too_long,
    ] {
        let error = party.status().status(id).await;
        assert_eq!(error, Err(StatusError::PersonId), "{id:?}");
    }
    assert_eq!(kyc.all_requests().len(), 0);
}

#[tokio::test]
async fn the_tenant_key_is_sent_to_one_host_only() {
    // Covers threat case 120.
    let (kyc, ada) = mock().await;
    let (elsewhere, _) = mock().await;
    let party = client(&kyc);
    for status in [301, 302, 303, 307, 308] {
        let to = elsewhere.status_url(ada.id());
        let _fault = kyc.on(Endpoint::Status).redirect(status, &to).always();
        let error = party.status().status(ada.id()).await.unwrap_err();
        assert!(matches!(error, StatusError::Transport(_)), "{error}");
    }
    assert_eq!(status_requests(&kyc), 5);
    assert_eq!(elsewhere.all_requests().len(), 0);

    for base in [
        "http://www.kycport.com",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1",
        "//127.0.0.1",
        "https://user:password@www.kycport.com",
    ] {
        let config = kyc.config(REDIRECT).api_base_url(base).build();
        assert!(config.is_err(), "{base}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_429_no_request_is_sent_before_retry_after() {
    // Covers threat case 116.
    let (kyc, ada) = mock().await;
    let party = client(&kyc);
    let gate = kyc.on(Endpoint::Status).hold();
    let fault = kyc.on(Endpoint::Status).fail(429).retry_after(2).times(20);
    let call = || {
        let (status, id) = (party.status().clone(), ada.id().to_owned());
        tokio::spawn(async move { status.status(&id).await })
    };
    let mut first: FuturesUnordered<_> = (0..20).map(|_| call()).collect();
    gate.wait_for(20).await;
    let closed_at = kyc.clock().monotonic();
    gate.release();
    // All twenty calls have received the 429 before any call retries.
    while kyc
        .requests(Endpoint::Status)
        .iter()
        .filter(|r| r.status() == Some(429))
        .count()
        < 20
    {
        tokio::task::yield_now().await;
    }
    gate.close();
    // The retry budget is ten. The other calls return `RateLimited`, because they received the 429.
    let mut rate_limited = 0;
    while rate_limited < 10 {
        match first.next().await.unwrap().unwrap() {
            Err(StatusError::RateLimited { .. }) => rate_limited += 1,
            other => panic!("{other:?}"),
        }
    }
    // The new calls have received no 429 and still wait.
    let then: Vec<_> = (0..80).map(|_| call()).collect();
    gate.wait_for(1).await;
    let waited = kyc.clock().monotonic().saturating_sub(closed_at);
    assert!(
        waited >= Duration::from_secs(2),
        "the client sent a request after {waited:?}"
    );
    gate.release();
    fault.assert_hit();
    while let Some(call) = first.next().await {
        call.unwrap().unwrap();
    }
    for call in then {
        call.await.unwrap().unwrap();
    }
    assert_eq!(status_requests(&kyc), 20 + 10 + 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_are_limited_by_a_shared_budget() {
    // Covers threat case 116. Each call sends one request. All calls together send at most ten
    // retries, because a retry costs 10 of the budget of 100. Ten successful calls add one more
    // retry.
    let (kyc, ada) = mock().await;
    let party = client(&kyc);
    let wave = async |calls: usize| {
        kyc.forget_requests();
        let calls = (0..calls).map(|_| {
            let (status, id) = (party.status().clone(), ada.id().to_owned());
            tokio::spawn(async move { status.status(&id).await.is_ok() })
        });
        let answers = join_all(calls).await;
        let good = answers
            .into_iter()
            .filter(|it| *it.as_ref().unwrap())
            .count();
        (good, status_requests(&kyc))
    };
    {
        let _storm = kyc.on(Endpoint::Status).fail(503).always();
        let (good, sent) = wave(500).await;
        assert_eq!(good, 0);
        assert_eq!(sent, 510);
        assert_eq!(wave(200).await, (0, 200));
    }
    // After the failure, fifty successful calls add five retries to the budget.
    assert_eq!(wave(50).await, (50, 50));
    let _storm = kyc.on(Endpoint::Status).fail(503).always();
    assert_eq!(wave(100).await, (0, 105));
}

#[tokio::test]
async fn a_bulk_request_has_limited_concurrency() {
    let (kyc, _) = mock().await;
    let party = client(&kyc);
    let people: Vec<_> = (0..500)
        .map(|number| kyc.person(&format!("p{number}")).create().id().to_owned())
        .collect();
    for (at_once, waiting) in [(8, 8), (0, 1), (1000, 64)] {
        kyc.forget_requests();
        let gate = kyc.on(Endpoint::Status).hold();
        let answers = party.status().statuses(people.clone(), at_once);
        let (mut answers, ()) = tokio::join!(answers.collect::<Vec<_>>(), async {
            gate.wait_for(waiting).await;
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            assert_eq!((gate.waiting(), status_requests(&kyc)), (waiting, waiting));
            gate.release();
        });
        assert_eq!(status_requests(&kyc), 500);
        answers.sort_by(|one, other| one.0.cmp(&other.0));
        let mut ids = people.clone();
        ids.sort();
        for ((id, answer), expected) in answers.into_iter().zip(ids) {
            assert_eq!(id, expected);
            assert!(answer.unwrap().is_verified_at(&KycTier::T2));
        }
    }
}

#[tokio::test]
async fn dropping_the_stream_stops_the_requests() {
    let (kyc, ada) = mock().await;
    let party = client(&kyc);
    let people = std::iter::repeat(ada.id().to_owned());
    {
        let endless = party.status().statuses(people, 4);
        let mut endless = std::pin::pin!(endless);
        for _ in 0..10 {
            endless.next().await.unwrap().1.unwrap();
        }
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    // The cancelled requests do not block other requests.
    party.status().status(ada.id()).await.unwrap();
    // The mock has received ten requests that the caller has read, four requests in flight, and
    // this request.
    let sent = status_requests(&kyc);
    assert!(sent <= 15, "{sent}");
}

#[tokio::test]
async fn a_cancelled_call_does_not_block_other_calls() {
    let (kyc, ada) = mock().await;
    let party = client(&kyc);
    let gate = kyc.on(Endpoint::Status).hold();
    // The caller cancels more requests than the concurrency limit.
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (status, id) = (party.status().clone(), ada.id().to_owned());
            tokio::spawn(async move { status.status(&id).await })
        })
        .collect();
    gate.wait_for(64).await;
    assert_eq!(gate.waiting(), 64);
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    gate.release();
    party.status().status(ada.id()).await.unwrap();
}
