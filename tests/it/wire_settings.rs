//! Tests of settings that adapt the SDK to observed behaviour of KYCPort, and of errors that name a
//! wrong setting.

use kycport::{
    Config, ConfigBuilder, KycStatus, KycTier, RelyingParty, Secret,
    mock::{Endpoint, MockIssuer, Person},
    oidc::{Userinfo, UserinfoError},
};
use serde_json::{Value, json};

use crate::{observed::Observed, support::setup, visitor::SESSION_COOKIE};

const REDIRECT_URI: &str = "https://app.example.com/auth/callback";

#[test]
fn dead_hosts_are_rejected() {
    // K3
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
            Config::builder("client", REDIRECT_URI)
                .issuer(&url)
                .discovery_url("https://www.kycport.com/d"),
            Config::builder("client", REDIRECT_URI).discovery_url(format!("{url}/d")),
            Config::builder("client", REDIRECT_URI).api_base_url(&url),
            Config::builder("client", REDIRECT_URI).allow_endpoint_origin(&url),
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
            answer["user"] = json!({ "sub": "eve", "id": "eve" });
            answer["session_state"] = "eve".into();
        })
        .always();

    let login = app.url("/auth/login?return_to=/vault");
    let page = kyc.browser().sign_in(login, &ada).await.unwrap();

    page.assert_ok();
    assert_eq!(page.body(), format!("the vault of {}", ada.id()));
}

async fn userinfo(
    kyc: &MockIssuer,
    ada: &Person,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> Result<Userinfo, UserinfoError> {
    let config = more(kyc.config("http://127.0.0.1:1/auth/callback"));
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let token = kyc.mint().access_token(ada, kyc.client()).sign();
    party.oidc().userinfo(&Secret::new(token), ada.id()).await
}

#[tokio::test]
async fn wrapped_userinfo_is_read_only_with_the_setting() {
    // K31, K35
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    for member in ["user", "profile", "data"] {
        kyc.switch(|switches| switches.userinfo_wrapper = Some(member.to_owned()));
        let info = userinfo(&kyc, &ada, |config| config.userinfo_member(member)).await;
        let info = info.unwrap();
        assert_eq!(info.subject, ada.id());
        assert_eq!(info.kyc_status, Some(KycStatus::Verified));
        assert_eq!(info.kyc_tier, Some(KycTier::T2));

        for wrong in [None, Some("other"), Some("sub")] {
            let info = userinfo(&kyc, &ada, |config| match wrong {
                Some(wrong) => config.userinfo_member(wrong),
                None => config,
            });
            let error = info.await.unwrap_err();
            assert_eq!(error, UserinfoError::InvalidResponse, "{wrong:?}");
        }
    }
    kyc.switch(|switches| switches.userinfo_wrapper = None);
    let error = userinfo(&kyc, &ada, |config| config.userinfo_member("user")).await;
    assert_eq!(error.unwrap_err(), UserinfoError::InvalidResponse);
}

#[tokio::test]
async fn wrapped_userinfo_names_one_person() {
    // K31, K33
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    kyc.switch(|switches| switches.userinfo_wrapper = Some("user".to_owned()));
    let (own, mismatch) = (ada.id().to_owned(), UserinfoError::SubjectMismatch);
    for (outer, inner, expected) in [
        (json!(own), json!(own), None),
        (json!("eve"), json!(own), Some(mismatch.clone())),
        (json!(null), json!(own), Some(mismatch.clone())),
        (json!(own), json!("eve"), Some(mismatch)),
        (
            json!(own),
            json!(null),
            Some(UserinfoError::InvalidResponse),
        ),
    ] {
        let label = format!("{outer} {inner}");
        let edit = kyc.edit_userinfo(move |info| {
            info["sub"] = outer.clone();
            info["user"]["sub"] = inner.clone();
        });
        let _fault = edit.always();
        let info = userinfo(&kyc, &ada, |config| config.userinfo_member("user")).await;
        assert_eq!(info.err(), expected, "{label}");
    }
    for invalid in [json!([]), json!("text"), Value::Null, json!({})] {
        let edit = kyc.edit_userinfo(move |info| info["user"] = invalid.clone());
        let _fault = edit.always();
        let info = userinfo(&kyc, &ada, |config| config.userinfo_member("user")).await;
        assert_eq!(info.err(), Some(UserinfoError::InvalidResponse));
    }
}

#[test]
fn an_invalid_userinfo_member_is_rejected() {
    let longest = "m".repeat(64);
    for (member, is_valid) in [
        ("user", true),
        (longest.as_str(), true),
        (&format!("{longest}m"), false),
        ("", false),
        (" user", false),
    ] {
        let config = Config::builder("client", REDIRECT_URI).userinfo_member(member);
        let error = config.build().err().map(|error| error.to_string());
        assert_eq!(error.is_none(), is_valid, "{member:?}: {error:?}");
        assert!(error.is_none_or(|error| error.contains("userinfo_member")));
    }
}
