//! Checks that the examples and URLs in the guide for coding assistants are correct.

use http::Method;
use kycport::mock::Endpoint;

use crate::support::{BACK, CHALLENGE, TestIssuer, VERIFIER, query};

// K71
#[tokio::test]
async fn the_examples_of_the_guidance_work() {
    let issuer = TestIssuer::new().await;
    let page = issuer
        .browser
        .fetch(issuer.kyc.url(Endpoint::LlmsTxt))
        .await;
    let page = page.unwrap();
    page.assert_ok();
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let (client, key) = (issuer.kyc.client(), issuer.kyc.tenant().api_key());
    for secret in [
        key,
        client.secret().unwrap(),
        &issuer.kyc.webhooks().secret(),
    ] {
        assert!(!page.body().contains(secret));
    }
    // Only JSON may contain an opening brace. A brace without JSON is a placeholder that the mock
    // has not replaced.
    for opened in page.body().split('{').skip(1) {
        assert!(opened.starts_with('"'), "{opened}");
    }

    let back: String = url::form_urlencoded::byte_serialize(BACK.as_bytes()).collect();
    let mut text = page.body().to_owned();
    for (placeholder, value) in [
        ("YOUR_CLIENT_ID", client.id()),
        ("YOUR_CLIENT_SECRET", client.secret().unwrap()),
        ("YOUR_TENANT_API_KEY", key),
        ("PERSON_ID", issuer.ada.id()),
        ("=CHALLENGE", &format!("={CHALLENGE}")),
        ("=VERIFIER", &format!("={VERIFIER}")),
    ] {
        text = text.replace(placeholder, value);
    }
    let line = |path: &str| {
        let url = format!("{}{path}", issuer.kyc.origin());
        let found = text.lines().find(|line| {
            let line = line.trim_start();
            line.starts_with(&format!("curl {url}")) || line.starts_with(&url)
        });
        found.unwrap_or_else(|| panic!("{path}")).trim().to_owned()
    };
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        words
            .find(|word| word.starts_with("http"))
            .unwrap()
            .to_owned()
    };

    issuer
        .browser
        .fetch(address(&line(Endpoint::Discovery.path())))
        .await
        .unwrap()
        .assert_ok();
    let login = line(Endpoint::Authorize.path()).replace("YOUR_REDIRECT_URI", &back);
    let to = issuer
        .browser
        .start_sign_in(login, &issuer.ada)
        .await
        .unwrap();
    let code = query(&to, "code").unwrap();

    let exchange = line(Endpoint::Token.path())
        .replace("=CODE", &format!("={code}"))
        .replace("YOUR_REDIRECT_URI", BACK);
    let form: Vec<_> = exchange
        .split(" -d ")
        .skip(1)
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    let url = address(&exchange);
    let tokens = issuer.browser.post_form(url, &form).await.unwrap().json();

    let access_token = tokens["access_token"].as_str().unwrap();
    for (path, placeholder) in [
        (Endpoint::Userinfo.path(), "ACCESS_TOKEN"),
        ("/api/v1/kyc/", "nothing to replace"),
    ] {
        let ask = line(path).replace(placeholder, access_token);
        let header = ask.split('"').nth(1).unwrap();
        let (name, value) = header.split_once(": ").unwrap();
        let visit = issuer.browser.request(Method::GET, address(&ask)).fetch();
        let response = visit.header(name, value).send().await.unwrap();
        assert_eq!(response.json()["kyc_status"], "verified", "{path}");
    }
}

// K71: Every URL in the guide for coding assistants belongs to the mock.
#[tokio::test]
async fn the_urls_of_the_guidance_exist() {
    let issuer = TestIssuer::new().await;
    let page = issuer
        .browser
        .fetch(issuer.kyc.url(Endpoint::LlmsTxt))
        .await;
    let page = page.unwrap();
    let origin = issuer.kyc.origin();
    let mut paths = Vec::new();
    for (at, _) in page.body().match_indices("http") {
        let rest = &page.body()[at..];
        let end = rest.find(|c: char| c.is_whitespace() || "`,;?".contains(c));
        let url = rest[..end.unwrap()].trim_end_matches(['.', ':']);
        if url == "http" {
            continue;
        }
        let path = url.strip_prefix(origin).unwrap_or_else(|| panic!("{url}"));
        paths.push(path.to_owned());
    }
    for endpoint in Endpoint::ALL {
        let path = endpoint.path().replace("{person_id}", "PERSON_ID");
        let path = path.replace("{case_id}", "CASE_ID");
        let named = paths.contains(&path);
        // The guide omits these endpoints: clients find them through discovery, or tenants do not
        // use them.
        let unnamed = [
            Endpoint::Jwks,
            Endpoint::ReadCase,
            Endpoint::Health,
            Endpoint::LlmsTxt,
        ];
        assert_eq!(named, !unnamed.contains(&endpoint), "{path}");
    }
    for path in paths.iter().filter(|path| !path.is_empty()) {
        let url = format!("{origin}{path}");
        let visit = issuer.browser.request(Method::GET, url).stay();
        let status = visit.send().await.unwrap().status();
        assert_ne!(status, 404, "{path}");
    }
}
