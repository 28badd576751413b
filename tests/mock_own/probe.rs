//! Tests that the probe compares a live issuer with the contract. The tests probe the mock, a mock
//! with faults, and an unreachable issuer.

use std::{collections::BTreeSet, time::Duration};

use kycport::mock::{Endpoint, MockIssuer, Probe, Report, Verdict, verify_against};

fn words(report: &Report) -> BTreeSet<&'static str> {
    report
        .findings()
        .iter()
        .map(|it| it.verdict.label())
        .collect()
}

/// Returns the row and the name of each check that found a difference.
fn different(report: &Report) -> Vec<String> {
    let differs = |verdict: &Verdict| matches!(verdict, Verdict::Differs { .. });
    let findings = report.findings().iter();
    let findings = findings.filter(|it| differs(&it.verdict));
    findings
        .map(|it| format!("{} {}", it.row, it.what))
        .collect()
}

#[tokio::test]
async fn the_mock_matches_the_contract() {
    let kyc = MockIssuer::start().await;
    let report = verify_against(kyc.origin()).await;
    assert_eq!(report.exit_code(), 0, "{report}");
    assert_eq!(words(&report), BTreeSet::from(["match", "not probed"]));

    let kyc = MockIssuer::builder().tls().start().await.unwrap();
    let probe = Probe::new(kyc.origin()).trust_only(kyc.root_pem().unwrap());
    let report = probe.run().await;
    assert_eq!(report.exit_code(), 0, "{report}");
    let text = report.to_string();
    assert!(
        text.contains("match        K70  the issuer rejects TLS 1.1"),
        "{text}"
    );
}

// The report contains, for each row, a result or the reason why the probe does not check the row.
#[tokio::test]
async fn every_row_is_probed_or_has_a_reason() {
    let report = verify_against("http://127.0.0.1:1").await;
    let page = include_str!("../../src/guide/contract.md");
    let lines = page.lines().filter_map(|line| line.strip_prefix("| K"));
    for number in lines.filter_map(|line| line.split_once(" |")) {
        let row = format!("K{}", number.0);
        assert!(report.findings().iter().any(|it| it.row == row), "{row}");
    }
    let findings = report.findings().iter();
    let probed = |row: &str| {
        let of_it = report.findings().iter().filter(|it| it.row == row);
        let (not, yes): (Vec<_>, Vec<_>) =
            of_it.partition(|it| matches!(it.verdict, Verdict::NotProbed(_)));
        (!yes.is_empty(), !not.is_empty())
    };
    for row in findings.map(|it| it.row).filter(|row| *row != "K70") {
        assert_ne!(
            probed(row),
            (true, true),
            "{row} has both a check and a reason not to check it"
        );
    }
}

#[tokio::test]
async fn an_unreachable_issuer_is_not_a_match() {
    let kyc = MockIssuer::start().await;
    kyc.stop().unwrap();
    let report = verify_against(kyc.origin()).await;
    assert_eq!(
        (report.exit_code(), report.is_match()),
        (2, false),
        "{report}"
    );
    assert_eq!(
        words(&report),
        BTreeSet::from(["not reached", "not probed"])
    );
    kyc.restart().unwrap();

    // The server responds. One endpoint fails, one endpoint is busy, and one endpoint is slow.
    let faults = [
        kyc.on(Endpoint::Health).fail(503).once(),
        kyc.on(Endpoint::Status).fail(429).once(),
        kyc.on(Endpoint::LlmsTxt).hang().once(),
    ];
    let patient = Probe::new(kyc.origin()).response_timeout(Duration::from_secs(1));
    let report = patient.run().await;
    assert_eq!(report.exit_code(), 2, "{report}");
    for fault in faults {
        fault.assert_hit();
    }
    let text = report.to_string();
    for line in [
        "not reached  K45  the health check succeeds: the response was 503",
        "not reached  K43  the status endpoint rejects an unknown key: the response was 429",
        "not reached  K71  the guide for assistants exists: no response in time",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

// If the server accepts connections but never responds, the probe stops after its time limit.
#[tokio::test]
async fn the_probe_ends_in_bounded_time() {
    let kyc = MockIssuer::start().await;
    kyc.on_accept().hang().always().keep();
    let patience = Duration::from_millis(50);
    let probe = Probe::new(kyc.origin()).response_timeout(patience).run();
    let report = tokio::time::timeout(patience * 60, probe).await.unwrap();
    assert_eq!(report.exit_code(), 2, "{report}");
    assert!(
        report
            .to_string()
            .contains("the time for all requests ran out"),
        "{report}"
    );
}

// The result for a server with an untrusted certificate is `not reached`.
#[tokio::test]
async fn an_untrusted_certificate_is_rejected() {
    let kyc = MockIssuer::builder().tls().start().await.unwrap();
    let other = MockIssuer::builder().tls().start().await.unwrap();
    let probe = Probe::new(kyc.origin()).trust_only(other.root_pem().unwrap());
    let report = probe.run().await;
    assert_eq!(
        words(&report),
        BTreeSet::from(["not reached", "not probed"])
    );
    kyc.requests(Endpoint::Discovery).assert_count(0);
}

#[tokio::test]
async fn differences_are_listed() {
    let kyc = MockIssuer::builder().issuer("https://www.kycport.com");
    let kyc = kyc.start().await.unwrap();
    let report = verify_against(kyc.origin()).await;
    assert_eq!(different(&report), ["K2 `issuer` has the expected value"]);
    let expecting = || Probe::new(kyc.origin()).issuer(kyc.issuer());
    assert!(expecting().run().await.is_match());

    kyc.switch(|switches| {
        switches.advertise_iss_parameter = false;
        switches.accept_basic = true;
        switches.issue_refresh_tokens = true;
        switches.cache_max_age = None;
        switches.api_error_field = "detail";
    });
    let faults = [
        kyc.on(Endpoint::Verify).answer(404, "text/html", "").once(),
        kyc.on(Endpoint::LlmsTxt).redirect(302, "/").once(),
        kyc.on(Endpoint::Authorize)
            .redirect(302, "https://not-registered.invalid/")
            .times(2),
        kyc.edit_discovery(|it| it["token_endpoint"] = "https://evil.test/token/".into())
            .once(),
        kyc.edit_jwks(|it| it["keys"][0]["d"] = "private".into())
            .once(),
    ];
    kyc.forget_requests();
    let report = expecting().run().await;
    assert_eq!(report.exit_code(), 1);
    assert_eq!(
        different(&report),
        [
            "K4 `token_endpoint` in the discovery document",
            "K5 `grant_types_supported` in the discovery document",
            "K5 `token_endpoint_auth_methods_supported` in the discovery document",
            "K5 `authorization_response_iss_parameter_supported` in the discovery document",
            "K6 every key is a public Ed25519 key",
            "K6 the key set is cacheable",
            "K14 authorize without parameters returns an error page",
            "K12 authorize does not redirect to an unregistered URI",
            "K44 the status endpoint sends `error`",
            "K54 the case endpoint rejects an unknown key",
            "K18 the hosted page exists",
            "K71 the guide for assistants exists",
        ]
    );
    let text = report.to_string();
    // The probe sends no request to another host, and the report contains no key.
    assert!(text.contains("not reached  K23"), "{text}");
    assert!(
        text.contains("expected no `d`, found a private key"),
        "{text}"
    );
    assert!(
        text.contains(r#"found {"detail":"invalid_api_key"}"#),
        "{text}"
    );
    kyc.requests(Endpoint::Token).assert_count(0);
    for fault in faults {
        fault.assert_hit();
    }
}

// The probe sends no request to a URL on another host, even if the discovery document contains this
// URL.
#[tokio::test]
async fn no_request_is_sent_to_another_host() {
    let (kyc, other) = (MockIssuer::start().await, MockIssuer::start().await);
    let elsewhere = other.origin().to_owned();
    let edit = kyc.edit_discovery(move |it| {
        for (name, endpoint) in [
            ("authorization_endpoint", Endpoint::Authorize),
            ("token_endpoint", Endpoint::Token),
            ("userinfo_endpoint", Endpoint::Userinfo),
            ("jwks_uri", Endpoint::Jwks),
        ] {
            it[name] = format!("{elsewhere}{}", endpoint.path()).into();
        }
    });
    let edit = edit.once();
    let report = verify_against(kyc.origin()).await;
    edit.assert_hit();
    assert_eq!(different(&report).len(), 4, "{report}");
    assert!(other.all_requests().is_empty());
}

// The probe sends only read requests and invalid requests, and needs no credentials.
#[tokio::test]
async fn the_probe_sends_no_credential_and_changes_no_data() {
    let kyc = MockIssuer::start().await;
    verify_against(kyc.origin()).await;
    let requests = kyc.all_requests();
    assert!(requests.len() > 12);
    for request in requests {
        let credential = request.header("authorization");
        assert!(matches!(credential, None | Some("Bearer not-a-credential")));
        assert_eq!(request.header("cookie"), None);
        let is_token = request.path().starts_with("/api/oidc/token");
        assert!(request.method() == "GET" || (request.method() == "POST" && is_token));
        assert!(
            request.status().is_none_or(|it| it == 200 || it >= 400),
            "{request:?}"
        );
    }
    for origin in [
        "https://ada:secret@www.kycport.com",
        "https://www.kycport.com/api",
        "https://www.kycport.com/?token=secret",
        "ftp://www.kycport.com",
        "www.kycport.com",
        "",
    ] {
        let report = verify_against(origin).await;
        assert_eq!(report.exit_code(), 2, "{origin}");
        assert!(!report.to_string().contains("secret"), "{origin}");
    }
}
