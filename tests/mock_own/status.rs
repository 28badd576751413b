//! Tests that the status endpoint checks the tenant and limits the rate of requests.

use std::time::Duration;

use http::Method;
use kycport::{
    KycStatus, KycTier,
    mock::{Endpoint, MockIssuer, Page, Tenant},
};
use serde_json::{Value, json};

use crate::support::{TestIssuer, payload, set};

async fn ask(kyc: &MockIssuer, url: &str, authorization: &[&str]) -> Page {
    let browser = kyc.browser();
    let mut visit = browser.request(Method::GET, url).fetch();
    for value in authorization {
        visit = visit.header("authorization", value);
    }
    visit.send().await.unwrap()
}

async fn status(kyc: &MockIssuer, tenant: &Tenant, person_id: &str) -> Page {
    let bearer = format!("Bearer {}", tenant.api_key());
    ask(kyc, &kyc.status_url(person_id), &[&bearer]).await
}

fn status_and_json(page: &Page) -> (u16, Value) {
    (page.status(), page.json())
}

// K40, K43
#[tokio::test]
async fn only_a_tenant_with_its_key_reads_a_status() {
    let issuer = TestIssuer::new().await;
    let kyc = &issuer.kyc;
    let key = kyc.tenant().api_key();
    let bearer = format!("Bearer {key}");
    let (own, twice) = ([bearer.as_str()], [bearer.as_str(); 2]);
    let bare = [key];
    let id = issuer.ada.id();
    let good = format!("/api/v1/kyc/{id}/status/");
    let escaped = format!("/api/v1/kyc/%70{}/status/", &id[1..]);
    let person = || json!({ "kyc_status": "verified", "kyc_tier": "t2", "aml_clear": true });
    let error = |error: &str| json!({ "error": error });
    let why = "unknown path; API paths end with a slash (K4)";
    let missing = json!({ "error": "not_found", "error_description": why });
    let table: Vec<(&str, &str, &[&str], u16, Value)> = vec![
        ("good", &good, &own, 200, person()),
        ("an escaped letter", &escaped, &own, 200, person()),
        ("no key", &good, &[], 401, error("invalid_api_key")),
        (
            "an empty key",
            &good,
            &["Bearer "],
            401,
            error("invalid_api_key"),
        ),
        ("no scheme", &good, &bare, 401, error("invalid_api_key")),
        (
            "another scheme",
            &good,
            &["Basic YTpi"],
            401,
            error("invalid_api_key"),
        ),
        (
            "unknown key",
            &good,
            &["Bearer key_nobody"],
            401,
            error("invalid_api_key"),
        ),
        ("two headers", &good, &twice, 401, error("invalid_api_key")),
        (
            "a slug instead of an ID",
            "/api/v1/kyc/ada/status/",
            &own,
            404,
            error("person_not_found"),
        ),
        (
            "an escaped slash",
            "/api/v1/kyc/a%2Fb/status/",
            &own,
            404,
            error("person_not_found"),
        ),
        (
            "a broken escape",
            "/api/v1/kyc/%ff/status/",
            &own,
            404,
            error("person_not_found"),
        ),
        // The response to a path outside `/api/` is an HTML page without an error code.
        (
            "no slash",
            good.trim_end_matches('/'),
            &own,
            404,
            missing.clone(),
        ),
        (
            "an empty ID",
            "/api/v1/kyc//status/",
            &own,
            404,
            missing.clone(),
        ),
        (
            "two segments",
            "/api/v1/kyc/a/b/status/",
            &own,
            404,
            missing.clone(),
        ),
    ];
    for (what, path, authorization, code, body) in table {
        let page = ask(kyc, &format!("{}{path}", kyc.origin()), authorization).await;
        assert_eq!(status_and_json(&page), (code, body), "{what}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(
            page.header("www-authenticate").is_some(),
            code == 401,
            "{what}"
        );
    }
    kyc.requests(Endpoint::Status).assert_count(11);
}

// K40, K47
#[tokio::test]
async fn a_status_is_read_by_get_and_head_only() {
    let issuer = TestIssuer::new().await;
    let kyc = &issuer.kyc;
    let (id, key) = (issuer.ada.id(), kyc.tenant().api_key());
    let bearer = format!("Bearer {key}");
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let visit = issuer.browser.request(method, kyc.status_url(id));
        let page = visit.header("authorization", &bearer).send().await.unwrap();
        assert_eq!(page.status(), 405);
        assert_eq!(page.header("allow"), Some("GET, HEAD"));
    }
    // See RFC 9110 section 9.3.2.
    let visit = issuer.browser.request(Method::HEAD, kyc.status_url(id));
    let head = visit.header("authorization", &bearer).send().await.unwrap();
    assert_eq!((head.status(), head.body()), (200, ""));
    assert!(!format!("{:?}", kyc.tenant()).contains(key));
    let health = issuer
        .browser
        .fetch(kyc.url(Endpoint::Health))
        .await
        .unwrap();
    assert_eq!(status_and_json(&health), (200, json!({ "status": "ok" })));
}

// K46
#[tokio::test]
async fn a_tenant_sees_its_own_persons_and_persons_who_signed_in() {
    let issuer = TestIssuer::new().await;
    let kyc = &issuer.kyc;
    let (acme, globex) = (kyc.tenant(), kyc.other_tenant());
    assert_ne!((acme.id(), acme.api_key()), (globex.id(), globex.api_key()));
    let bob = kyc.person("bob").only_for(acme).create();
    let seen = async |tenant| status(kyc, tenant, bob.id()).await.status();
    assert_eq!((seen(acme).await, seen(globex).await), (200, 404));
    status(kyc, globex, issuer.ada.id()).await.assert_ok();

    let request = set(issuer.request(), "client_id", kyc.public_client().id());
    let login = issuer.authorize_url(&request);
    issuer.browser.deny(&login, &bob).await.unwrap_err();
    assert_eq!(seen(globex).await, 404);
    issuer.browser.start_sign_in(&login, &bob).await.unwrap();
    assert_eq!(seen(globex).await, 200);

    let third = kyc.tenant_of(&kyc.add_client("Initech").create());
    assert_eq!(seen(&third).await, 404);
    third.revoke_status_right();
    let refused = status(kyc, &third, bob.id()).await;
    assert_eq!(
        status_and_json(&refused),
        (403, json!({ "error": "forbidden" }))
    );
    third.grant_status_right();
    assert_eq!(seen(&third).await, 404);
}

// K43, K47
#[tokio::test]
async fn each_tenant_is_rate_limited_by_the_issuers_clock() {
    let issuer = TestIssuer::new().await;
    let kyc = &issuer.kyc;
    let id = issuer.ada.id();
    kyc.clock().freeze();
    kyc.switch(|switches| switches.status_rate_limit = Some((2, Duration::from_secs(10))));
    let ask = async |tenant| status(kyc, tenant, id).await;
    for _ in 0..2 {
        ask(kyc.tenant()).await.assert_ok();
    }
    kyc.clock().advance(Duration::from_millis(7500));
    let refused = ask(kyc.tenant()).await;
    assert_eq!(
        status_and_json(&refused),
        (429, json!({ "error": "rate_limited" }))
    );
    assert_eq!(refused.header("retry-after"), Some("3"));
    ask(kyc.other_tenant()).await.assert_ok();
    kyc.clock().advance(Duration::from_secs(3));
    ask(kyc.tenant()).await.assert_ok();

    let fault = kyc.on(Endpoint::Status).fail(429).retry_after(2).once();
    let refused = ask(kyc.tenant()).await;
    assert_eq!(
        status_and_json(&refused),
        (429, json!({ "error": "rate_limited" }))
    );
    assert_eq!(refused.header("retry-after"), Some("2"));
    fault.assert_hit();
}

#[tokio::test]
async fn responses_can_be_edited() {
    let issuer = TestIssuer::new().await;
    let kyc = &issuer.kyc;
    let bob = kyc.person("bob").tier(KycTier::T3).aml_unknown().create();
    let ask = async || status(kyc, kyc.tenant(), issuer.ada.id()).await;

    let other = kyc.answer_status_of(&bob).once();
    let bobs = json!({ "kyc_status": "verified", "kyc_tier": "t3", "person_id": bob.id() });
    assert_eq!(status_and_json(&ask().await), (200, bobs));
    let unknown = kyc.edit_status(|body| body["kyc_status"] = "under_the_sea".into());
    let unknown = unknown.once();
    assert_eq!(ask().await.json()["kyc_status"], "under_the_sea");
    let missing = kyc.edit_status(|body| *body = json!({})).once();
    assert_eq!(status_and_json(&ask().await), (200, json!({})));
    let html = kyc
        .on(Endpoint::Status)
        .answer(200, "text/html", "<h1>Oops</h1>");
    let html = html.once();
    assert_eq!(ask().await.body(), "<h1>Oops</h1>");
    for fault in [other, unknown, missing, html] {
        fault.assert_hit();
    }
    kyc.switch(|switches| {
        switches.tier_as_number = true;
        switches.status_person_id = true;
        switches.api_error_field = "detail";
    });
    let page = ask().await;
    assert_eq!(page.json()["kyc_tier"], 2);
    assert_eq!(page.json()["person_id"], issuer.ada.id());
    let unknown_person = status(kyc, kyc.tenant(), "unknown person/?").await;
    assert_eq!(
        status_and_json(&unknown_person),
        (404, json!({ "detail": "person_not_found" }))
    );
}

// K33, K41, K48
#[tokio::test]
async fn a_change_is_visible_immediately_and_an_expiry_at_its_time() {
    let issuer = TestIssuer::new().await;
    let (kyc, ada) = (&issuer.kyc, &issuer.ada);
    kyc.clock().freeze();
    let now = async || status(kyc, kyc.tenant(), ada.id()).await.json()["kyc_status"].clone();
    ada.set_status(KycStatus::Pending);
    assert_eq!(now().await, "pending");
    ada.reject();
    assert_eq!(now().await, "rejected");
    ada.verify(KycTier::T3);
    assert_eq!(now().await, "verified");
    assert_eq!(ada.tier(), KycTier::T3);

    ada.expires_in(Duration::from_secs(120));
    kyc.clock().advance(Duration::from_secs(119));
    assert_eq!(now().await, "verified");
    let tokens = issuer.tokens().await.json();
    kyc.clock().advance(Duration::from_secs(1));
    assert_eq!(now().await, "expired");
    assert_eq!(ada.status(), KycStatus::Expired);
    let access_token = tokens["access_token"].as_str().unwrap();
    let userinfo = issuer.userinfo(access_token).await.json();
    assert_eq!(userinfo["kyc_status"], "expired");
    let tokens = issuer.tokens().await.json();
    let claims = payload(tokens["id_token"].as_str().unwrap());
    assert_eq!(claims["kyc_status"], "expired");
    ada.verify(KycTier::T2);
    kyc.clock().advance(Duration::from_secs(3600));
    assert_eq!(now().await, "verified");
}
