//! Tests that the admin API controls access, returns clear errors and publishes its OpenAPI
//! document.

use kycport::mock::{MockIssuer, RemoteMock};
use serde_json::{Value, json};

use crate::admin_desk::{AdminClient, answer, with};

#[tokio::test]
async fn the_admin_api_is_off_by_default() {
    let admin = AdminClient::with(MockIssuer::start().await);
    let (status, _) = answer(admin.request("GET", "")).await;
    assert_eq!(status, 404);
    assert_eq!(admin.kyc.admin_url(), None);
    assert_eq!(admin.kyc.all_requests().len(), 1);
}

#[tokio::test]
async fn a_path_with_the_prefix_of_the_admin_api_belongs_to_the_issuer() {
    let admin = AdminClient::new().await;
    let (status, _) = answer(admin.request("GET", "s/persons")).await;
    assert_eq!((status, admin.kyc.all_requests().len()), (404, 1));
}

#[tokio::test]
async fn only_loopback_hosts_are_accepted() {
    let admin = AdminClient::new().await;
    let (_, port) = admin.kyc.origin().rsplit_once(':').unwrap();
    for host in ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "[::1]"] {
        for host in [
            host.to_owned(),
            format!("{host}:{port}"),
            format!("{host}:1"),
        ] {
            let request = admin.request("GET", "").header("host", &host);
            assert_eq!(answer(request).await.0, 200, "{host}");
        }
    }
    // A page whose host name resolves to this machine sends these `Host` headers (DNS rebinding).
    for host in [
        "evil.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "127.0.0.1@evil.test",
        "10.0.0.1",
        "0.0.0.0",
        "",
        "a b",
    ] {
        let request = admin.request("GET", "").header("host", host);
        let (status, error) = answer(request).await;
        assert_eq!(
            (status, &error["error"]),
            (403, &json!("foreign_host")),
            "{host}"
        );
    }
}

#[tokio::test]
async fn with_a_public_url_every_client_needs_the_admin_token() {
    let builder = MockIssuer::builder().admin().admin_token("let-me-in");
    let builder = builder.public_origin("http://kyc.test:9710");
    let admin = AdminClient::with(builder.start().await.unwrap());
    assert_eq!(admin.kyc.origin(), "http://kyc.test:9710");
    assert_eq!(admin.kyc.admin_token(), Some("let-me-in"));
    // The test connects to the IP address, because the public name does not resolve on this
    // machine. Behind a proxy, a remote client can send `localhost` as `Host`.
    let origin = format!("http://127.0.0.1:{}", listening_port(&admin.kyc));
    let get = |path: &str, host: &'static str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(format!("{origin}{path}")).header("host", host)
    };
    for host in ["kyc.test:9710", "localhost", "127.0.0.1", "other.test"] {
        let (status, error) = answer(get("/__mock", host)).await;
        assert_eq!((status, &error["error"]), (403, &json!("foreign_host")));
        for wrong in ["", "let-me-i", "let-me-inn"] {
            let request = get("/__mock", host).bearer_auth(wrong);
            assert_eq!(answer(request).await.0, 403, "{wrong}");
        }
        let request = get("/__mock", host).bearer_auth("let-me-in");
        let (_, overview) = answer(request).await;
        assert_eq!(overview["admin_url"], "http://kyc.test:9710/__mock");
        // The console accepts the admin token too.
        let closed = get("/", host).send().await.unwrap();
        assert_eq!(closed.status(), 401);
        let challenge = &closed.headers()["www-authenticate"];
        assert!(challenge.to_str().unwrap().starts_with("Basic "));
        let request = get("/", host).basic_auth("anyone", Some("let-me-in"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    // A client in Rust passes the token in the URL.
    let with_token = origin.replace("http://", "http://:let-me-in@");
    let remote = RemoteMock::connect(&with_token).await.unwrap();
    remote.person("ada").create().await.unwrap();
    remote.end().await.unwrap();
    let refused = RemoteMock::connect_shared(&origin).await.unwrap_err();
    assert!(refused.to_string().contains("admin token"), "{refused}");
}

#[tokio::test]
async fn a_remote_client_with_a_local_host_header_is_rejected() {
    // The test needs an address of this machine that other machines can reach. Without a network,
    // the machine has only loopback addresses.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    if probe.connect("192.0.2.1:9").is_err() {
        return;
    }
    let own = probe.local_addr().unwrap().ip();
    let builder = MockIssuer::builder().admin();
    let builder = builder.danger_bind_any("0.0.0.0:0".parse().unwrap());
    let kyc = builder.start().await.unwrap();
    let port = listening_port(&kyc);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |ip: std::net::IpAddr, path: &str| {
        let url = format!("http://{ip}:{port}{path}");
        client.get(url).header("host", "localhost")
    };
    let local = "127.0.0.1".parse().unwrap();
    assert_eq!(answer(ask(local, "/__mock")).await.0, 200);
    if own.is_loopback() {
        return;
    }
    assert_eq!(answer(ask(own, "/__mock")).await.0, 403);
    assert_eq!(ask(own, "/").send().await.unwrap().status(), 401);
    let token = kyc.admin_token().unwrap();
    let request = ask(own, "/__mock").bearer_auth(token);
    assert_eq!(answer(request).await.0, 200);
}

#[tokio::test]
async fn webhooks_to_other_machines_must_be_enabled() {
    let there = json!({ "url": "http://192.0.2.1/hooks" });
    let admin = AdminClient::new().await;
    let error = admin.rejection("POST", "/webhooks/endpoints", &there).await;
    assert_eq!((error.0, error.1.as_str()), (403, "foreign_webhook"));
    assert!(
        error.2.contains("--danger-webhooks-anywhere"),
        "{}",
        error.2
    );
    let builder = MockIssuer::builder().admin().danger_webhooks_anywhere();
    let admin = AdminClient::with(builder.start().await.unwrap());
    admin.post("/webhooks/endpoints", &there).await;
}

/// Returns the listening port, which differs from the port of the public URL.
fn listening_port(kyc: &MockIssuer) -> u16 {
    kyc.address().port()
}

#[tokio::test]
async fn a_cross_site_request_is_rejected() {
    let admin = AdminClient::new().await;
    let own = admin.kyc.origin().to_owned();
    let person = json!({ "slug": "eve" });
    let create = || with(admin.request("POST", "/persons"), &person);
    for origin in [
        "http://evil.test",
        "http://127.0.0.1:1",
        "null",
        "",
        "http://evil.test:80",
    ] {
        let (status, error) = answer(create().header("origin", origin)).await;
        assert_eq!(
            (status, &error["error"]),
            (403, &json!("foreign_origin")),
            "{origin}"
        );
    }
    for site in ["cross-site", "same-site"] {
        let request = admin.request("GET", "").header("sec-fetch-site", site);
        assert_eq!(answer(request).await.0, 403, "{site}");
    }
    assert!(admin.kyc.find_person("eve").is_none());
    // The admin API accepts requests from the mock's own pages.
    let request = create().header("origin", &own);
    let request = request.header("sec-fetch-site", "same-origin");
    assert_eq!(answer(request).await.0, 201);
    let typed = admin.request("GET", "").header("sec-fetch-site", "none");
    assert_eq!(answer(typed).await.0, 200);
}

#[tokio::test]
async fn all_errors_have_the_same_format() {
    let admin = AdminClient::new().await;
    let none = Value::Null;
    let error = admin.rejection("GET", "/nothing", &none).await;
    assert_eq!((error.0, error.1.as_str()), (404, "not_found"));
    let error = admin.rejection("GET", "/persons/unknown", &none).await;
    assert_eq!(
        error,
        (404, "not_found".into(), "this person does not exist".into())
    );
    assert_eq!(admin.rejection("GET", "/persons/%ff", &none).await.0, 404);
    let error = admin.rejection("PUT", "/persons", &none).await;
    assert_eq!((error.0, error.1.as_str()), (405, "method_not_allowed"));
    let put = admin.request("PUT", "/persons").send().await.unwrap();
    assert_eq!(put.headers()["allow"], "GET, POST");
    // The error message lists the unknown field and the known fields.
    let error = admin
        .rejection("POST", "/persons", &json!({ "slug": "a", "teir": "t2" }))
        .await;
    assert_eq!(error.0, 400);
    assert!(
        error
            .2
            .starts_with("unknown field `teir`, expected one of `slug`"),
        "{}",
        error.2
    );
    let error = admin
        .rejection("POST", "/persons", &json!({ "slug": "a", "tier": "t9" }))
        .await;
    assert!(
        error
            .2
            .contains("unknown variant `t9`, expected one of `t0`"),
        "{}",
        error.2
    );
    assert_eq!(admin.rejection("POST", "/persons", &json!({})).await.0, 400);
    assert_eq!(
        admin
            .rejection("POST", "/persons", &json!({ "slug": "" }))
            .await
            .0,
        400
    );
    assert_eq!(admin.rejection("POST", "/persons", &json!([])).await.0, 400);
    assert_eq!(
        admin
            .rejection("GET", "/requests?endpiont=jwks", &none)
            .await
            .0,
        400
    );
    assert_eq!(
        admin
            .rejection("GET", "/requests?endpoint=jwks&endpoint=jwks", &none)
            .await
            .0,
        400
    );
    assert_eq!(
        admin
            .rejection("POST", "/reset", &json!({ "all": true }))
            .await
            .0,
        400
    );
    let broken = admin
        .request("POST", "/persons")
        .header("content-type", "application/json");
    assert_eq!(answer(broken.body("{\"slug\":")).await.0, 400);
    // A page of another site can send a form without CORS, but cannot send JSON.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let request = admin
            .request("POST", "/persons")
            .header("content-type", kind);
        assert_eq!(
            answer(request.body("{\"slug\":\"a\"}")).await.0,
            415,
            "{kind}"
        );
    }
    let untyped = admin.request("POST", "/persons").body("{\"slug\":\"a\"}");
    assert_eq!(answer(untyped).await.0, 415);
    let large = json!({ "slug": "a".repeat(1024 * 1024) });
    assert_eq!(admin.rejection("POST", "/persons", &large).await.0, 413);
    assert!(admin.kyc.find_person("a").is_none());
}

#[tokio::test]
async fn the_openapi_document_matches_the_served_api() {
    let admin = AdminClient::new().await;
    let document = admin.get("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let mut names = Vec::new();
    for (path, operations) in paths {
        let below = path.strip_prefix("/__mock").unwrap();
        let below = match below.split_once('{') {
            Some((before, rest)) => format!("{before}x{}", rest.split_once('}').unwrap().1),
            None => below.to_owned(),
        };
        for method in methods {
            let operation = &operations[method.to_lowercase()];
            // Send an invalid body. The request then has no effect.
            let request = if matches!(method, "GET" | "DELETE") {
                admin.request(method, &format!("{below}?unknown-field"))
            } else {
                with(
                    admin.request(method, &below),
                    &json!({ "unknown-field": 1 }),
                )
            };
            let (status, body) = answer(request).await;
            let expected = if operation.is_null() { 405 } else { 400 };
            assert_eq!(status, expected, "{method} {path} {body}");
            if !operation.is_null() {
                names.push(operation["operationId"].as_str().unwrap().to_owned());
                assert!(operation["summary"].is_string());
            }
        }
    }
    let count = names.len();
    assert!(count > 50, "{count}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in references(&document) {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(schemas.contains_key(name), "{reference}");
    }
    // The OpenAPI document describes path parameters and query parameters.
    let person = &paths["/__mock/persons/{person}"]["get"]["parameters"][0];
    assert_eq!(
        (&person["name"], &person["in"]),
        (&json!("person"), &json!("path"))
    );
    let settled = &paths["/__mock/webhooks/settled"]["get"]["parameters"];
    assert_eq!(settled.as_array().unwrap().len(), 2);
    let body = &paths["/__mock/persons"]["post"]["requestBody"];
    assert_eq!(body["required"], true);
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            let below = members.values().flat_map(references);
            own.map(str::to_owned).into_iter().chain(below).collect()
        }
        Value::Array(all) => all.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn admin_requests_are_not_in_the_request_log() {
    let admin = AdminClient::new().await;
    admin.get("/persons").await;
    admin.rejection("GET", "/nothing", &Value::Null).await;
    assert!(admin.kyc.all_requests().is_empty());
}

#[tokio::test]
async fn the_admin_api_and_its_faults_work_after_a_restart() {
    let admin = AdminClient::new().await;
    let fault = json!({ "endpoint": "jwks", "fault": "reset" });
    admin.post("/faults", &fault).await;
    admin.kyc.stop().unwrap();
    admin.kyc.restart().unwrap();
    assert_eq!(admin.get("/faults").await[0]["name"], "Jwks.reset");
}
