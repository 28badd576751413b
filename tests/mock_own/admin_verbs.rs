//! Tests that each action of the admin API has the documented effect on the issuer.

use std::time::Duration;

use kycport::{
    Clock as _, KycStatus, KycTier,
    cases::CaseStatus,
    mock::{Endpoint, Tamper},
};
use serde_json::{Value, json};

use crate::{
    admin_desk::{AdminClient, answer},
    case_desk::{CaseClient, pictures},
    receiver::Receiver,
    support::{TestIssuer, payload},
};

#[tokio::test]
async fn persons_are_created_read_and_updated() {
    let admin = AdminClient::new().await;
    let body = json!({
        "slug": "ada", "name": "Ada Lovelace", "email": "ada@lovelace.test", "tier": "t1",
        "status": "pending", "aml_clear": null, "email_verified": false,
    });
    let created = admin.post("/persons", &body).await;
    let ada = admin.kyc.find_person("ada").unwrap();
    assert_eq!(created["id"], ada.id());
    assert_eq!(
        (ada.name(), ada.email()),
        ("Ada Lovelace".into(), "ada@lovelace.test".into())
    );
    assert_eq!(
        (ada.status(), ada.tier()),
        (KycStatus::Pending, KycTier::T1)
    );
    assert_eq!(created["aml_clear"], Value::Null);
    assert_eq!(created["email_verified"], false);
    // The API finds the person by each identifier.
    for hint in ["ada", ada.id(), "ada@lovelace.test", "ada%40lovelace.test"] {
        assert_eq!(
            admin.get(&format!("/persons/{hint}")).await,
            created,
            "{hint}"
        );
    }
    let change = json!({ "status": "verified", "tier": "t3", "aml_clear": false, "name": "A" });
    let changed = admin.patch("/persons/ada", &change).await;
    assert_eq!(
        (ada.status(), ada.tier(), ada.name()),
        (KycStatus::Verified, KycTier::T3, "A".into())
    );
    assert_eq!(changed["aml_clear"], false);
    // A field that the request omits keeps its value.
    assert_eq!(ada.email(), "ada@lovelace.test");
    admin
        .patch("/persons/ada", &json!({ "expires_in_seconds": 60 }))
        .await;
    admin.kyc.clock().advance(Duration::from_secs(61));
    assert_eq!(admin.get("/persons").await[0]["status"], "expired");
    assert_eq!(ada.status(), KycStatus::Expired);
}

#[tokio::test]
async fn a_person_may_be_visible_to_some_tenants_only() {
    let admin = AdminClient::new().await;
    let body = json!({ "slug": "ada", "only_for": ["Globex Wallet"] });
    let ada = admin.post("/persons", &body).await;
    assert_eq!(ada["visible_to"], json!(["Globex Wallet"]));
}

#[tokio::test]
async fn simultaneous_changes_cause_one_event() {
    let admin = AdminClient::new().await;
    let receiver = Receiver::start().await;
    let endpoint = admin
        .post("/webhooks/endpoints", &json!({ "url": receiver.url() }))
        .await;
    assert_eq!(endpoint["tenant"], admin.kyc.tenant().id());
    admin.post("/persons", &json!({ "slug": "ada" })).await;
    let change = json!({ "status": "rejected", "tier": "t0", "aml_clear": false });
    admin.patch("/persons/ada", &change).await;
    let settled = admin.get("/webhooks/settled").await;
    assert_eq!(settled, json!({ "settled": true, "left": [] }));
    let got = receiver.take();
    assert_eq!(got.len(), 1);
    let secret = admin.get("/webhooks/secret").await["secret"].clone();
    assert!(got[0].is_signed(secret.as_str().unwrap()));
    let deliveries = admin.get("/webhooks/deliveries").await;
    assert_eq!(deliveries[0]["outcome"], "answered");
    assert_eq!(deliveries[0]["status"], 204);
    assert_eq!(deliveries[0]["attempt"], 1);
}

#[tokio::test]
async fn deliveries_are_repeated_paused_and_deleted() {
    let admin = AdminClient::new().await;
    let receiver = Receiver::start().await;
    let none = json!({});
    assert_eq!(
        admin.rejection("POST", "/webhooks/repeat", &none).await.0,
        404
    );
    let body = json!({ "url": receiver.url(), "types": ["test.done"] });
    let endpoint = admin.post("/webhooks/endpoints", &body).await;
    let event = json!({ "type": "test.done", "data": { "n": 1 } });
    let id = admin.post("/webhooks/emit", &event).await["event_id"].clone();
    admin.get("/webhooks/settled").await;
    assert_eq!(admin.post("/webhooks/repeat", &none).await["event_id"], id);
    admin
        .post("/webhooks/repeat", &json!({ "event_id": id }))
        .await;
    admin.get("/webhooks/settled").await;
    let bodies: Vec<_> = receiver.take().into_iter().map(|got| got.body).collect();
    assert_eq!(bodies, vec![bodies[0].clone(); 3]);

    let path = format!("/webhooks/endpoints/{}", endpoint["id"]);
    let paused = admin.patch(&path, &json!({ "paused": true })).await;
    assert_eq!(paused["paused"], true);
    admin.post("/webhooks/emit", &event).await;
    admin.get("/webhooks/settled").await;
    assert!(receiver.take().is_empty());
    admin.patch(&path, &json!({ "paused": false })).await;
    admin.get("/webhooks/settled").await;
    assert_eq!(receiver.take().len(), 1);

    admin.delete("/webhooks/deliveries").await;
    assert_eq!(admin.get("/webhooks/deliveries").await, json!([]));
    admin.delete(&path).await;
    assert_eq!(admin.get("/webhooks/endpoints").await, json!([]));
    assert_eq!(admin.rejection("DELETE", &path, &Value::Null).await.0, 404);
    let bad = json!({ "url": "ftp://127.0.0.1/" });
    assert_eq!(
        admin.rejection("POST", "/webhooks/endpoints", &bad).await.0,
        400
    );
    let unknown_tenant = json!({ "url": receiver.url(), "tenant": "nobody" });
    assert_eq!(
        admin
            .rejection("POST", "/webhooks/endpoints", &unknown_tenant)
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn a_timed_out_wait_lists_the_pending_deliveries() {
    let admin = AdminClient::new().await;
    let receiver = Receiver::start().await;
    let held = receiver.hold();
    admin
        .post("/webhooks/endpoints", &json!({ "url": receiver.url() }))
        .await;
    admin
        .post("/webhooks/emit", &json!({ "type": "a.b", "data": {} }))
        .await;
    let settled = admin.get("/webhooks/settled?timeout_seconds=0").await;
    assert_eq!(settled["settled"], false);
    assert!(settled["left"][0].as_str().unwrap().starts_with("a.b evt_"));
    let error = admin
        .rejection(
            "GET",
            "/webhooks/settled?timeout_seconds=soon",
            &Value::Null,
        )
        .await;
    assert_eq!(error.0, 400);
    drop(held);
    assert_eq!(admin.get("/webhooks/settled").await["settled"], true);
}

#[tokio::test]
async fn the_webhook_secret_is_rotated() {
    let admin = AdminClient::new().await;
    let old = admin.kyc.webhooks().secret();
    let new = admin.step("/webhooks/secret/rotate").await["secret"].clone();
    assert_ne!(new, old.as_str());
    assert_eq!(new, admin.kyc.webhooks().secret());
    assert_eq!(admin.get("").await["webhook_secret"], new);
}

#[tokio::test]
async fn an_invalid_fault_is_rejected_when_it_is_installed() {
    let admin = AdminClient::new().await;
    let answer = |status: u16, kind: &str| json!({ "answer": { "status": status, "content_type": kind, "body": "" } });
    let faults = [
        json!({ "status": 0 }),
        json!({ "status": 99 }),
        json!({ "status": 101 }),
        json!({ "status": 1000 }),
        answer(99, "text/plain"),
        answer(200, "text/plain\r\nx-injected: 1"),
        json!({ "redirect": "http://127.0.0.1/\r\nx-injected: 1" }),
    ];
    for fault in faults {
        let fault = json!({ "endpoint": "jwks", "fault": fault });
        assert_eq!(
            admin.rejection("POST", "/faults", &fault).await.0,
            400,
            "{fault}"
        );
    }
    let faults = [
        json!({ "oversized_bytes": 3_000_000_000_u64 }),
        json!({ "oversized_bytes": u64::MAX }),
        json!({ "flood": u32::MAX }),
        json!({ "duplicate": u32::MAX }),
    ];
    for fault in faults {
        let fault = json!({ "fault": fault });
        let error = admin.rejection("POST", "/faults/webhooks", &fault).await;
        assert_eq!(error.0, 400, "{fault}");
        assert!(error.2.contains("but the maximum is "), "{}", error.2);
    }
    let switch = json!({ "webhook_header": "x\r\ny: z" });
    assert_eq!(admin.rejection("PATCH", "/switches", &switch).await.0, 400);
    assert_eq!(admin.get("/faults").await, json!([]));
}

#[tokio::test]
async fn a_huge_response_does_not_block_the_mock() {
    let admin = AdminClient::new().await;
    let mut answers = Vec::new();
    for name in ["gzip_bomb", "huge"] {
        let mut fault = json!({ "endpoint": "jwks", "fault": {}, "times": 1 });
        fault["fault"][name] = u64::MAX.into();
        admin.post("/faults", &fault).await;
        let mut answer = reqwest::get(admin.kyc.url(Endpoint::Jwks)).await.unwrap();
        for _ in 0..100 {
            assert!(answer.chunk().await.unwrap().is_some(), "{name}");
        }
        answers.push(answer);
    }
    // The mock serves other requests while it still sends these responses.
    let url = admin.kyc.discovery_url();
    admin.kyc.browser().fetch(url).await.unwrap().assert_ok();
    drop(answers);
    admin.kyc.stop().unwrap();
}

#[tokio::test]
async fn the_clock_cannot_pass_the_year_9999_and_can_be_reset() {
    let admin = AdminClient::new().await;
    for seconds in [u64::MAX, 9_000_000_000_000] {
        let by = json!({ "seconds": seconds });
        let error = admin.rejection("POST", "/clock/advance", &by).await;
        assert_eq!(error.0, 409);
        assert!(error.2.contains("year 9999"), "{}", error.2);
    }
    admin.kyc.clock().advance(Duration::MAX);
    admin.step("/reset").await;
    let reset_time = admin.get("/clock").await["unix_ms"].as_i64().unwrap();
    let now = kycport::SystemClock::new().now().as_unix_millis();
    assert!((now - reset_time).abs() < 10_000, "{reset_time} {now}");
}

#[tokio::test]
async fn an_array_is_rejected_where_an_object_is_expected() {
    let admin = AdminClient::new().await;
    admin.kyc.clock().freeze();
    let before = admin.get("/clock").await;
    for (method, path, body) in [
        ("POST", "/clock/advance", json!([3600])),
        ("POST", "/clock/freeze", json!([])),
        ("POST", "/reset", json!([])),
        ("POST", "/persons", json!(["eve"])),
        ("PATCH", "/switches", json!([true])),
        (
            "PATCH",
            "/switches",
            json!({ "status_rate_limit": [1, 60] }),
        ),
        ("PATCH", "/switches", json!({ "webhook_header": ["x"] })),
        (
            "POST",
            "/faults",
            json!({ "endpoint": "jwks", "fault": { "answer": [200, "text/html", "<p>"] } }),
        ),
        ("POST", "/faults", json!(["jwks", "reset"])),
    ] {
        let error = admin.rejection(method, path, &body).await;
        assert_eq!(
            (error.0, error.1.as_str()),
            (400, "invalid_request"),
            "{body}"
        );
    }
    assert_eq!(admin.get("/clock").await, before);
    assert_eq!(admin.get("/faults").await, json!([]));
    assert!(admin.kyc.find_person("eve").is_none());
    // A field whose schema is an array accepts an array.
    let retries = json!({ "webhook_retries_seconds": [1, 2] });
    let switches = admin.patch("/switches", &retries).await;
    assert_eq!(switches["webhook_retries_seconds"], json!([1, 2]));
    let data = json!({ "any": [1, { "b": [2] }] });
    let event = json!({ "type": "kyc.other", "data": data });
    admin.post("/webhooks/emit", &event).await;
}

#[tokio::test]
async fn endpoint_faults_are_set_and_deleted() {
    let admin = AdminClient::new().await;
    let fault = json!({
        "endpoint": "jwks", "fault": { "status": 503 }, "retry_after": 7, "times": 2,
    });
    let fault = admin.post("/faults", &fault).await;
    let url = admin.kyc.url(Endpoint::Jwks);
    for status in [503, 503, 200] {
        let page = admin.kyc.browser().fetch(&url).await.unwrap();
        assert_eq!(page.status(), status);
        assert_eq!(page.header("retry-after"), (status == 503).then_some("7"));
    }
    let path = format!("/faults/{}", fault["id"]);
    let used = admin.get(&path).await;
    assert_eq!((&used["hits"], &used["left"]), (&json!(2), &json!(0)));

    // A fault without `times` exists until a client deletes it. The deletion of an unused fault is
    // not an error.
    let reset = admin
        .post("/faults", &json!({ "endpoint": "jwks", "fault": "reset" }))
        .await;
    assert_eq!(reset["left"], Value::Null);
    assert!(admin.kyc.browser().fetch(&url).await.is_err());
    admin.delete(&format!("/faults/{}", reset["id"])).await;
    admin.kyc.browser().fetch(&url).await.unwrap().assert_ok();
    for fault in [
        json!("garbage"),
        json!({ "answer": { "status": 200, "content_type": "text/html", "body": "<p>" } }),
        json!("truncate"),
        json!("drop_connection"),
        json!({ "redirect": "http://127.0.0.1:9/" }),
        json!({ "gzip_bomb": 10_000 }),
        json!({ "huge": 10_000 }),
    ] {
        admin
            .post(
                "/faults",
                &json!({ "endpoint": "jwks", "fault": fault, "times": 1 }),
            )
            .await;
        let page = admin.kyc.browser().fetch(&url).await;
        let is_good = page.is_ok_and(|page| page.status() == 200 && page.body().contains("keys"));
        assert!(!is_good, "{fault}");
    }
    admin.delete("/faults").await;
    assert_eq!(admin.get("/faults").await, json!([]));
    let error = admin
        .rejection(
            "POST",
            "/faults",
            &json!({ "endpoint": "jwks", "fault": "explode" }),
        )
        .await;
    assert!(error.2.contains("unknown variant `explode`"), "{}", error.2);
    assert_eq!(
        admin.rejection("GET", "/faults/1", &Value::Null).await.0,
        404
    );
}

#[tokio::test]
async fn a_fault_can_apply_after_the_endpoint_processed_the_request() {
    let admin = AdminClient::new().await;
    let issuer = TestIssuer::with(admin.kyc.clone());
    let fault = json!({
        "endpoint": "token", "fault": { "status": 503 }, "after": true, "times": 1,
    });
    admin.post("/faults", &fault).await;
    let code = issuer.code().await;
    assert_eq!(issuer.token(&issuer.exchange(&code)).await.status(), 503);
    // The mock has redeemed the code.
    let again = issuer.token(&issuer.exchange(&code)).await;
    assert_eq!(again.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn connection_faults_are_set() {
    let admin = AdminClient::new().await;
    // A connection fault without `times` would make the admin API unreachable.
    assert_eq!(
        admin
            .rejection("POST", "/faults/connections", &json!({ "fault": "close" }))
            .await
            .0,
        400
    );
    admin
        .post(
            "/faults/connections",
            &json!({ "fault": "close", "times": 1 }),
        )
        .await;
    let url = admin.kyc.discovery_url();
    assert!(admin.kyc.browser().fetch(&url).await.is_err());
    admin.kyc.browser().fetch(&url).await.unwrap().assert_ok();
}

#[tokio::test]
async fn token_faults_are_set_by_name() {
    let admin = AdminClient::new().await;
    let issuer = TestIssuer::with(admin.kyc.clone());
    let fault = json!({
        "token": "id_token", "tamper": "WrongAudience", "person": "ada", "times": 1,
    });
    let fault = admin.post("/faults/tokens", &fault).await;
    let audience = |page: kycport::mock::Page| {
        let json = page.json();
        payload(json["id_token"].as_str().unwrap())["aud"].clone()
    };
    assert_ne!(audience(issuer.tokens().await), admin.kyc.client().id());
    assert_eq!(audience(issuer.tokens().await), admin.kyc.client().id());
    let used = admin.get(&format!("/faults/{}", fault["id"])).await;
    assert_eq!(used["hits"], 1);
    // The API accepts the name of each manipulation, and rejects an unknown name.
    for tamper in Tamper::ALL {
        let fault = json!({ "token": "access_token", "tamper": format!("{tamper:?}") });
        admin.post("/faults/tokens", &fault).await;
    }
    let error = admin
        .rejection(
            "POST",
            "/faults/tokens",
            &json!({ "token": "id_token", "tamper": "Wrong" }),
        )
        .await;
    assert!(
        error.2.starts_with("`Wrong` is not one of AlgNone, "),
        "{}",
        error.2
    );
}

#[tokio::test]
async fn webhook_faults_are_set() {
    let admin = AdminClient::new().await;
    let receiver = Receiver::start().await;
    admin
        .post("/webhooks/endpoints", &json!({ "url": receiver.url() }))
        .await;
    let secret = admin.kyc.webhooks().secret();
    for (fault, count, signed) in [
        (json!({ "tamper": "WrongSecret" }), 1, false),
        (json!({ "tamper": "AlteredByte" }), 1, false),
        (json!({ "duplicate": 2 }), 3, true),
        (json!({ "stale_seconds": 3600 }), 1, true),
        (json!("lose"), 0, true),
    ] {
        admin
            .post("/faults/webhooks", &json!({ "fault": fault, "times": 1 }))
            .await;
        admin
            .post("/webhooks/emit", &json!({ "type": "a.b", "data": {} }))
            .await;
        admin.get("/webhooks/settled").await;
        let got = receiver.take();
        assert_eq!(got.len(), count, "{fault}");
        assert!(
            got.iter().all(|it| it.is_signed(&secret) == signed),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn the_number_of_faults_is_limited() {
    let admin = AdminClient::new().await;
    let fault = json!({ "endpoint": "health", "fault": "reset", "times": 0 });
    for _ in 0..1000 {
        admin.post("/faults", &fault).await;
    }
    let error = admin.rejection("POST", "/faults", &fault).await;
    assert_eq!((error.0, error.1.as_str()), (409, "conflict"));
}

#[tokio::test]
async fn signing_keys_rotate_in_three_steps() {
    let admin = AdminClient::new().await;
    let served = async || {
        let page = admin
            .kyc
            .browser()
            .fetch(admin.kyc.url(Endpoint::Jwks))
            .await;
        page.unwrap().json()["keys"].as_array().unwrap().len()
    };
    let old = admin.get("/keys").await["active"].clone();
    let keys = admin.step("/keys/publish_next").await;
    let next = keys["published"][1].clone();
    assert_eq!((&keys["active"], served().await), (&old, 2));
    let keys = admin.step("/keys/promote").await;
    assert_eq!((&keys["active"], served().await), (&next, 2));
    let keys = admin.step("/keys/retire_old").await;
    assert_eq!((&keys["published"], served().await), (&json!([next]), 1));
    let keys = admin.step("/keys/rotate").await;
    assert_ne!(keys["active"], next);
    assert_eq!(keys["active"], admin.kyc.keys().active_kid().as_str());
}

#[tokio::test]
async fn the_clock_can_be_frozen_moved_and_resumed() {
    let admin = AdminClient::new().await;
    let clock = admin.kyc.clock();
    let frozen = admin.step("/clock/freeze").await;
    assert_eq!(frozen["frozen"], true);
    assert_eq!(frozen["unix_ms"], clock.now().as_unix_millis());
    let moved = admin
        .post("/clock/advance", &json!({ "seconds": 3600 }))
        .await;
    let before = frozen["unix_ms"].as_i64().unwrap();
    assert_eq!(moved["unix_ms"], before + 3_600_000);
    let jump = json!({ "to": "2030-01-02T03:04:05.678+01:00" });
    let jumped = admin.post("/clock/jump", &jump).await;
    assert_eq!(jumped["now"], "2030-01-02T02:04:05.678Z");
    let resumed = admin.step("/clock/resume").await;
    assert_eq!(resumed["frozen"], false);
    assert!(
        resumed["now"]
            .as_str()
            .unwrap()
            .starts_with("2030-01-02T02:04:")
    );
    assert_eq!(
        admin
            .rejection("POST", "/clock/jump", &json!({ "to": "noon" }))
            .await
            .0,
        400
    );
    assert_eq!(
        admin
            .rejection("POST", "/clock/advance", &json!({ "seconds": -1 }))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn case_outcomes_are_forced_and_reviewed() {
    let admin = AdminClient::new().await;
    let cases = CaseClient::with(admin.kyc.clone());
    admin
        .post("/cases/next_outcome", &json!({ "outcome": "review" }))
        .await;
    let ada = cases.person("ada");
    let case = cases.open(&ada).await;
    cases.upload(&case, &pictures("ada")).await;
    cases.decide(&case).await;
    assert_eq!(
        admin.get("/cases").await[0]["status"],
        CaseStatus::Deciding.as_str()
    );
    let path = format!("/cases/{case}/review");
    let reviewed = admin.post(&path, &json!({ "outcome": "approved" })).await;
    assert_eq!(reviewed["outcome"], "approved");
    assert_eq!(reviewed["human_verified"], true);
    assert_eq!(reviewed["files"][0]["part"], "document");
    assert_eq!(ada.status(), KycStatus::Verified);
    // The API rejects a second review with 409.
    let error = admin
        .rejection("POST", &path, &json!({ "outcome": "rejected" }))
        .await;
    assert_eq!((error.0, error.1.as_str()), (409, "conflict"));
    let nowhere = admin
        .rejection(
            "POST",
            "/cases/none/review",
            &json!({ "outcome": "rejected" }),
        )
        .await;
    assert_eq!(nowhere.0, 404);
    assert_eq!(admin.get(&format!("/cases/{case}")).await, reviewed);
}

#[tokio::test]
async fn tenants_and_clients_are_created() {
    let admin = AdminClient::new().await;
    let tenant = json!({
        "id": "Initech", "api_key": "key_initech", "webhook_secret": "hook_initech_0123456789",
    });
    admin.post("/tenants", &tenant).await;
    let changed = admin
        .patch("/tenants/Initech", &json!({ "may_read_status": false }))
        .await;
    assert_eq!(changed["api_key"], "key_initech");
    assert_eq!(changed["may_read_status"], false);
    let ada = admin.kyc.person("ada").create();
    let visit = admin.kyc.browser();
    let visit = visit
        .request(http::Method::GET, admin.kyc.status_url(ada.id()))
        .fetch();
    let page = visit
        .header("authorization", "Bearer key_initech")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 403);
    admin
        .patch("/tenants/Initech", &json!({ "may_read_status": true }))
        .await;
    assert_eq!(admin.get("/tenants/Initech").await["may_read_status"], true);
    let short = json!({ "id": "Initech", "webhook_secret": "short" });
    assert_eq!(admin.rejection("POST", "/tenants", &short).await.0, 400);

    let client = json!({
        "name": "Initech App", "id": "initech", "secret": "s3cret", "tenant": "Initech",
        "redirect_uris": ["https://app.initech.test/callback"],
    });
    let client = admin.post("/clients", &client).await;
    assert_eq!(
        (&client["secret"], &client["kind"]),
        (&json!("s3cret"), &json!("confidential"))
    );
    let uri = json!({ "redirect_uri": "http://127.0.0.1:3000/callback" });
    for _ in 0..2 {
        let client = admin.post("/clients/initech/redirect_uris", &uri).await;
        assert_eq!(client["redirect_uris"].as_array().unwrap().len(), 2);
    }
    let plain = json!({ "redirect_uri": "http://app.test/callback" });
    assert_eq!(
        admin
            .rejection("POST", "/clients/initech/redirect_uris", &plain)
            .await
            .0,
        400
    );
    let public = json!({ "name": "P", "kind": "public" });
    assert_eq!(admin.post("/clients", &public).await["secret"], Value::Null);
    let both = json!({ "name": "P", "kind": "public", "secret": "s" });
    assert_eq!(admin.rejection("POST", "/clients", &both).await.0, 400);
    // The mock does not store a rejected client.
    let bad = json!({ "name": "Q", "id": "q", "redirect_uris": ["nowhere"] });
    assert_eq!(admin.rejection("POST", "/clients", &bad).await.0, 400);
    assert_eq!(
        admin.rejection("GET", "/clients/q", &Value::Null).await.0,
        404
    );
}

#[tokio::test]
async fn requests_are_listed_with_their_rejections() {
    let admin = AdminClient::new().await;
    let issuer = TestIssuer::with(admin.kyc.clone());
    issuer.token(&issuer.exchange("an-unknown-code")).await;
    issuer
        .browser
        .fetch(admin.kyc.url(Endpoint::Jwks))
        .await
        .unwrap();
    let all = admin.get("/requests?endpoint=token").await;
    let request = &all[0];
    assert_eq!(
        (&request["method"], &request["status"]),
        (&json!("POST"), &json!(400))
    );
    assert_eq!(request["refusal"]["error"], "invalid_grant");
    assert_eq!(request["refusal"]["row"], "K24");
    assert_eq!(request["form"][1], "code");
    let text = admin.get("/requests").await.to_string();
    assert!(
        !text.contains("an-unknown-code") && !text.contains(admin.kyc.client().secret().unwrap())
    );
    let counts = admin.get("/requests/counts").await;
    let of = |name: &str| counts[name].as_u64();
    assert_eq!(
        (of("token"), of("jwks"), of("userinfo")),
        (Some(1), Some(1), Some(0))
    );
    admin.delete("/requests").await;
    assert_eq!(admin.get("/requests").await, json!([]));
    admin.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn every_endpoint_has_a_name() {
    let admin = AdminClient::new().await;
    let counts = admin.get("/requests/counts").await;
    assert_eq!(counts.as_object().unwrap().len(), Endpoint::ALL.len());
    for (word, endpoint) in [
        ("verify", Endpoint::Verify),
        ("llms_txt", Endpoint::LlmsTxt),
    ] {
        let fault = json!({ "endpoint": word, "fault": { "status": 503 }, "times": 1 });
        admin.post("/faults", &fault).await;
        let answer = reqwest::get(admin.kyc.url(endpoint)).await.unwrap();
        assert_eq!(answer.status(), 503, "{word}");
        let counts = admin.get("/requests/counts").await;
        assert_eq!(counts[word], 1);
        let listed = admin.get(&format!("/requests?endpoint={word}")).await;
        assert_eq!(listed[0]["endpoint"], word);
    }
}

#[tokio::test]
async fn switches_are_read_and_changed() {
    let admin = AdminClient::new().await;
    let before = admin.get("/switches").await;
    assert_eq!(before["tier_as_number"], false);
    assert_eq!(before["cache_max_age_seconds"], 600);
    let change = json!({
        "tier_as_number": true, "cache_max_age_seconds": null, "webhook_signatures":
        "both_in_one_header", "status_rate_limit": { "requests": 2, "seconds": 60 },
        "api_error_field": "code",
    });
    let after = admin.patch("/switches", &change).await;
    for (name, value) in change.as_object().unwrap() {
        assert_eq!(after[name], *value, "{name}");
    }
    // Switches that the request omits keep their values. A client can write all values that it has
    // read.
    assert_eq!(after["at_hash"], before["at_hash"]);
    assert_eq!(admin.patch("/switches", &before).await, before);
    let error = admin
        .rejection("PATCH", "/switches", &json!({ "teir_as_number": true }))
        .await;
    assert!(
        error.2.contains("unknown field `teir_as_number`"),
        "{}",
        error.2
    );
}

#[tokio::test]
async fn the_environment_of_an_app_is_generated() {
    let admin = AdminClient::new().await;
    let uri = "http://127.0.0.1:3000/callback";
    let made = admin
        .post("/environment", &json!({ "redirect_uri": uri }))
        .await;
    for (name, value) in admin.kyc.environment(uri) {
        assert_eq!(made[name], value, "{name}");
    }
    let public = admin.kyc.public_client().id();
    let body = json!({ "redirect_uri": uri, "client_id": public });
    let made = admin.post("/environment", &body).await;
    assert_eq!(made["KYCPORT_CLIENT_ID"], public);
    assert_eq!(made["KYCPORT_CLIENT_SECRET"], Value::Null);
    let bad = json!({ "redirect_uri": "nowhere" });
    assert_eq!(admin.rejection("POST", "/environment", &bad).await.0, 400);
    let unknown_client = json!({ "redirect_uri": uri, "client_id": "nobody" });
    assert_eq!(
        admin
            .rejection("POST", "/environment", &unknown_client)
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn all_browsers_can_be_signed_out() {
    let admin = AdminClient::new().await;
    let issuer = TestIssuer::with(admin.kyc.clone());
    issuer.code().await;
    let silent = issuer.authorize_url(&crate::support::and(issuer.request(), "prompt", "none"));
    let back = issuer.browser.open(silent.clone()).await.unwrap();
    assert!(back.header("location").unwrap().contains("code="));
    admin.delete("/sessions").await;
    let back = issuer.browser.open(silent).await.unwrap();
    assert!(back.header("location").unwrap().contains("login_required"));
}

#[tokio::test]
async fn a_reset_restores_the_initial_state() {
    let admin = AdminClient::with(
        kycport::mock::MockIssuer::builder()
            .admin()
            .with_sample_persons()
            .auto_consent(true)
            .start()
            .await
            .unwrap(),
    );
    let receiver = Receiver::start().await;
    let start = async || {
        let mut all = Vec::new();
        for path in [
            "",
            "/persons",
            "/tenants",
            "/clients",
            "/switches",
            "/keys",
            "/faults",
        ] {
            all.push(admin.get(path).await);
        }
        for path in [
            "/webhooks/endpoints",
            "/webhooks/deliveries",
            "/requests",
            "/cases",
        ] {
            all.push(admin.get(path).await);
        }
        all
    };
    let before = start().await;
    let issuer = TestIssuer::with(admin.kyc.clone());
    let access = issuer.tokens().await.json()["access_token"].clone();
    admin
        .patch("/persons/ada", &json!({ "status": "rejected" }))
        .await;
    admin.post("/clients", &json!({ "name": "New" })).await;
    admin.patch("/switches", &json!({ "acr": false })).await;
    admin.step("/keys/rotate").await;
    admin.step("/webhooks/secret/rotate").await;
    admin
        .post(
            "/faults",
            &json!({ "endpoint": "health", "fault": "reset" }),
        )
        .await;
    admin
        .post("/webhooks/endpoints", &json!({ "url": receiver.url() }))
        .await;
    admin
        .post("/webhooks/emit", &json!({ "type": "a.b", "data": {} }))
        .await;
    admin.step("/clock/freeze").await;
    admin
        .post("/clock/advance", &json!({ "seconds": 86_400 }))
        .await;
    assert_ne!(start().await, before);

    admin.step("/reset").await;
    assert_eq!(start().await, before);
    let clock = admin.get("/clock").await;
    assert_eq!(clock["frozen"], false);
    let apart = kycport::SystemClock::new()
        .now()
        .since(admin.kyc.clock().now());
    assert!(
        apart < Duration::from_secs(10)
            && admin.kyc.clock().now() <= kycport::SystemClock::new().now()
    );
    // After the reset, old tokens, cookies and faults have no effect.
    let page = issuer.userinfo(access.as_str().unwrap()).await;
    assert_eq!(page.status(), 401);
    assert!(answer(admin.request("GET", "/faults/1")).await.0 == 404);
}
