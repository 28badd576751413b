//! Tests that the case client works without axum and without a session.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kycport::{
    KycStatus, KycTier, RelyingParty, TransportError,
    cases::{
        Applicant, CaptureFile, Case, CaseError, CaseStatus, LivenessMode, Outcome,
        OutcomeUnknownCause, RiskLevel, Upload, UploadError, WaitOutcome,
    },
    mock::{Endpoint, Fault, MockIssuer, On, Person, samples},
};

const REDIRECT: &str = "http://127.0.0.1:1/auth/callback";

async fn mock() -> (MockIssuer, RelyingParty, Person) {
    let kyc = MockIssuer::start().await;
    let ada = kyc
        .person("ada")
        .status(KycStatus::Unverified)
        .tier(KycTier::T0)
        .create();
    let party = client(&kyc);
    (kyc, party, ada)
}

fn client(kyc: &MockIssuer) -> RelyingParty {
    let ms = Duration::from_millis;
    let config = kyc
        .config(REDIRECT)
        .max_attempts(3)
        .retry_pause(ms(1))
        .retry_deadline(Duration::from_secs(20))
        .case_poll_interval(ms(1))
        .max_case_poll_interval(ms(5));
    RelyingParty::new(config.build().unwrap()).unwrap()
}

fn upload_of(seed: &str) -> Upload {
    Upload::new(
        CaptureFile::bytes(samples::document(seed)),
        CaptureFile::bytes(samples::selfie(seed)),
    )
}

/// Opens a case and uploads its files.
async fn ready(party: &RelyingParty, person: &Person) -> Case {
    let cases = party.cases();
    let case = cases.open(person.id(), &KycTier::T2).await.unwrap();
    let upload = upload_of(person.slug());
    cases.upload(&case.id, upload).await.unwrap();
    case
}

fn code(error: &CaseError) -> (u16, &str) {
    match error {
        CaseError::Rejected {
            status,
            code: Some(code),
            ..
        } => (*status, code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn three_calls_verify_a_person() {
    let (kyc, party, ada) = mock().await;
    let cases = party.cases();
    let case = cases.open(ada.id(), &KycTier::T2).await.unwrap();
    assert_eq!(case.status, CaseStatus::Opened);
    assert_eq!(
        (case.person_id.as_str(), &case.level),
        (ada.id(), &KycTier::T2)
    );
    let events = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&events);
    let upload = upload_of("ada")
        .document_back(CaptureFile::bytes(samples::document_back("ada")).named("back.png"))
        .liveness_mode(LivenessMode::Active)
        .applicant(
            Applicant::new()
                .field("document_type", "id_card")
                .unwrap()
                .field("given_name", "Åda \"the first\"")
                .unwrap(),
        )
        .on_progress(move |progress| recorded.lock().unwrap().push(progress));
    let received = cases.upload(&case.id, upload).await.unwrap();
    assert!(
        ["document", "document_back", "selfie"]
            .iter()
            .all(|part| received.contains(&(*part).to_owned()))
    );
    let progress = events.lock().unwrap().clone();
    assert_eq!(
        progress.last().map(|it| Some(it.sent)),
        progress.last().map(|it| it.total)
    );
    let kept = kyc.cases().find(&case.id).unwrap();
    assert_eq!(
        kept.files["document"].size,
        samples::document("ada").len() as u64
    );
    assert_eq!(
        kept.files["document"].file_name.as_deref(),
        Some("document.png")
    );
    assert_eq!(
        kept.files["document_back"].file_name.as_deref(),
        Some("back.png")
    );
    assert_eq!(kept.texts["applicant_given_name"], "Åda \"the first\"");
    assert_eq!(kept.texts["liveness_mode"], "active");
    // The client sent the header `content-length` and exactly this number of bytes.
    let request = kyc.requests(Endpoint::UploadCase);
    assert!(request.last().unwrap().header("content-length").is_some());
    let decision = cases.decide(&case.id).await.unwrap();
    assert!(decision.is_approved());
    assert_eq!(decision.risk_level, Some(RiskLevel::Low));
    assert_eq!(decision.human_verified, Some(false));
    let after = cases.get(&case.id).await.unwrap();
    assert!(after.is_decided());
    assert_eq!(after.decision, Some(decision));
    let status = party.status().status(ada.id()).await.unwrap();
    assert_eq!(status.kyc_status, Some(KycStatus::Verified));
    assert_eq!(status.kyc_tier, Some(KycTier::T2));
}

#[tokio::test]
async fn files_and_factories_are_streamed() {
    let (kyc, party, ada) = mock().await;
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
    let path = std::env::temp_dir().join(format!("kycport-{}.png", case.id));
    std::fs::write(&path, samples::document_of_size("ada", 300_000)).unwrap();
    let selfie = Bytes::from(samples::selfie("ada"));
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let factory = CaptureFile::opened_by(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let bytes: Vec<_> = selfie
            .chunks(7)
            .map(|it| Ok(Bytes::copy_from_slice(it)))
            .collect();
        async move { Ok((None, stream::iter(bytes))) }
    });
    let upload = Upload::new(CaptureFile::path(&path), factory);
    party.cases().upload(&case.id, upload).await.unwrap();
    assert_eq!(opened.load(Ordering::SeqCst), 1);
    let kept = kyc.cases().find(&case.id).unwrap();
    assert!(kept.files["document"].size > 300_000);
    assert_eq!(
        kept.files["document"].file_name.as_deref(),
        Some("document.png")
    );
    // The client cannot know the length of the body, because the length of one part is unknown.
    let request = kyc.requests(Endpoint::UploadCase);
    assert_eq!(request.last().unwrap().header("content-length"), None);
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn an_upload_that_kycport_would_reject_is_not_sent() {
    // Covers threat cases 121, 123.
    let (kyc, party, ada) = mock().await;
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
    let good = || CaptureFile::bytes(samples::selfie("ada"));
    let claims = |length: u64| {
        CaptureFile::opened_by(move || async move {
            let pieces = [Ok(Bytes::from(samples::document("ada")))];
            Ok((Some(length), stream::iter(pieces)))
        })
    };
    let broken = |kind: io::ErrorKind| {
        CaptureFile::opened_by(move || async move {
            Err::<(Option<u64>, stream::Empty<io::Result<Bytes>>), _>(kind.into())
        })
    };
    let part = "document";
    let limit = 20 * 1024 * 1024;
    for (document, error) in [
        (CaptureFile::bytes(Vec::new()), UploadError::Empty { part }),
        (
            CaptureFile::opened_by(|| async { Ok((None, stream::empty())) }),
            UploadError::Empty { part },
        ),
        (
            CaptureFile::bytes(samples::document_of_size("ada", 20 << 20)),
            UploadError::TooLarge { part, limit },
        ),
        (claims(100 << 20), UploadError::TooLarge { part, limit }),
        (
            CaptureFile::bytes("GIF89a and so on"),
            UploadError::UnsupportedType { part },
        ),
        (
            broken(io::ErrorKind::PermissionDenied),
            UploadError::Unreadable {
                part,
                kind: io::ErrorKind::PermissionDenied,
            },
        ),
        (
            CaptureFile::path("/nowhere/at/all.png"),
            UploadError::Unreadable {
                part,
                kind: io::ErrorKind::NotFound,
            },
        ),
    ] {
        let upload = Upload::new(document, good());
        let refused = party.cases().upload(&case.id, upload).await.unwrap_err();
        assert_eq!(refused, CaseError::Upload(error));
    }
    let named = CaptureFile::bytes(samples::document("ada")).named("passport.pdf");
    let refused = party
        .cases()
        .upload(&case.id, Upload::new(named, good()))
        .await;
    let refused = refused.unwrap_err();
    assert!(matches!(
        refused,
        CaseError::Upload(UploadError::NameMismatch { .. })
    ));
    assert!(!refused.to_string().contains("passport"), "{refused}");
    kyc.requests(Endpoint::UploadCase).assert_count(0);
}

#[tokio::test]
async fn a_file_that_changes_while_sending_fails_the_upload() {
    // Covers threat case 121.
    let (kyc, party, ada) = mock().await;
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
    let document = samples::document("ada");
    let length = document.len() as u64;
    for (claimed, limit_breaks) in [(length + 1, false), (length - 1, false), (0, true)] {
        let document = document.clone();
        let file = CaptureFile::opened_by(move || {
            let first = Bytes::from(document.clone());
            let filler = Bytes::from(vec![b'.'; 1 << 20]);
            let more = stream::repeat(filler).take(if limit_breaks { 30 } else { 0 });
            let pieces = stream::iter([first]).chain(more).map(Ok);
            async move { Ok(((!limit_breaks).then_some(claimed), pieces)) }
        });
        let upload = Upload::new(file, CaptureFile::bytes(samples::selfie("ada")));
        let error = party.cases().upload(&case.id, upload).await.unwrap_err();
        assert!(
            matches!(
                error,
                CaseError::Upload(UploadError::Changed { .. } | UploadError::TooLarge { .. })
            ),
            "{error:?}"
        );
        let kept = kyc.cases().find(&case.id).unwrap();
        assert_eq!(kept.status, CaseStatus::Opened);
    }
}

#[tokio::test]
async fn a_mutation_is_sent_only_once() {
    // Covers threat cases 122, 124.
    type Break = fn(On) -> Fault;
    let table: [(Break, CaseError); 8] = [
        (
            |on| on.drop_connection().always(),
            CaseError::OutcomeUnknown(OutcomeUnknownCause::Transport(TransportError::Broken)),
        ),
        (
            |on| on.after().drop_connection().always(),
            CaseError::OutcomeUnknown(OutcomeUnknownCause::Transport(TransportError::Broken)),
        ),
        (
            |on| on.fail(502).always(),
            CaseError::OutcomeUnknown(OutcomeUnknownCause::Status { status: 502 }),
        ),
        (
            |on| on.after().fail(503).always(),
            CaseError::OutcomeUnknown(OutcomeUnknownCause::Status { status: 503 }),
        ),
        (
            |on| on.answer(200, "text/html", "<p>").always(),
            CaseError::OutcomeUnknown(OutcomeUnknownCause::Unreadable),
        ),
        (
            |on| on.answer(201, "application/json", "[]").always(),
            CaseError::OutcomeUnknown(OutcomeUnknownCause::Unreadable),
        ),
        (
            |on| on.redirect(307, "/elsewhere").always(),
            CaseError::OutcomeUnknown(OutcomeUnknownCause::Transport(TransportError::Redirect {
                status: 307,
            })),
        ),
        (
            |on| on.fail(429).add_header("retry-after", "0").always(),
            CaseError::RateLimited {
                retry_after: Duration::ZERO,
            },
        ),
    ];
    for (break_it, expected) in table {
        let (kyc, party, ada) = mock().await;
        let cases = party.cases();
        let case = ready(&party, &ada).await;
        kyc.forget_requests();
        for endpoint in [
            Endpoint::OpenCase,
            Endpoint::UploadCase,
            Endpoint::DecideCase,
        ] {
            let _fault = break_it(kyc.on(endpoint));
            let error = match endpoint {
                Endpoint::OpenCase => cases.open(ada.id(), &KycTier::T2).await.unwrap_err(),
                Endpoint::UploadCase => cases.upload(&case.id, upload_of("ada")).await.unwrap_err(),
                _ => cases.decide(&case.id).await.unwrap_err(),
            };
            assert_eq!(error, expected, "{endpoint}");
            kyc.requests(endpoint).assert_count(1);
        }
    }
}

#[tokio::test]
async fn a_failed_connection_is_retried_and_reported_as_not_applied() {
    // Covers threat case 122.
    let (kyc, party, ada) = mock().await;
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
    kyc.stop().unwrap();
    // A new client has no old connection that could break during the request.
    let party = client(&kyc);
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let file = CaptureFile::opened_by(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            Ok((
                None,
                stream::iter([Ok(Bytes::from(samples::document("ada")))]),
            ))
        }
    });
    let upload = Upload::new(file, CaptureFile::bytes(samples::selfie("ada")));
    let error = party.cases().upload(&case.id, upload).await.unwrap_err();
    assert_eq!(error, CaseError::Transport(TransportError::Connect));
    // The client opens the file once for each attempt. A retry is safe, because no connection was
    // established.
    assert_eq!(opened.load(Ordering::SeqCst), 3);
    let error = party
        .cases()
        .open(ada.id(), &KycTier::T2)
        .await
        .unwrap_err();
    assert_eq!(error, CaseError::Transport(TransportError::Connect));
}

#[tokio::test]
async fn an_upload_cut_at_any_byte_does_not_change_the_case() {
    // Covers threat case 122.
    let (kyc, party, ada) = mock().await;
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
    let size = 3 << 20;
    for third in [1_u64, 1 << 20, 2 << 20] {
        let _fault = kyc.on(Endpoint::UploadCase).cut_after(third).once();
        let upload = Upload::new(
            CaptureFile::bytes(samples::document_of_size("ada", size)),
            CaptureFile::bytes(samples::selfie("ada")),
        );
        let error = party.cases().upload(&case.id, upload).await.unwrap_err();
        assert!(matches!(error, CaseError::OutcomeUnknown(_)), "{error:?}");
        // The case is unchanged after the error.
        let now = party.cases().get(&case.id).await.unwrap();
        assert_eq!(now.status, CaseStatus::Opened);
    }
    party
        .cases()
        .upload(&case.id, upload_of("ada"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_early_error_response_is_read_while_sending() {
    // Covers threat case 121.
    let (kyc, _, ada) = mock().await;
    let config = kyc.config(REDIRECT).max_upload_file_bytes(100 << 20);
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
    kyc.switch(|switches| switches.max_upload_file_bytes = 1 << 20);
    let upload = Upload::new(
        CaptureFile::bytes(samples::document_of_size("ada", 40 << 20)),
        CaptureFile::bytes(samples::selfie("ada")),
    );
    let error = party.cases().upload(&case.id, upload).await.unwrap_err();
    assert_eq!(code(&error), (413, "file_too_large"));
}

#[tokio::test]
async fn a_slow_reader_is_tolerated_until_the_deadline() {
    let (kyc, _, ada) = mock().await;
    let large = || {
        Upload::new(
            CaptureFile::bytes(samples::document_of_size("ada", 3 << 20)),
            CaptureFile::bytes(samples::selfie("ada")),
        )
    };
    let config = kyc
        .config(REDIRECT)
        .upload_timeout(Duration::from_millis(300));
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
    let gate = kyc.on(Endpoint::UploadCase).hold_after(1);
    let error = party.cases().upload(&case.id, large()).await.unwrap_err();
    let timeout = OutcomeUnknownCause::Transport(TransportError::Timeout);
    assert_eq!(error, CaseError::OutcomeUnknown(timeout));
    drop(gate);
    let patient = client(&kyc);
    let gate = kyc.on(Endpoint::UploadCase).hold_after(1);
    let (done, ()) = tokio::join!(patient.cases().upload(&case.id, large()), async {
        gate.wait_for(1).await;
        gate.release();
    });
    done.unwrap();
}

#[tokio::test]
async fn a_conflict_with_the_state_of_a_case_is_reported() {
    // Covers threat case 124.
    let (kyc, party, ada) = mock().await;
    let cases = party.cases();
    let case = cases.open(ada.id(), &KycTier::T2).await.unwrap();
    let error = cases.decide(&case.id).await.unwrap_err();
    assert_eq!(code(&error), (409, "documents_missing"));
    // KYCPort counts the first upload and an identical second upload as one upload.
    cases.upload(&case.id, upload_of("ada")).await.unwrap();
    cases.upload(&case.id, upload_of("ada")).await.unwrap();
    cases.decide(&case.id).await.unwrap();
    let error = cases.decide(&case.id).await.unwrap_err();
    assert_eq!(code(&error), (409, "already_decided"));
    let error = cases.upload(&case.id, upload_of("ada")).await.unwrap_err();
    assert_eq!(code(&error), (409, "case_not_open"));
    let error = cases.get("case_of_nobody").await.unwrap_err();
    assert_eq!(code(&error), (404, "case_not_found"));
    for id in ["", "..", "a\r\nb", "a\tb"] {
        assert_eq!(cases.get(id).await.unwrap_err(), CaseError::Id);
        assert_eq!(
            cases.open(id, &KycTier::T2).await.unwrap_err(),
            CaseError::Id
        );
    }
    // The client encodes a case id that contains a path as one segment. No case has this id.
    let error = cases.get("../../kyc/x").await.unwrap_err();
    assert_eq!(code(&error), (404, "case_not_found"));
    let bob = kyc.person("bob").create();
    let error = cases.get_of(bob.id(), &case.id).await.unwrap_err();
    assert_eq!(error, CaseError::CaseMismatch);
    let other = kyc.config_for(kyc.public_client(), REDIRECT);
    let other = RelyingParty::new(other.build().unwrap()).unwrap();
    let error = other.cases().get(&case.id).await.unwrap_err();
    assert_eq!(code(&error), (404, "case_not_found"));
    let error = other.cases().decide(&case.id).await.unwrap_err();
    assert_eq!(code(&error), (404, "case_not_found"));
}

/// An app calls these methods for each request of a browser.
#[tokio::test]
async fn a_person_causes_a_limited_number_of_requests_about_cases() {
    let (kyc, party, ada) = mock().await;
    kyc.clock().freeze();
    let cases = party.cases();
    let case = ready(&party, &ada).await;
    let seconds = Duration::from_secs;
    let limited = CaseError::RateLimited {
        retry_after: seconds(5),
    };
    let sent = || {
        let endpoints = [Endpoint::OpenCase, Endpoint::DecideCase, Endpoint::ReadCase];
        endpoints.map(|endpoint| kyc.requests(endpoint).count())
    };
    // The rate of one case.
    cases.decide(&case.id).await.unwrap();
    for _ in 1..5 {
        let error = cases.decide(&case.id).await.unwrap_err();
        assert_eq!(code(&error), (409, "already_decided"));
    }
    for _ in 5..10 {
        let waited = cases.wait_until_decided(&case.id, seconds(20)).await;
        assert!(matches!(waited, Ok(WaitOutcome::Decided(..))));
    }
    let before = sent();
    let error = cases.decide(&case.id).await.unwrap_err();
    assert_eq!(error, limited);
    let error = cases.wait_until_decided(&case.id, seconds(20)).await;
    assert_eq!(error.unwrap_err(), limited);
    assert_eq!(sent(), before);
    // The rate of one person. `ready` opened a case, and five decisions were requested.
    for _ in 6..30 {
        cases.get_of(ada.id(), &case.id).await.unwrap();
    }
    let before = sent();
    let error = cases.get_of(ada.id(), &case.id).await.unwrap_err();
    assert_eq!(error, limited);
    let error = cases.open(ada.id(), &KycTier::T2).await.unwrap_err();
    assert_eq!(error, limited);
    let key = "0123456789abcdef";
    let error = cases.open_once(ada.id(), &KycTier::T2, key).await;
    assert_eq!(error.unwrap_err(), limited);
    assert_eq!(sent(), before);
    // Another person and another case have separate rates.
    let bob = kyc.person("bob").create();
    let mut of_bob = Vec::new();
    for _ in 0..30 {
        of_bob.push(cases.open(bob.id(), &KycTier::T2).await.unwrap().id);
    }
    // A decision about any case of Bob also counts as a request of Bob.
    let error = cases.decide(&of_bob[0]).await.unwrap_err();
    assert_eq!(error, limited);
    kyc.clock().advance(seconds(5));
    let error = cases.decide(&of_bob[0]).await.unwrap_err();
    assert_eq!(code(&error), (409, "documents_missing"));
    cases.get_of(ada.id(), &case.id).await.unwrap();
}

#[tokio::test]
async fn a_response_about_another_case_is_rejected() {
    // Covers threat case 118.
    let (kyc, party, ada) = mock().await;
    let case = ready(&party, &ada).await;
    let fault = kyc
        .on(Endpoint::ReadCase)
        .edit(|case| case["id"] = "case_else".into())
        .always();
    assert_eq!(
        party.cases().get(&case.id).await.unwrap_err(),
        CaseError::CaseMismatch
    );
    // The client does not request the decision.
    assert_eq!(
        party.cases().decide(&case.id).await.unwrap_err(),
        CaseError::CaseMismatch
    );
    kyc.requests(Endpoint::DecideCase).assert_count(0);
    drop(fault);
    let _fault = kyc
        .on(Endpoint::OpenCase)
        .edit(|case| case["person_id"] = "somebody".into())
        .once();
    let error = party
        .cases()
        .open(ada.id(), &KycTier::T2)
        .await
        .unwrap_err();
    assert_eq!(error, CaseError::CaseMismatch);
}

#[tokio::test]
async fn unknown_values_are_preserved_and_never_mean_approval() {
    let (kyc, party, ada) = mock().await;
    let case = ready(&party, &ada).await;
    let _fault = kyc
        .on(Endpoint::DecideCase)
        .edit(|decision| {
            decision["outcome"] = "APPROVED-ISH".into();
            decision["risk_level"] = "purple".into();
            decision["human_verified"] = "yes".into();
        })
        .once();
    let decision = party.cases().decide(&case.id).await.unwrap();
    assert_eq!(
        decision.outcome,
        Outcome::Unknown("APPROVED-ISH".to_owned())
    );
    assert!(!decision.is_approved());
    assert_eq!(
        decision.risk_level,
        Some(RiskLevel::Unknown("purple".to_owned()))
    );
    assert_eq!(decision.human_verified, None);
}

#[tokio::test]
async fn an_idempotency_key_opens_one_case() {
    // Covers threat case 124.
    let (kyc, party, ada) = mock().await;
    kyc.switch(|switches| switches.honour_idempotency_key = true);
    let key = "0123456789abcdef0123456789abcdef";
    let _fault = kyc
        .on(Endpoint::OpenCase)
        .after()
        .drop_connection()
        .times(2);
    let cases = party.cases();
    let case = cases.open_once(ada.id(), &KycTier::T2, key).await.unwrap();
    kyc.requests(Endpoint::OpenCase).assert_count(3);
    assert_eq!(kyc.cases().all().len(), 1);
    let again = cases.open_once(ada.id(), &KycTier::T2, key).await.unwrap();
    assert_eq!(again.id, case.id);
    let error = cases
        .open_once(ada.id(), &KycTier::T3, key)
        .await
        .unwrap_err();
    assert_eq!(code(&error), (422, "idempotency_key_reused"));
    for no_key in [
        "",
        "short",
        "0123456789abcde\u{7f}",
        "with spaces in it, 32 characters",
    ] {
        let error = cases
            .open_once(ada.id(), &KycTier::T2, no_key)
            .await
            .unwrap_err();
        assert_eq!(error, CaseError::Id);
    }
}

#[tokio::test]
async fn waiting_for_a_decision_ends_with_the_decision_or_the_time_limit() {
    let (kyc, party, ada) = mock().await;
    let cases = party.cases();
    let case = ready(&party, &ada).await;
    kyc.cases().next_outcome(Outcome::Review);
    let decision = cases.decide(&case.id).await.unwrap();
    assert!(decision.is_under_review() && !decision.is_approved());
    assert_eq!(ada.status(), KycStatus::Pending);
    let error = cases.decide(&case.id).await.unwrap_err();
    assert_eq!(code(&error), (409, "decision_pending"));
    let waited = cases
        .wait_until_decided(&case.id, Duration::from_millis(50))
        .await;
    let WaitOutcome::StillPending(seen) = waited.unwrap() else {
        panic!("expected StillPending");
    };
    assert_eq!(seen.status, CaseStatus::Deciding);
    kyc.forget_requests();
    let limit = Duration::from_secs(30);
    let (waited, ()) = tokio::join!(cases.wait_until_decided(&case.id, limit), async {
        kyc.cases().review(&case.id, &Outcome::Approved).unwrap();
    });
    let WaitOutcome::Decided(_, decision) = waited.unwrap() else {
        panic!("expected Decided");
    };
    assert!(decision.is_approved());
    assert_eq!(decision.human_verified, Some(true));
    let error = cases
        .wait_until_decided("nobody's", limit)
        .await
        .unwrap_err();
    assert_eq!(code(&error), (404, "case_not_found"));
}

#[tokio::test]
async fn poll_now_wakes_a_waiting_caller() {
    let (kyc, _, ada) = mock().await;
    let hour = Duration::from_secs(3600);
    let config = kyc
        .config(REDIRECT)
        .case_poll_interval(hour)
        .max_case_poll_interval(hour);
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let case = ready(&party, &ada).await;
    kyc.cases().next_outcome(Outcome::Review);
    party.cases().decide(&case.id).await.unwrap();
    let gate = kyc.on(Endpoint::ReadCase).hold();
    let waiting = party.cases().wait_until_decided(&case.id, hour);
    let (waited, ()) = tokio::join!(waiting, async {
        // The first read finds no decision. A call of `poll_now` during this read causes another
        // read.
        gate.wait_for(1).await;
        party.cases().poll_now("another");
        party.cases().poll_now(&case.id);
        gate.release();
        kyc.cases().review(&case.id, &Outcome::Rejected).unwrap();
    });
    assert!(
        matches!(waited.unwrap(), WaitOutcome::Decided(_, it) if it.outcome == Outcome::Rejected)
    );
}

#[tokio::test]
async fn logs_and_debug_output_contain_no_personal_data() {
    // Covers threat case 137.
    let (_kyc, party, ada) = mock().await;
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
    let upload = Upload::new(
        CaptureFile::bytes("canary-content").named("canary-name.png"),
        CaptureFile::path("/canary/path.png"),
    )
    .applicant(
        Applicant::new()
            .field("given_name", "canary-value")
            .unwrap(),
    );
    let shown = format!("{upload:?} {:?}", party.cases());
    let error = party.cases().upload(&case.id, upload).await.unwrap_err();
    let shown = format!("{shown} {error} {error:?}");
    assert!(!shown.contains("canary"), "{shown}");
}
