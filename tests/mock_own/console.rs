//! Tests that the console at `/` controls access, and that each button has an effect.

use std::time::Duration;

use kycport::{
    Clock as _, KycStatus, KycTier, RelyingParty, Timestamp,
    cases::{CaptureFile, Outcome, Upload},
    mock::{Endpoint, MockIssuer, Person, samples},
};
use reqwest::{Client, Response, redirect::Policy};

async fn console() -> (MockIssuer, Person) {
    let kyc = MockIssuer::builder().console().start().await.unwrap();
    let ada = kyc.person("ada").tier(KycTier::T1).create();
    (kyc, ada)
}

fn client() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

async fn get_console(kyc: &MockIssuer) -> String {
    let answer = client().get(kyc.origin()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

async fn send_form(kyc: &MockIssuer, fields: &[(&str, &str)]) -> Response {
    let request = client().post(kyc.origin()).header("origin", kyc.origin());
    request.form(fields).send().await.unwrap()
}

#[tokio::test]
async fn the_console_is_off_by_default() {
    // case 135
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    let answer = client().get(kyc.origin()).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let answer = send_form(&kyc, &[("act", "reject"), ("person", ada.id())]).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(ada.status(), KycStatus::Verified);
}

#[tokio::test]
async fn the_console_shows_the_state_and_no_secret() {
    let (kyc, _) = console().await;
    kyc.person("eve")
        .name("<script>alert('x')</script>")
        .create();
    let app = kyc.serve(|_| axum::Router::new()).await.unwrap();
    kyc.webhooks().subscribe(app.url("/hooks"));
    kyc.find_person("ada").unwrap().reject();
    kyc.webhooks().settled().await;
    let url = format!("{}?code=canary-code", kyc.url(Endpoint::Userinfo));
    client().get(url).send().await.unwrap();

    let page = get_console(&kyc).await;
    for expected_text in [
        "ada@example.test",
        "&lt;script&gt;alert(&#39;x&#39;)",
        "kyc.status_changed",
        "/api/oidc/userinfo/",
        "K35",
        kyc.issuer(),
    ] {
        assert!(page.contains(expected_text), "{expected_text}");
    }
    let secrets = [
        "canary-code".to_owned(),
        kyc.client().secret().unwrap().to_owned(),
        kyc.tenant().api_key().to_owned(),
        kyc.webhooks().secret(),
        "<script".to_owned(),
    ];
    for secret in secrets {
        assert!(!page.contains(&secret), "{secret}");
    }
    // The request log does not contain requests to the console.
    assert_eq!(kyc.all_requests().len(), 1);
}

#[tokio::test]
async fn the_console_accepts_only_its_own_forms() {
    // cases 101, 102, 135: The form comes from a page of another site, or from a host name that
    // resolves to this machine.
    let (kyc, ada) = console().await;
    let reject = [("act", "reject"), ("person", ada.id())];
    let foreign = "https://evil.example";
    let sent = [
        vec![],
        vec![("origin", foreign)],
        vec![("origin", "null")],
        vec![("origin", "null"), ("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-origin")],
        vec![("origin", kyc.origin()), ("sec-fetch-site", "cross-site")],
        vec![("origin", foreign), ("host", "evil.example")],
    ];
    for headers in sent {
        let request = headers
            .iter()
            .fold(client().post(kyc.origin()), |it, (name, value)| {
                it.header(*name, *value)
            });
        let answer = request.form(&reject).send().await.unwrap();
        // Under another host name, the console requires the admin token. A page of another site
        // does not have this token.
        let is_rebound = headers.iter().any(|(name, _)| *name == "host");
        let expected = if is_rebound { 401 } else { 403 };
        assert_eq!(answer.status(), expected, "{headers:?}");
        assert_eq!(ada.status(), KycStatus::Verified);
    }
    let rebound = client().get(kyc.origin()).header("host", "evil.example");
    assert_eq!(rebound.send().await.unwrap().status(), 401);
    let by_name = kyc.origin().replace("127.0.0.1", "localhost");
    assert_eq!(client().get(by_name).send().await.unwrap().status(), 200);

    let answer = send_form(&kyc, &reject).await;
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()["location"], "/");
    assert_eq!(ada.status(), KycStatus::Rejected);
}

#[tokio::test]
async fn a_form_with_a_null_origin_of_the_same_site_is_accepted() {
    let (kyc, ada) = console().await;
    let request = client()
        .post(kyc.origin())
        .header("origin", "null")
        .header("sec-fetch-site", "same-origin");
    let reject = [("act", "reject"), ("person", ada.id())];
    let answer = request.form(&reject).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(ada.status(), KycStatus::Rejected);
}

#[tokio::test]
async fn the_tables_have_names_and_are_reachable_by_keyboard() {
    let (kyc, ada) = console().await;
    let app = kyc.serve(|_| axum::Router::new()).await.unwrap();
    kyc.webhooks().subscribe(app.url("/hooks"));
    ada.reject();
    kyc.webhooks().settled().await;
    let answer = client().get(kyc.origin()).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.contains("img-src data:"), "{policy}");
    let page = answer.text().await.unwrap();
    for table in ["Deliveries", "Requests"] {
        let region = format!("role=\"region\" aria-label=\"{table}\" tabindex=\"0\"");
        assert!(page.contains(&region), "{table}");
    }
    assert!(page.contains("<header class=\"mock\">"));
    assert!(page.contains("<link rel=\"icon\" href=\"data:,\">"));
    assert!(!page.contains("<th></th>"));
}

#[tokio::test]
async fn each_button_has_its_effect() {
    let (kyc, ada) = console().await;
    let id = ("person", ada.id());
    for (act, status) in [
        ("pending", KycStatus::Pending),
        ("reject", KycStatus::Rejected),
        ("expire", KycStatus::Expired),
    ] {
        send_form(&kyc, &[("act", act), id]).await;
        assert_eq!(ada.status(), status);
    }
    send_form(&kyc, &[("act", "verify"), id, ("tier", "t3")]).await;
    assert_eq!(
        (ada.status(), ada.tier()),
        (KycStatus::Verified, KycTier::T3)
    );
    send_form(&kyc, &[("act", "aml"), id]).await;
    assert!(get_console(&kyc).await.contains("AML clear"));

    send_form(
        &kyc,
        &[("act", "create"), ("slug", "grace"), ("tier", "t0")],
    )
    .await;
    let grace = kyc.find_person("grace").unwrap();
    assert_eq!(grace.status(), KycStatus::Unverified);

    let kid = kyc.keys().active_kid();
    send_form(&kyc, &[("act", "rotate")]).await;
    assert_ne!(kyc.keys().active_kid(), kid);

    kyc.clock().freeze();
    let before: Timestamp = kyc.clock().now();
    send_form(&kyc, &[("act", "clock"), ("hours", "24")]).await;
    assert_eq!(kyc.clock().now().since(before), Duration::from_secs(86_400));
    // The form contains values that no button sends.
    for fields in [
        &[("act", "verify"), id, ("tier", "t9")][..],
        &[("act", "verify"), ("person", "nobody"), ("tier", "t1")],
        &[("act", "clock"), ("hours", "18446744073709551615")],
        &[("act", "clock"), ("hours", "-1")],
        &[("act", "create"), ("slug", "a b"), ("tier", "t1")],
        &[("act", "create"), ("slug", "b"), ("tier", "t9")],
        &[("act", "review"), ("case", "x"), ("outcome", "review")],
        &[("act", "unheard-of")],
        &[],
    ] {
        let answer = send_form(&kyc, fields).await;
        assert_eq!(answer.status(), 400, "{fields:?}");
    }
    assert_eq!(kyc.clock().now().since(before), Duration::from_secs(86_400));
}

#[tokio::test]
async fn a_case_is_reviewed_and_a_delivery_repeated_in_the_console() {
    let (kyc, ada) = console().await;
    let app = kyc.serve(|_| axum::Router::new().fallback(|| async {}));
    let app = app.await.unwrap();
    kyc.webhooks().subscribe(app.url("/hooks"));
    let config = kyc.config("https://app.example.com/auth/callback");
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap().id;
    let [document, selfie] = [samples::document("ada"), samples::selfie("ada")];
    let upload = Upload::new(CaptureFile::bytes(document), CaptureFile::bytes(selfie));
    party.cases().upload(&case, upload).await.unwrap();
    kyc.cases().next_outcome(Outcome::Review);
    party.cases().decide(&case).await.unwrap();
    assert!(get_console(&kyc).await.contains("Approve"));
    send_form(
        &kyc,
        &[("act", "review"), ("case", &case), ("outcome", "rejected")],
    )
    .await;
    assert_eq!(ada.status(), KycStatus::Rejected);
    kyc.webhooks().settled().await;

    let before = kyc.webhooks().deliveries();
    let id = before.last().unwrap().event_id();
    let tenant = kyc.tenant().id();
    send_form(
        &kyc,
        &[("act", "repeat"), ("tenant", tenant), ("delivery", id)],
    )
    .await;
    kyc.webhooks().settled().await;
    kyc.webhooks().deliveries().assert_count(before.count() + 1);
}
