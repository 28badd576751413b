//! What the admin API does, seen at the issuer.

use std::time::Duration;

use kycport::{
    Clock as _, KycStatus, KycTier,
    cases::CaseStatus,
    mock::{Endpoint, Tamper},
};
use serde_json::{Value, json};

use crate::{
    admin_desk::{AdminDesk, answer},
    case_desk::{CaseDesk, pictures},
    receiver::Receiver,
    support::{Desk, payload},
};

#[tokio::test]
async fn persons_are_created_read_and_changed() {
    let desk = AdminDesk::new().await;
    let body = json!({
        "slug": "ada", "name": "Ada Lovelace", "email": "ada@lovelace.test", "tier": "t1",
        "status": "pending", "aml_clear": null, "email_verified": false,
    });
    let created = desk.post("/persons", &body).await;
    let ada = desk.kyc.find_person("ada").unwrap();
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
    // By any of its names.
    for hint in ["ada", ada.id(), "ada@lovelace.test", "ada%40lovelace.test"] {
        assert_eq!(
            desk.get(&format!("/persons/{hint}")).await,
            created,
            "{hint}"
        );
    }
    let change = json!({ "status": "verified", "tier": "t3", "aml_clear": false, "name": "A" });
    let changed = desk.patch("/persons/ada", &change).await;
    assert_eq!(
        (ada.status(), ada.tier(), ada.name()),
        (KycStatus::Verified, KycTier::T3, "A".into())
    );
    assert_eq!(changed["aml_clear"], false);
    // What is not named stays.
    assert_eq!(ada.email(), "ada@lovelace.test");
    desk.patch("/persons/ada", &json!({ "expires_in_seconds": 60 }))
        .await;
    desk.kyc.clock().advance(Duration::from_secs(61));
    assert_eq!(desk.get("/persons").await[0]["status"], "expired");
    assert_eq!(ada.status(), KycStatus::Expired);
}

#[tokio::test]
async fn a_person_may_be_some_tenants_alone() {
    let desk = AdminDesk::new().await;
    let body = json!({ "slug": "ada", "only_for": ["Globex Wallet"] });
    let ada = desk.post("/persons", &body).await;
    assert_eq!(ada["visible_to"], json!(["Globex Wallet"]));
}

#[tokio::test]
async fn what_changes_at_once_is_one_event() {
    let desk = AdminDesk::new().await;
    let receiver = Receiver::start().await;
    let endpoint = desk
        .post("/webhooks/endpoints", &json!({ "url": receiver.url() }))
        .await;
    assert_eq!(endpoint["tenant"], desk.kyc.tenant().id());
    desk.post("/persons", &json!({ "slug": "ada" })).await;
    let change = json!({ "status": "rejected", "tier": "t0", "aml_clear": false });
    desk.patch("/persons/ada", &change).await;
    let settled = desk.get("/webhooks/settled").await;
    assert_eq!(settled, json!({ "settled": true, "left": [] }));
    let got = receiver.take();
    assert_eq!(got.len(), 1);
    let secret = desk.get("/webhooks/secret").await["secret"].clone();
    assert!(got[0].is_signed(secret.as_str().unwrap()));
    let deliveries = desk.get("/webhooks/deliveries").await;
    assert_eq!(deliveries[0]["outcome"], "answered");
    assert_eq!(deliveries[0]["status"], 204);
    assert_eq!(deliveries[0]["attempt"], 1);
}

#[tokio::test]
async fn deliveries_are_repeated_paused_forgotten_and_ended() {
    let desk = AdminDesk::new().await;
    let receiver = Receiver::start().await;
    let none = json!({});
    assert_eq!(desk.no("POST", "/webhooks/repeat", &none).await.0, 404);
    let body = json!({ "url": receiver.url(), "types": ["test.done"] });
    let endpoint = desk.post("/webhooks/endpoints", &body).await;
    let event = json!({ "type": "test.done", "data": { "n": 1 } });
    let id = desk.post("/webhooks/emit", &event).await["event_id"].clone();
    desk.get("/webhooks/settled").await;
    assert_eq!(desk.post("/webhooks/repeat", &none).await["event_id"], id);
    desk.post("/webhooks/repeat", &json!({ "event_id": id }))
        .await;
    desk.get("/webhooks/settled").await;
    let bodies: Vec<_> = receiver.take().into_iter().map(|got| got.body).collect();
    assert_eq!(bodies, vec![bodies[0].clone(); 3]);

    let path = format!("/webhooks/endpoints/{}", endpoint["id"]);
    let paused = desk.patch(&path, &json!({ "paused": true })).await;
    assert_eq!(paused["paused"], true);
    desk.post("/webhooks/emit", &event).await;
    desk.get("/webhooks/settled").await;
    assert!(receiver.take().is_empty());
    desk.patch(&path, &json!({ "paused": false })).await;
    desk.get("/webhooks/settled").await;
    assert_eq!(receiver.take().len(), 1);

    desk.delete("/webhooks/deliveries").await;
    assert_eq!(desk.get("/webhooks/deliveries").await, json!([]));
    desk.delete(&path).await;
    assert_eq!(desk.get("/webhooks/endpoints").await, json!([]));
    assert_eq!(desk.no("DELETE", &path, &Value::Null).await.0, 404);
    let bad = json!({ "url": "ftp://127.0.0.1/" });
    assert_eq!(desk.no("POST", "/webhooks/endpoints", &bad).await.0, 400);
    let stranger = json!({ "url": receiver.url(), "tenant": "nobody" });
    assert_eq!(
        desk.no("POST", "/webhooks/endpoints", &stranger).await.0,
        404
    );
}

#[tokio::test]
async fn who_waits_in_vain_is_told_for_what() {
    let desk = AdminDesk::new().await;
    let receiver = Receiver::start().await;
    let held = receiver.hold();
    desk.post("/webhooks/endpoints", &json!({ "url": receiver.url() }))
        .await;
    desk.post("/webhooks/emit", &json!({ "type": "a.b", "data": {} }))
        .await;
    let settled = desk.get("/webhooks/settled?timeout_seconds=0").await;
    assert_eq!(settled["settled"], false);
    assert!(settled["left"][0].as_str().unwrap().starts_with("a.b evt_"));
    let no = desk
        .no(
            "GET",
            "/webhooks/settled?timeout_seconds=soon",
            &Value::Null,
        )
        .await;
    assert_eq!(no.0, 400);
    drop(held);
    assert_eq!(desk.get("/webhooks/settled").await["settled"], true);
}

#[tokio::test]
async fn the_webhook_secret_is_replaced() {
    let desk = AdminDesk::new().await;
    let old = desk.kyc.webhooks().secret();
    let new = desk.step("/webhooks/secret/rotate").await["secret"].clone();
    assert_ne!(new, old.as_str());
    assert_eq!(new, desk.kyc.webhooks().secret());
    assert_eq!(desk.get("").await["webhook_secret"], new);
}

#[tokio::test]
async fn a_fault_that_cannot_be_carried_out_is_rejected_when_it_is_set() {
    let desk = AdminDesk::new().await;
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
        assert_eq!(desk.no("POST", "/faults", &fault).await.0, 400, "{fault}");
    }
    let faults = [
        json!({ "oversized_bytes": 3_000_000_000_u64 }),
        json!({ "oversized_bytes": u64::MAX }),
        json!({ "flood": u32::MAX }),
        json!({ "duplicate": u32::MAX }),
    ];
    for fault in faults {
        let fault = json!({ "fault": fault });
        let no = desk.no("POST", "/faults/webhooks", &fault).await;
        assert_eq!(no.0, 400, "{fault}");
        assert!(no.2.ends_with("at most"), "{}", no.2);
    }
    let switch = json!({ "webhook_header": "x\r\ny: z" });
    assert_eq!(desk.no("PATCH", "/switches", &switch).await.0, 400);
    assert_eq!(desk.get("/faults").await, json!([]));
}

#[tokio::test]
async fn a_bomb_of_any_size_leaves_the_mock_serving() {
    let desk = AdminDesk::new().await;
    let mut answers = Vec::new();
    for name in ["gzip_bomb", "huge"] {
        let mut fault = json!({ "endpoint": "jwks", "fault": {}, "times": 1 });
        fault["fault"][name] = u64::MAX.into();
        desk.post("/faults", &fault).await;
        let mut answer = reqwest::get(desk.kyc.url(Endpoint::Jwks)).await.unwrap();
        for _ in 0..100 {
            assert!(answer.chunk().await.unwrap().is_some(), "{name}");
        }
        answers.push(answer);
    }
    // Still under way, and others are answered.
    let url = desk.kyc.discovery_url();
    desk.kyc.browser().fetch(url).await.unwrap().assert_ok();
    drop(answers);
    desk.kyc.stop().unwrap();
}

#[tokio::test]
async fn the_clock_stays_within_the_calendar_and_comes_back() {
    let desk = AdminDesk::new().await;
    for seconds in [u64::MAX, 9_000_000_000_000] {
        let by = json!({ "seconds": seconds });
        let no = desk.no("POST", "/clock/advance", &by).await;
        assert_eq!(no.0, 409);
        assert!(no.2.contains("year 9999"), "{}", no.2);
    }
    desk.kyc.clock().advance(Duration::MAX);
    desk.step("/reset").await;
    let shown = desk.get("/clock").await["unix_ms"].as_i64().unwrap();
    let now = kycport::SystemClock::new().now().as_unix_millis();
    assert!((now - shown).abs() < 10_000, "{shown} {now}");
}

#[tokio::test]
async fn an_array_is_no_object() {
    let desk = AdminDesk::new().await;
    desk.kyc.clock().freeze();
    let before = desk.get("/clock").await;
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
        let no = desk.no(method, path, &body).await;
        assert_eq!((no.0, no.1.as_str()), (400, "invalid_request"), "{body}");
    }
    assert_eq!(desk.get("/clock").await, before);
    assert_eq!(desk.get("/faults").await, json!([]));
    assert!(desk.kyc.find_person("eve").is_none());
    // Where an array belongs, it is taken.
    let retries = json!({ "webhook_retries_seconds": [1, 2] });
    let switches = desk.patch("/switches", &retries).await;
    assert_eq!(switches["webhook_retries_seconds"], json!([1, 2]));
    let data = json!({ "any": [1, { "b": [2] }] });
    let event = json!({ "type": "kyc.other", "data": data });
    desk.post("/webhooks/emit", &event).await;
}

#[tokio::test]
async fn endpoints_go_wrong_as_told() {
    let desk = AdminDesk::new().await;
    let fault = json!({
        "endpoint": "jwks", "fault": { "status": 503 }, "retry_after": 7, "times": 2,
    });
    let fault = desk.post("/faults", &fault).await;
    let url = desk.kyc.url(Endpoint::Jwks);
    for status in [503, 503, 200] {
        let page = desk.kyc.browser().fetch(&url).await.unwrap();
        assert_eq!(page.status(), status);
        assert_eq!(page.header("retry-after"), (status == 503).then_some("7"));
    }
    let path = format!("/faults/{}", fault["id"]);
    let used = desk.get(&path).await;
    assert_eq!((&used["hits"], &used["left"]), (&json!(2), &json!(0)));

    // Without a number it stays until it is deleted, and nobody minds one that was never hit.
    let reset = desk
        .post("/faults", &json!({ "endpoint": "jwks", "fault": "reset" }))
        .await;
    assert_eq!(reset["left"], Value::Null);
    assert!(desk.kyc.browser().fetch(&url).await.is_err());
    desk.delete(&format!("/faults/{}", reset["id"])).await;
    desk.kyc.browser().fetch(&url).await.unwrap().assert_ok();
    for fault in [
        json!("garbage"),
        json!({ "answer": { "status": 200, "content_type": "text/html", "body": "<p>" } }),
        json!("truncate"),
        json!("drop_connection"),
        json!({ "redirect": "http://127.0.0.1:9/" }),
        json!({ "gzip_bomb": 10_000 }),
        json!({ "huge": 10_000 }),
    ] {
        desk.post(
            "/faults",
            &json!({ "endpoint": "jwks", "fault": fault, "times": 1 }),
        )
        .await;
        let page = desk.kyc.browser().fetch(&url).await;
        let is_good = page.is_ok_and(|page| page.status() == 200 && page.body().contains("keys"));
        assert!(!is_good, "{fault}");
    }
    desk.delete("/faults").await;
    assert_eq!(desk.get("/faults").await, json!([]));
    let no = desk
        .no(
            "POST",
            "/faults",
            &json!({ "endpoint": "jwks", "fault": "explode" }),
        )
        .await;
    assert!(no.2.contains("unknown variant `explode`"), "{}", no.2);
    assert_eq!(desk.no("GET", "/faults/1", &Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_fault_may_come_after_the_work() {
    let desk = AdminDesk::new().await;
    let issuer = Desk::with(desk.kyc.clone());
    let fault = json!({
        "endpoint": "token", "fault": { "status": 503 }, "after": true, "times": 1,
    });
    desk.post("/faults", &fault).await;
    let code = issuer.code().await;
    assert_eq!(issuer.token(&issuer.exchange(&code)).await.status(), 503);
    // The code is spent.
    let again = issuer.token(&issuer.exchange(&code)).await;
    assert_eq!(again.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn connections_go_wrong_as_told() {
    let desk = AdminDesk::new().await;
    // Without a number there would be no way back.
    assert_eq!(
        desk.no("POST", "/faults/connections", &json!({ "fault": "close" }))
            .await
            .0,
        400
    );
    desk.post(
        "/faults/connections",
        &json!({ "fault": "close", "times": 1 }),
    )
    .await;
    let url = desk.kyc.discovery_url();
    assert!(desk.kyc.browser().fetch(&url).await.is_err());
    desk.kyc.browser().fetch(&url).await.unwrap().assert_ok();
}

#[tokio::test]
async fn tokens_are_bent_by_name() {
    let desk = AdminDesk::new().await;
    let issuer = Desk::with(desk.kyc.clone());
    let fault = json!({
        "token": "id_token", "tamper": "WrongAudience", "person": "ada", "times": 1,
    });
    let fault = desk.post("/faults/tokens", &fault).await;
    let audience = |page: kycport::mock::Page| {
        let json = page.json();
        payload(json["id_token"].as_str().unwrap())["aud"].clone()
    };
    assert_ne!(audience(issuer.tokens().await), desk.kyc.client().id());
    assert_eq!(audience(issuer.tokens().await), desk.kyc.client().id());
    let used = desk.get(&format!("/faults/{}", fault["id"])).await;
    assert_eq!(used["hits"], 1);
    // Every name is known, and no other.
    for tamper in Tamper::ALL {
        let fault = json!({ "token": "access_token", "tamper": format!("{tamper:?}") });
        desk.post("/faults/tokens", &fault).await;
    }
    let no = desk
        .no(
            "POST",
            "/faults/tokens",
            &json!({ "token": "id_token", "tamper": "Wrong" }),
        )
        .await;
    assert!(no.2.starts_with("`Wrong` is none of AlgNone, "), "{}", no.2);
}

#[tokio::test]
async fn deliveries_go_wrong_as_told() {
    let desk = AdminDesk::new().await;
    let receiver = Receiver::start().await;
    desk.post("/webhooks/endpoints", &json!({ "url": receiver.url() }))
        .await;
    let secret = desk.kyc.webhooks().secret();
    for (fault, count, signed) in [
        (json!({ "tamper": "WrongSecret" }), 1, false),
        (json!({ "tamper": "AlteredByte" }), 1, false),
        (json!({ "duplicate": 2 }), 3, true),
        (json!({ "stale_seconds": 3600 }), 1, true),
        (json!("lose"), 0, true),
    ] {
        desk.post("/faults/webhooks", &json!({ "fault": fault, "times": 1 }))
            .await;
        desk.post("/webhooks/emit", &json!({ "type": "a.b", "data": {} }))
            .await;
        desk.get("/webhooks/settled").await;
        let got = receiver.take();
        assert_eq!(got.len(), count, "{fault}");
        assert!(
            got.iter().all(|it| it.is_signed(&secret) == signed),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn too_many_faults_are_refused() {
    let desk = AdminDesk::new().await;
    let fault = json!({ "endpoint": "health", "fault": "reset", "times": 0 });
    for _ in 0..1000 {
        desk.post("/faults", &fault).await;
    }
    let no = desk.no("POST", "/faults", &fault).await;
    assert_eq!((no.0, no.1.as_str()), (409, "conflict"));
}

#[tokio::test]
async fn keys_change_in_three_steps() {
    let desk = AdminDesk::new().await;
    let served = async || {
        let page = desk.kyc.browser().fetch(desk.kyc.url(Endpoint::Jwks)).await;
        page.unwrap().json()["keys"].as_array().unwrap().len()
    };
    let old = desk.get("/keys").await["active"].clone();
    let keys = desk.step("/keys/publish_next").await;
    let next = keys["published"][1].clone();
    assert_eq!((&keys["active"], served().await), (&old, 2));
    let keys = desk.step("/keys/promote").await;
    assert_eq!((&keys["active"], served().await), (&next, 2));
    let keys = desk.step("/keys/retire_old").await;
    assert_eq!((&keys["published"], served().await), (&json!([next]), 1));
    let keys = desk.step("/keys/rotate").await;
    assert_ne!(keys["active"], next);
    assert_eq!(keys["active"], desk.kyc.keys().active_kid().as_str());
}

#[tokio::test]
async fn the_clock_is_moved() {
    let desk = AdminDesk::new().await;
    let clock = desk.kyc.clock();
    let frozen = desk.step("/clock/freeze").await;
    assert_eq!(frozen["frozen"], true);
    assert_eq!(frozen["unix_ms"], clock.now().as_unix_millis());
    let moved = desk
        .post("/clock/advance", &json!({ "seconds": 3600 }))
        .await;
    let before = frozen["unix_ms"].as_i64().unwrap();
    assert_eq!(moved["unix_ms"], before + 3_600_000);
    let jump = json!({ "to": "2030-01-02T03:04:05.678+01:00" });
    let jumped = desk.post("/clock/jump", &jump).await;
    assert_eq!(jumped["now"], "2030-01-02T02:04:05.678Z");
    let resumed = desk.step("/clock/resume").await;
    assert_eq!(resumed["frozen"], false);
    assert!(
        resumed["now"]
            .as_str()
            .unwrap()
            .starts_with("2030-01-02T02:04:")
    );
    assert_eq!(
        desk.no("POST", "/clock/jump", &json!({ "to": "noon" }))
            .await
            .0,
        400
    );
    assert_eq!(
        desk.no("POST", "/clock/advance", &json!({ "seconds": -1 }))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn cases_are_forced_and_reviewed() {
    let desk = AdminDesk::new().await;
    let case_desk = CaseDesk::with(desk.kyc.clone());
    desk.post("/cases/next_outcome", &json!({ "outcome": "review" }))
        .await;
    let ada = case_desk.person("ada");
    let case = case_desk.open(&ada).await;
    case_desk.upload(&case, &pictures("ada")).await;
    case_desk.decide(&case).await;
    assert_eq!(
        desk.get("/cases").await[0]["status"],
        CaseStatus::Deciding.as_str()
    );
    let path = format!("/cases/{case}/review");
    let reviewed = desk.post(&path, &json!({ "outcome": "approved" })).await;
    assert_eq!(reviewed["outcome"], "approved");
    assert_eq!(reviewed["human_verified"], true);
    assert_eq!(reviewed["files"][0]["part"], "document");
    assert_eq!(ada.status(), KycStatus::Verified);
    // Once.
    let no = desk
        .no("POST", &path, &json!({ "outcome": "rejected" }))
        .await;
    assert_eq!((no.0, no.1.as_str()), (409, "conflict"));
    let nowhere = desk
        .no(
            "POST",
            "/cases/none/review",
            &json!({ "outcome": "rejected" }),
        )
        .await;
    assert_eq!(nowhere.0, 404);
    assert_eq!(desk.get(&format!("/cases/{case}")).await, reviewed);
}

#[tokio::test]
async fn tenants_and_clients_are_created() {
    let desk = AdminDesk::new().await;
    let tenant = json!({
        "id": "Initech", "api_key": "key_initech", "webhook_secret": "hook_initech_0123456789",
    });
    desk.post("/tenants", &tenant).await;
    let changed = desk
        .patch("/tenants/Initech", &json!({ "may_read_status": false }))
        .await;
    assert_eq!(changed["api_key"], "key_initech");
    assert_eq!(changed["may_read_status"], false);
    let ada = desk.kyc.person("ada").create();
    let visit = desk.kyc.browser();
    let visit = visit
        .request(http::Method::GET, desk.kyc.status_url(ada.id()))
        .fetch();
    let page = visit
        .header("authorization", "Bearer key_initech")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 403);
    desk.patch("/tenants/Initech", &json!({ "may_read_status": true }))
        .await;
    assert_eq!(desk.get("/tenants/Initech").await["may_read_status"], true);
    let short = json!({ "id": "Initech", "webhook_secret": "short" });
    assert_eq!(desk.no("POST", "/tenants", &short).await.0, 400);

    let client = json!({
        "name": "Initech App", "id": "initech", "secret": "s3cret", "tenant": "Initech",
        "redirect_uris": ["https://app.initech.test/callback"],
    });
    let client = desk.post("/clients", &client).await;
    assert_eq!(
        (&client["secret"], &client["kind"]),
        (&json!("s3cret"), &json!("confidential"))
    );
    let uri = json!({ "redirect_uri": "http://127.0.0.1:3000/callback" });
    for _ in 0..2 {
        let client = desk.post("/clients/initech/redirect_uris", &uri).await;
        assert_eq!(client["redirect_uris"].as_array().unwrap().len(), 2);
    }
    let plain = json!({ "redirect_uri": "http://app.test/callback" });
    assert_eq!(
        desk.no("POST", "/clients/initech/redirect_uris", &plain)
            .await
            .0,
        400
    );
    let public = json!({ "name": "P", "kind": "public" });
    assert_eq!(desk.post("/clients", &public).await["secret"], Value::Null);
    let both = json!({ "name": "P", "kind": "public", "secret": "s" });
    assert_eq!(desk.no("POST", "/clients", &both).await.0, 400);
    // Nothing of one that cannot be is left.
    let bad = json!({ "name": "Q", "id": "q", "redirect_uris": ["nowhere"] });
    assert_eq!(desk.no("POST", "/clients", &bad).await.0, 400);
    assert_eq!(desk.no("GET", "/clients/q", &Value::Null).await.0, 404);
}

#[tokio::test]
async fn requests_are_told_with_their_refusals() {
    let desk = AdminDesk::new().await;
    let issuer = Desk::with(desk.kyc.clone());
    issuer.token(&issuer.exchange("a-code-nobody-gave")).await;
    issuer
        .browser
        .fetch(desk.kyc.url(Endpoint::Jwks))
        .await
        .unwrap();
    let all = desk.get("/requests?endpoint=token").await;
    let request = &all[0];
    assert_eq!(
        (&request["method"], &request["status"]),
        (&json!("POST"), &json!(400))
    );
    assert_eq!(request["refusal"]["error"], "invalid_grant");
    assert_eq!(request["refusal"]["row"], "K24");
    assert_eq!(request["form"][1], "code");
    let text = desk.get("/requests").await.to_string();
    assert!(
        !text.contains("a-code-nobody-gave") && !text.contains(desk.kyc.client().secret().unwrap())
    );
    let counts = desk.get("/requests/counts").await;
    let of = |name: &str| counts[name].as_u64();
    assert_eq!(
        (of("token"), of("jwks"), of("userinfo")),
        (Some(1), Some(1), Some(0))
    );
    desk.delete("/requests").await;
    assert_eq!(desk.get("/requests").await, json!([]));
    desk.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn every_endpoint_has_a_word() {
    let desk = AdminDesk::new().await;
    let counts = desk.get("/requests/counts").await;
    assert_eq!(counts.as_object().unwrap().len(), Endpoint::ALL.len());
    for (word, endpoint) in [
        ("verify", Endpoint::Verify),
        ("llms_txt", Endpoint::LlmsTxt),
    ] {
        let fault = json!({ "endpoint": word, "fault": { "status": 503 }, "times": 1 });
        desk.post("/faults", &fault).await;
        let answer = reqwest::get(desk.kyc.url(endpoint)).await.unwrap();
        assert_eq!(answer.status(), 503, "{word}");
        let counts = desk.get("/requests/counts").await;
        assert_eq!(counts[word], 1);
        let listed = desk.get(&format!("/requests?endpoint={word}")).await;
        assert_eq!(listed[0]["endpoint"], word);
    }
}

#[tokio::test]
async fn switches_are_read_and_changed() {
    let desk = AdminDesk::new().await;
    let before = desk.get("/switches").await;
    assert_eq!(before["tier_as_number"], false);
    assert_eq!(before["cache_max_age_seconds"], 600);
    let change = json!({
        "tier_as_number": true, "cache_max_age_seconds": null, "webhook_signatures":
        "both_in_one_header", "status_rate_limit": { "requests": 2, "seconds": 60 },
        "api_error_field": "code",
    });
    let after = desk.patch("/switches", &change).await;
    for (name, value) in change.as_object().unwrap() {
        assert_eq!(after[name], *value, "{name}");
    }
    // Only those; and all that is read can be written.
    assert_eq!(after["at_hash"], before["at_hash"]);
    assert_eq!(desk.patch("/switches", &before).await, before);
    let no = desk
        .no("PATCH", "/switches", &json!({ "teir_as_number": true }))
        .await;
    assert!(no.2.contains("unknown field `teir_as_number`"), "{}", no.2);
}

#[tokio::test]
async fn an_environment_is_made() {
    let desk = AdminDesk::new().await;
    let uri = "http://127.0.0.1:3000/callback";
    let made = desk
        .post("/environment", &json!({ "redirect_uri": uri }))
        .await;
    for (name, value) in desk.kyc.environment(uri) {
        assert_eq!(made[name], value, "{name}");
    }
    let public = desk.kyc.public_client().id();
    let body = json!({ "redirect_uri": uri, "client_id": public });
    let made = desk.post("/environment", &body).await;
    assert_eq!(made["KYCPORT_CLIENT_ID"], public);
    assert_eq!(made["KYCPORT_CLIENT_SECRET"], Value::Null);
    let bad = json!({ "redirect_uri": "nowhere" });
    assert_eq!(desk.no("POST", "/environment", &bad).await.0, 400);
    let nobody = json!({ "redirect_uri": uri, "client_id": "nobody" });
    assert_eq!(desk.no("POST", "/environment", &nobody).await.0, 404);
}

#[tokio::test]
async fn browsers_are_signed_out() {
    let desk = AdminDesk::new().await;
    let issuer = Desk::with(desk.kyc.clone());
    issuer.code().await;
    let silent = issuer.authorize_url(&crate::support::and(issuer.request(), "prompt", "none"));
    let back = issuer.browser.open(silent.clone()).await.unwrap();
    assert!(back.header("location").unwrap().contains("code="));
    desk.delete("/sessions").await;
    let back = issuer.browser.open(silent).await.unwrap();
    assert!(back.header("location").unwrap().contains("login_required"));
}

#[tokio::test]
async fn a_reset_goes_back_to_the_start() {
    let desk = AdminDesk::with(
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
            all.push(desk.get(path).await);
        }
        for path in [
            "/webhooks/endpoints",
            "/webhooks/deliveries",
            "/requests",
            "/cases",
        ] {
            all.push(desk.get(path).await);
        }
        all
    };
    let before = start().await;
    let issuer = Desk::with(desk.kyc.clone());
    let access = issuer.tokens().await.json()["access_token"].clone();
    desk.patch("/persons/ada", &json!({ "status": "rejected" }))
        .await;
    desk.post("/clients", &json!({ "name": "New" })).await;
    desk.patch("/switches", &json!({ "acr": false })).await;
    desk.step("/keys/rotate").await;
    desk.step("/webhooks/secret/rotate").await;
    desk.post(
        "/faults",
        &json!({ "endpoint": "health", "fault": "reset" }),
    )
    .await;
    desk.post("/webhooks/endpoints", &json!({ "url": receiver.url() }))
        .await;
    desk.post("/webhooks/emit", &json!({ "type": "a.b", "data": {} }))
        .await;
    desk.step("/clock/freeze").await;
    desk.post("/clock/advance", &json!({ "seconds": 86_400 }))
        .await;
    assert_ne!(start().await, before);

    desk.step("/reset").await;
    assert_eq!(start().await, before);
    let clock = desk.get("/clock").await;
    assert_eq!(clock["frozen"], false);
    let apart = kycport::SystemClock::new()
        .now()
        .since(desk.kyc.clock().now());
    assert!(
        apart < Duration::from_secs(10)
            && desk.kyc.clock().now() <= kycport::SystemClock::new().now()
    );
    // Nothing that was handed out is good.
    let page = issuer.userinfo(access.as_str().unwrap()).await;
    assert_eq!(page.status(), 401);
    assert!(answer(desk.request("GET", "/faults/1")).await.0 == 404);
}
