//! The admin API as a whole: who may ask, how it says no, and what its document says.

use kycport::mock::{MockIssuer, RemoteMock};
use serde_json::{Value, json};

use crate::admin_desk::{AdminDesk, answer, with};

#[tokio::test]
async fn it_is_not_there_unless_asked_for() {
    let desk = AdminDesk::with(MockIssuer::start().await);
    let (status, _) = answer(desk.request("GET", "")).await;
    assert_eq!(status, 404);
    assert_eq!(desk.kyc.admin_url(), None);
    assert_eq!(desk.kyc.all_requests().len(), 1);
}

#[tokio::test]
async fn what_begins_like_it_is_the_issuers() {
    let desk = AdminDesk::new().await;
    let (status, _) = answer(desk.request("GET", "s/persons")).await;
    assert_eq!((status, desk.kyc.all_requests().len()), (404, 1));
}

#[tokio::test]
async fn only_this_machine_is_answered() {
    let desk = AdminDesk::new().await;
    let (_, port) = desk.kyc.origin().rsplit_once(':').unwrap();
    for host in ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "[::1]"] {
        for host in [
            host.to_owned(),
            format!("{host}:{port}"),
            format!("{host}:1"),
        ] {
            let request = desk.request("GET", "").header("host", &host);
            assert_eq!(answer(request).await.0, 200, "{host}");
        }
    }
    // What a page of another name, pointed here, sends (DNS rebinding).
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
        let request = desk.request("GET", "").header("host", host);
        let (status, no) = answer(request).await;
        assert_eq!(
            (status, &no["error"]),
            (403, &json!("foreign_host")),
            "{host}"
        );
    }
}

#[tokio::test]
async fn behind_a_public_url_everybody_shows_the_token() {
    let builder = MockIssuer::builder().admin().admin_token("let-me-in");
    let builder = builder.public_origin("http://kyc.test:9710");
    let desk = AdminDesk::with(builder.start().await.unwrap());
    assert_eq!(desk.kyc.origin(), "http://kyc.test:9710");
    assert_eq!(desk.kyc.admin_token(), Some("let-me-in"));
    // Reached by its own address, for nobody knows that name here. A proxy that sends `localhost`
    // as `Host` makes others look like this machine.
    let origin = format!("http://127.0.0.1:{}", listening_port(&desk.kyc));
    let get = |path: &str, host: &'static str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(format!("{origin}{path}")).header("host", host)
    };
    for host in ["kyc.test:9710", "localhost", "127.0.0.1", "other.test"] {
        let (status, no) = answer(get("/__mock", host)).await;
        assert_eq!((status, &no["error"]), (403, &json!("foreign_host")));
        for wrong in ["", "let-me-i", "let-me-inn"] {
            let request = get("/__mock", host).bearer_auth(wrong);
            assert_eq!(answer(request).await.0, 403, "{wrong}");
        }
        let request = get("/__mock", host).bearer_auth("let-me-in");
        let (_, overview) = answer(request).await;
        assert_eq!(overview["admin_url"], "http://kyc.test:9710/__mock");
        // The console is another way to do the same.
        let closed = get("/", host).send().await.unwrap();
        assert_eq!(closed.status(), 401);
        let challenge = &closed.headers()["www-authenticate"];
        assert!(challenge.to_str().unwrap().starts_with("Basic "));
        let request = get("/", host).basic_auth("anyone", Some("let-me-in"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    // From Rust, the URL carries it.
    let with_token = origin.replace("http://", "http://:let-me-in@");
    let remote = RemoteMock::connect(&with_token).await.unwrap();
    remote.person("ada").create().await.unwrap();
    remote.end().await.unwrap();
    let refused = RemoteMock::connect_shared(&origin).await.unwrap_err();
    assert!(refused.to_string().contains("admin token"), "{refused}");
}

#[tokio::test]
async fn another_machine_is_not_believed_its_host() {
    // An address of this machine that others reach too. Without a network there is none.
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
async fn webhooks_leave_this_machine_only_if_allowed() {
    let there = json!({ "url": "http://192.0.2.1/hooks" });
    let desk = AdminDesk::new().await;
    let no = desk.no("POST", "/webhooks/endpoints", &there).await;
    assert_eq!((no.0, no.1.as_str()), (403, "foreign_webhook"));
    assert!(no.2.contains("--danger-webhooks-anywhere"), "{}", no.2);
    let builder = MockIssuer::builder().admin().danger_webhooks_anywhere();
    let desk = AdminDesk::with(builder.start().await.unwrap());
    desk.post("/webhooks/endpoints", &there).await;
}

/// Where it listens, whatever it says of itself.
fn listening_port(kyc: &MockIssuer) -> u16 {
    kyc.address().port()
}

#[tokio::test]
async fn no_page_of_another_site_drives_it() {
    let desk = AdminDesk::new().await;
    let own = desk.kyc.origin().to_owned();
    let person = json!({ "slug": "eve" });
    let create = || with(desk.request("POST", "/persons"), &person);
    for origin in [
        "http://evil.test",
        "http://127.0.0.1:1",
        "null",
        "",
        "http://evil.test:80",
    ] {
        let (status, no) = answer(create().header("origin", origin)).await;
        assert_eq!(
            (status, &no["error"]),
            (403, &json!("foreign_origin")),
            "{origin}"
        );
    }
    for site in ["cross-site", "same-site"] {
        let request = desk.request("GET", "").header("sec-fetch-site", site);
        assert_eq!(answer(request).await.0, 403, "{site}");
    }
    assert!(desk.kyc.find_person("eve").is_none());
    // The mock's own pages may.
    let request = create().header("origin", &own);
    let request = request.header("sec-fetch-site", "same-origin");
    assert_eq!(answer(request).await.0, 201);
    let typed = desk.request("GET", "").header("sec-fetch-site", "none");
    assert_eq!(answer(typed).await.0, 200);
}

#[tokio::test]
async fn a_no_has_one_shape() {
    let desk = AdminDesk::new().await;
    let none = Value::Null;
    let no = desk.no("GET", "/nothing", &none).await;
    assert_eq!((no.0, no.1.as_str()), (404, "not_found"));
    let no = desk.no("GET", "/persons/nobody", &none).await;
    assert_eq!(
        no,
        (
            404,
            "not_found".into(),
            "there is no such person here".into()
        )
    );
    assert_eq!(desk.no("GET", "/persons/%ff", &none).await.0, 404);
    let no = desk.no("PUT", "/persons", &none).await;
    assert_eq!((no.0, no.1.as_str()), (405, "method_not_allowed"));
    let put = desk.request("PUT", "/persons").send().await.unwrap();
    assert_eq!(put.headers()["allow"], "GET, POST");
    // What is not known is named, with what is.
    let no = desk
        .no("POST", "/persons", &json!({ "slug": "a", "teir": "t2" }))
        .await;
    assert_eq!(no.0, 400);
    assert!(
        no.2.starts_with("unknown field `teir`, expected one of `slug`"),
        "{}",
        no.2
    );
    let no = desk
        .no("POST", "/persons", &json!({ "slug": "a", "tier": "t9" }))
        .await;
    assert!(
        no.2.contains("unknown variant `t9`, expected one of `t0`"),
        "{}",
        no.2
    );
    assert_eq!(desk.no("POST", "/persons", &json!({})).await.0, 400);
    assert_eq!(
        desk.no("POST", "/persons", &json!({ "slug": "" })).await.0,
        400
    );
    assert_eq!(desk.no("POST", "/persons", &json!([])).await.0, 400);
    assert_eq!(
        desk.no("GET", "/requests?endpiont=jwks", &none).await.0,
        400
    );
    assert_eq!(
        desk.no("GET", "/requests?endpoint=jwks&endpoint=jwks", &none)
            .await
            .0,
        400
    );
    assert_eq!(
        desk.no("POST", "/reset", &json!({ "all": true })).await.0,
        400
    );
    let broken = desk
        .request("POST", "/persons")
        .header("content-type", "application/json");
    assert_eq!(answer(broken.body("{\"slug\":")).await.0, 400);
    // A form needs no leave to be sent across sites; JSON does.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let request = desk
            .request("POST", "/persons")
            .header("content-type", kind);
        assert_eq!(
            answer(request.body("{\"slug\":\"a\"}")).await.0,
            415,
            "{kind}"
        );
    }
    let untyped = desk.request("POST", "/persons").body("{\"slug\":\"a\"}");
    assert_eq!(answer(untyped).await.0, 415);
    let large = json!({ "slug": "a".repeat(1024 * 1024) });
    assert_eq!(desk.no("POST", "/persons", &large).await.0, 413);
    assert!(desk.kyc.find_person("a").is_none());
}

#[tokio::test]
async fn its_document_and_what_it_serves_are_the_same() {
    let desk = AdminDesk::new().await;
    let document = desk.get("/openapi.json").await;
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
            // A body that nothing takes, so that nothing is done.
            let request = if matches!(method, "GET" | "DELETE") {
                desk.request(method, &format!("{below}?nobody-knows-this"))
            } else {
                with(
                    desk.request(method, &below),
                    &json!({ "nobody-knows-this": 1 }),
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
    // The parameters of a path are said, and those of a query.
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
async fn it_leaves_no_trace_in_the_log() {
    let desk = AdminDesk::new().await;
    desk.get("/persons").await;
    desk.no("GET", "/nothing", &Value::Null).await;
    assert!(desk.kyc.all_requests().is_empty());
}

#[tokio::test]
async fn it_is_there_again_after_a_restart() {
    let desk = AdminDesk::new().await;
    let fault = json!({ "endpoint": "jwks", "fault": "reset" });
    desk.post("/faults", &fault).await;
    desk.kyc.stop().unwrap();
    desk.kyc.restart().unwrap();
    assert_eq!(desk.get("/faults").await[0]["name"], "Jwks.reset");
}
