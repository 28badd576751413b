//! Tests of settings that adapt the SDK to observed behaviour of KYCPort, and of errors that name a
//! wrong setting.

use kycport::{Config, mock::Endpoint};

use crate::{observed::Observed, support::setup, visitor::SESSION_COOKIE};

#[test]
fn dead_hosts_are_rejected() {
    // K3
    let redirect_uri = "https://app.example.com/auth/callback";
    for (host, is_dead) in [
        ("kycport.com", true),
        ("KYCPORT.com", true),
        ("kycport.com.", true),
        ("kycport.com:443", true),
        ("id.kycport.com", true),
        ("ID.kycport.com.", true),
        ("api.kycport.com", true),
        ("%61pi.kycport.com", true),
        ("www.kycport.com", false),
        ("eu.kycport.com", false),
        ("kycport.com.example.com", false),
        ("notkycport.com", false),
    ] {
        let url = format!("https://{host}");
        for config in [
            Config::builder("client", redirect_uri)
                .issuer(&url)
                .discovery_url("https://www.kycport.com/d"),
            Config::builder("client", redirect_uri).discovery_url(format!("{url}/d")),
            Config::builder("client", redirect_uri).api_base_url(&url),
            Config::builder("client", redirect_uri).allow_endpoint_origin(&url),
        ] {
            let error = config.build().err().map(|error| error.to_string());
            assert_eq!(error.is_some(), is_dead, "{host}: {error:?}");
            let names_the_remedy = error.is_none_or(|it| it.contains("www.kycport.com"));
            assert!(names_the_remedy, "{host}");
        }
    }
}

#[tokio::test]
async fn a_redirect_uri_mismatch_names_the_cause() {
    // K14
    let (observed, _listening) = Observed::listen();
    let (kyc, app, _) = setup().await;
    kyc.switch(|switches| switches.reject_redirect_uri = true);
    let browser = kyc.browser();

    let page = browser.get(app.url("/auth/login")).await.unwrap();

    page.assert_status(502);
    assert!(page.body().contains("not registered correctly"));
    assert_eq!(browser.cookie(app.url("/"), SESSION_COOKIE), None);
    kyc.requests(Endpoint::Token).assert_count(0);
    let [failed] = &observed.of("kycport.request.failed")[..] else {
        panic!("expected one failed request");
    };
    assert_eq!(failed.value("code"), "redirect_uri_mismatch");
    assert!(page.body().contains(failed.value("reference")));
    let [failed] = &observed.of("kycport.login.failed")[..] else {
        panic!("expected one failed login");
    };
    assert_eq!(failed.value("kycport_code"), "redirect_uri_mismatch");
}

#[tokio::test]
async fn a_403_of_the_token_endpoint_names_the_tenant() {
    // K23
    let (observed, _listening) = Observed::listen();
    let (kyc, app, ada) = setup().await;
    let body = r#"{"detail":"canary: this tenant is not active"}"#;
    let on = kyc.on(Endpoint::Token);
    let _fault = on.answer(403, "application/json", body).once();
    let browser = kyc.browser();

    let page = browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();

    page.assert_status(502);
    assert!(page.body().contains("not registered correctly"));
    assert!(!page.body().contains("canary"));
    let [failed] = &observed.of("kycport.request.failed")[..] else {
        panic!("expected one failed request");
    };
    assert_eq!(failed.value("code"), "tenant_rejected");
    // A later login works as soon as the tenant is active.
    let page = browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    page.assert_ok();
}

#[tokio::test]
async fn unknown_callback_parameters_are_ignored() {
    // K16, K21
    let (kyc, app, ada) = setup().await;
    let _fault = kyc
        .edit_authorization_response(|params| {
            for name in ["session_state", "token", "access_token", "user", "sub"] {
                params.push((name.to_owned(), "eve".to_owned()));
            }
        })
        .always();
    let _fault_of_tokens = kyc
        .edit_token_response(|answer| {
            answer["token"] = "eve".into();
            answer["user"] = serde_json::json!({ "sub": "eve", "id": "eve" });
            answer["session_state"] = "eve".into();
        })
        .always();

    let login = app.url("/auth/login?return_to=/vault");
    let page = kyc.browser().sign_in(login, &ada).await.unwrap();

    page.assert_ok();
    assert_eq!(page.body(), format!("the vault of {}", ada.id()));
}
