//! Tests that the parser reads each field of a verified webhook payload.

use bytes::Bytes;
use http::HeaderMap;
use kycport::{
    KycStatus, KycTier, Secret, Timestamp,
    webhook::{
        EventFieldPaths, EventKey, EventKind, EventParseError, EventReader, InvalidFieldPath,
        VerifiedPayload, WebhookVerifier, sign_test_delivery,
    },
};
use serde_json::{Value, json};

/// Returns these bytes as a payload verified with KYCPort's secret.
fn verified(body: &[u8]) -> VerifiedPayload {
    let secret = Secret::new("a secret that is long enough");
    let verifier = WebhookVerifier::builder()
        .secret("s", secret.clone())
        .build()
        .unwrap();
    let headers = HeaderMap::from_iter([sign_test_delivery(&secret, body)]);
    verifier
        .verify(&headers, Bytes::copy_from_slice(body))
        .unwrap()
}

fn read(body: &Value) -> Result<kycport::webhook::Event, EventParseError> {
    EventReader::default().read(&verified(body.to_string().as_bytes()))
}

fn status_changed() -> Value {
    json!({
        "id": "evt_1", "type": "kyc.status_changed", "created_at": "2026-01-02T03:04:05Z",
        "data": {
            "person_id": "canary-person", "kyc_status": "verified", "kyc_tier": "t2",
            "aml_clear": true,
        },
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut body = status_changed();
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

fn without(object: &str, name: &str) -> Value {
    let mut body = status_changed();
    let object = body.pointer_mut(object).unwrap();
    object.as_object_mut().unwrap().remove(name).unwrap();
    body
}

#[test]
fn a_status_change_has_its_person_and_status() {
    let event = read(&status_changed()).unwrap();
    assert_eq!(event.id, "evt_1");
    assert_eq!(event.created_at, Timestamp::from_unix(1_767_323_045));
    assert_eq!(event.event_type(), "kyc.status_changed");
    assert_eq!(event.person_id(), Some("canary-person"));
    assert_eq!(
        event.kind,
        EventKind::StatusChanged {
            person_id: "canary-person".to_owned(),
            kyc_status: Some(KycStatus::Verified),
            kyc_tier: Some(KycTier::T2),
            aml_clear: Some(true),
        }
    );
}

#[test]
fn a_decided_case_has_its_person_and_case() {
    let mut body = with("/type", json!("verification.case.decided"));
    let decided = |case_id: Option<&str>| EventKind::CaseDecided {
        person_id: "canary-person".to_owned(),
        case_id: case_id.map(str::to_owned),
    };
    assert_eq!(read(&body).unwrap().kind, decided(None));
    body["data"]["case_id"] = json!("case_7");
    let event = read(&body).unwrap();
    assert_eq!(event.event_type(), "verification.case.decided");
    assert_eq!(event.kind, decided(Some("case_7")));
}

#[test]
fn an_event_of_an_unknown_type_is_kept_unchanged() {
    let mut body =
        json!({"id": 7, "type": "tenant.Renamed", "created_at": 1_700_000_000, "x": [1]});
    let event = read(&body).unwrap();
    assert_eq!(event.id, "7");
    assert_eq!(event.event_type(), "tenant.Renamed");
    assert_eq!(event.person_id(), None);
    let event_type = "tenant.Renamed".to_owned();
    assert_eq!(
        event.kind,
        EventKind::Unknown {
            person_id: None,
            event_type,
            raw: body.clone()
        }
    );
    body["data"] = json!({"person_id": "canary-person"});
    assert_eq!(read(&body).unwrap().person_id(), Some("canary-person"));
}

#[test]
fn an_invalid_event_has_an_error_for_its_field() {
    // Threat case 129: a field is missing, has the wrong type, or is too long for a store
    for (body, refusal) in [
        (without("", "id"), EventParseError::Id),
        (with("/id", json!(null)), EventParseError::Id),
        (with("/id", json!("")), EventParseError::Id),
        (with("/id", json!(1.5)), EventParseError::Id),
        (with("/id", json!(["evt_1"])), EventParseError::Id),
        (with("/id", json!("evt\n1")), EventParseError::Id),
        (with("/id", json!("e".repeat(256))), EventParseError::Id),
        (without("", "type"), EventParseError::Type),
        (with("/type", json!(7)), EventParseError::Type),
        (without("", "created_at"), EventParseError::CreatedAt),
        (
            with("/created_at", json!("yesterday")),
            EventParseError::CreatedAt,
        ),
        (
            with("/created_at", json!("1700000000")),
            EventParseError::CreatedAt,
        ),
        (without("/data", "person_id"), EventParseError::PersonId),
        (with("/data/person_id", json!(7)), EventParseError::PersonId),
        (
            with("/data/person_id", json!("")),
            EventParseError::PersonId,
        ),
        (with("/data", json!("person")), EventParseError::PersonId),
    ] {
        assert_eq!(read(&body).map(drop), Err(refusal), "{body}");
    }
    assert!(read(&with("/id", json!("e".repeat(255)))).is_ok());
    for bytes in [
        &b""[..],
        b"null",
        b"[]",
        b"{} {}",
        b"{\"id\":\"\xff\"}",
        br#"{"id":"a","id":"b"}"#,
        br#"{"data":{"person_id":"a","person_id":"b"}}"#,
    ] {
        let refused = EventReader::default().read(&verified(bytes));
        assert_eq!(refused.map(drop), Err(EventParseError::NotJson));
    }
}

#[test]
fn a_missing_or_unknown_status_is_never_verified() {
    for body in [
        without("/data", "kyc_status"),
        with("/data/kyc_status", json!(null)),
        with("/data/kyc_status", json!(["verified"])),
        with("/data/kyc_status", json!({"verified": true})),
    ] {
        let EventKind::StatusChanged { kyc_status, .. } = read(&body).unwrap().kind else {
            panic!("unexpected event kind");
        };
        assert_eq!(kyc_status, None, "{body}");
    }
    let unknown_status_event = with("/data/kyc_status", json!("unknown_status"));
    let EventKind::StatusChanged { kyc_status, .. } = read(&unknown_status_event).unwrap().kind
    else {
        panic!("unexpected event kind");
    };
    assert_eq!(
        kyc_status,
        Some(KycStatus::Unknown("unknown_status".to_owned()))
    );
    // K32
    let number = with("/data/kyc_tier", json!(2));
    let EventKind::StatusChanged { kyc_tier, .. } = read(&number).unwrap().kind else {
        panic!("unexpected event kind");
    };
    assert_eq!(kyc_tier, Some(KycTier::T2));
}

#[test]
fn fields_are_read_at_the_configured_paths() {
    // K63: the members may also be at the top level
    let flat = json!({
        "id": "evt_1", "type": "kyc.status_changed", "created_at": 1_700_000_000,
        "data": {"person_id": "p"}, "kyc_status": "rejected", "kyc_tier": "t1",
    });
    let EventKind::StatusChanged {
        kyc_status,
        kyc_tier,
        ..
    } = read(&flat).unwrap().kind
    else {
        panic!("unexpected event kind");
    };
    assert_eq!(
        (kyc_status, kyc_tier),
        (Some(KycStatus::Rejected), Some(KycTier::T1))
    );

    let mut pointers = EventFieldPaths::default();
    pointers.id = vec!["/event/uid".to_owned()];
    pointers.person_id = vec!["/who/0/a~1b".to_owned(), "/sub".to_owned()];
    pointers.created_at = vec!["/at".to_owned()];
    let reader = EventReader::new(pointers).unwrap();
    let body = json!({
        "event": {"uid": "u"}, "type": "kyc.status_changed", "at": 0, "who": [{"a/b": "p"}],
    });
    let event = reader.read(&verified(body.to_string().as_bytes())).unwrap();
    assert_eq!((&*event.id, event.person_id()), ("u", Some("p")));

    for wrong in ["id", "data/person_id", "/a~", "/a~2"] {
        let mut pointers = EventFieldPaths::default();
        pointers.case_id.push(wrong.to_owned());
        let refused = EventReader::new(pointers).map(drop);
        assert_eq!(refused, Err(InvalidFieldPath(wrong.to_owned())));
    }
}

#[test]
fn the_event_key_is_derived_from_the_event_id_and_fits_any_store() {
    // Covers threat case 130.
    let first = read(&status_changed()).unwrap();
    let again = read(&with("/data/kyc_status", json!("rejected"))).unwrap();
    let other = read(&with("/id", json!("evt_2"))).unwrap();
    assert_eq!(first.key(), again.key());
    assert_ne!(first.key(), other.key());
    for id in ["evt_1", "", "é \u{1f600} : / *", &"x".repeat(255)] {
        let key = EventKey::of(id);
        assert_eq!(key.as_str().len(), 64);
        assert!(key.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn debug_output_contains_no_personal_data() {
    // Covers threat case 137.
    let mut unknown = status_changed();
    unknown["type"] = json!("kyc.other");
    for body in [status_changed(), unknown] {
        let event = read(&body).unwrap();
        let debug_output = format!("{event:?} {:#?} {:?}", event.kind, event.key());
        assert!(!debug_output.contains("canary"), "{debug_output}");
        assert!(!debug_output.contains("evt_1"), "{debug_output}");
    }
}
