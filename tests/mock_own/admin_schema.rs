//! Tests that the OpenAPI document of the admin API matches its handlers. The handlers must accept
//! all values that the schema allows, and reject all other values. A tool that generates requests
//! from the OpenAPI document found the values in these tests.

use serde_json::{Value, json};

use crate::admin_desk::AdminClient;

/// Returns a member of a schema in the OpenAPI document.
fn member(document: &Value, schema: &str, name: &str) -> Value {
    document["components"]["schemas"][schema]["properties"][name].clone()
}

#[tokio::test]
async fn a_name_has_the_length_limits_of_the_openapi_document() {
    let admin = AdminClient::new().await;
    let document = admin.get("/openapi.json").await;
    for (path, schema, name) in [
        ("/persons", "NewPerson", "slug"),
        ("/tenants", "NewTenant", "id"),
        ("/tenants", "NewTenant", "api_key"),
        ("/clients", "NewClient", "name"),
        ("/clients", "NewClient", "id"),
        ("/clients", "NewClient", "secret"),
        ("/clients", "NewClient", "tenant"),
    ] {
        let said = member(&document, schema, name);
        assert_eq!(
            (&said["minLength"], &said["maxLength"]),
            (&json!(1), &json!(128)),
            "{name}"
        );
        let body = |value: &str| {
            let mut body = match schema {
                "NewPerson" => json!({ "slug": "eve" }),
                "NewTenant" => json!({ "id": "acme" }),
                _ => json!({ "name": "Acme" }),
            };
            body[name] = value.into();
            body
        };
        // The limit counts characters, not bytes.
        admin.post(path, &body(&"é".repeat(128))).await;
        for value in ["", &"e".repeat(129), "a\nb", "\u{7f}", "\u{85}"] {
            let rejection = admin.rejection("POST", path, &body(value)).await;
            assert_eq!(rejection.0, 400, "{schema}.{name}: {value:?}");
        }
    }
    let secret = member(&document, "NewTenant", "webhook_secret");
    assert_eq!(secret["minLength"], 16);
    let tenant = |secret: &str| json!({ "id": "acme", "webhook_secret": secret });
    admin.post("/tenants", &tenant(&"é".repeat(16))).await;
    assert_eq!(
        admin
            .rejection("POST", "/tenants", &tenant(&"é".repeat(15)))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_malformed_url_is_rejected() {
    let admin = AdminClient::new().await;
    let document = admin.get("/openapi.json").await;
    let redirect = member(&document, "Redirect", "redirect_uri");
    assert!(
        redirect["pattern"]
            .as_str()
            .unwrap()
            .starts_with("^(https://")
    );
    let hook = member(&document, "NewWebhookEndpoint", "url");
    assert!(hook["pattern"].as_str().unwrap().starts_with("^https?://"));
    let client = admin.get("").await["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let register = format!("/clients/{client}/redirect_uris");
    for rest in ["//[::1]:9/back?a=%20", "//localhost", "//127.0.0.1:9/"] {
        let uri = format!("http:{rest}");
        admin.post(&register, &json!({ "redirect_uri": uri })).await;
        admin
            .post("/webhooks/endpoints", &json!({ "url": uri }))
            .await;
    }
    for rest in [
        "",
        "/127.0.0.1/",
        "///127.0.0.1/",
        "\\\\127.0.0.1/",
        "//127.0.0.1/a b",
        "//127.0.0.1/\t",
        " //127.0.0.1/",
        "//127.0.0.1/é",
        "//127.0.0.1/%Eo",
        "//127.0.0.1/%2",
        "//localhost*",
        "//local..host",
        "//localhost:",
        "//127.0.0.1\n",
    ] {
        for scheme in ["http", "HTTP", " http"] {
            let uri = format!("{scheme}:{rest}");
            for (path, name) in [
                (register.as_str(), "redirect_uri"),
                ("/environment", "redirect_uri"),
                ("/webhooks/endpoints", "url"),
            ] {
                let mut body = json!({});
                body[name] = uri.as_str().into();
                assert_eq!(admin.rejection("POST", path, &body).await.0, 400, "{uri:?}");
            }
        }
    }
}

#[tokio::test]
async fn each_integer_has_a_maximum() {
    let admin = AdminClient::new().await;
    let document = admin.get("/openapi.json").await;
    let mut integers = Vec::new();
    collect(&document, &mut integers);
    assert!(integers.len() > 20, "{}", integers.len());
    for integer in integers {
        let is_signed = integer["format"] == "int64";
        let has_both = integer["minimum"].is_u64() && integer["maximum"].is_u64();
        assert!(is_signed || has_both, "{integer}");
    }
    let fault = &document["components"]["schemas"]["CustomResponse"]["properties"]["status"];
    assert_eq!(
        (&fault["minimum"], &fault["maximum"]),
        (&json!(200), &json!(999))
    );
    // The API accepts the maximum and rejects the maximum plus one.
    let jwks = |bytes: &str| format!(r#"{{"endpoint":"jwks","fault":{{"delay_ms":{bytes}}}}}"#);
    for (number, status) in [
        ("18446744073709551615", 201),
        ("18446744073709551616", 400),
        ("-1", 400),
        ("1.5", 400),
        ("1e30", 400),
        // JSON Schema treats `616.0` as an integer.
        ("616.0", 201),
        ("1e3", 201),
    ] {
        let request = admin.request("POST", "/faults");
        let request = request.header("content-type", "application/json");
        let answer = request.body(jwks(number)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{number}");
    }
    // The API does not change numbers in a member that can contain any JSON value.
    let receiver = crate::receiver::Receiver::start().await;
    admin.kyc.webhooks().subscribe(receiver.url());
    let event = json!({ "type": "kyc.other", "data": { "n": 1.0 } });
    admin.post("/webhooks/emit", &event).await;
    admin.kyc.webhooks().settled().await;
    let body = receiver.take().remove(0).body;
    assert!(String::from_utf8(body).unwrap().contains("\"n\": 1.0"));
}

/// Collects all integer schemas.
fn collect(value: &Value, to: &mut Vec<Value>) {
    let kind = &value["type"];
    let kinds = kind.as_array().cloned().unwrap_or_default();
    if kind == "integer" || kinds.contains(&json!("integer")) {
        to.push(value.clone());
    }
    match value {
        Value::Object(members) => members.values().for_each(|it| collect(it, to)),
        Value::Array(items) => items.iter().for_each(|it| collect(it, to)),
        _ => {}
    }
}

#[tokio::test]
async fn a_public_client_with_a_secret_is_rejected() {
    let admin = AdminClient::new().await;
    let document = admin.get("/openapi.json").await;
    let client = &document["components"]["schemas"]["NewClient"];
    assert_eq!(client["if"]["properties"]["kind"]["const"], "public");
    assert_eq!(client["then"]["properties"]["secret"]["type"], "null");
    let public = json!({ "name": "App", "kind": "public", "secret": "s" });
    assert_eq!(admin.rejection("POST", "/clients", &public).await.0, 400);
    let public = json!({ "name": "App", "kind": "public", "secret": null });
    admin.post("/clients", &public).await;
}
