//! Tests that a successful login returns correct tokens, and that the mock rotates its signing
//! keys.

use std::time::Duration;

use kycport::{
    KycStatus, KycTier,
    mock::{Endpoint, MockIssuer},
};

use crate::support::{TestIssuer, part, payload, set};

#[tokio::test]
async fn the_tokens_contain_the_person_and_the_status() {
    let issuer = TestIssuer::new().await;
    let page = issuer.tokens().await;
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let tokens = page.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert!(tokens.get("refresh_token").is_none());

    let id_token = tokens["id_token"].as_str().unwrap();
    let header = part(id_token, 0);
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(header["kid"], issuer.kyc.keys().active_kid());
    let claims = payload(id_token);
    for (name, value) in [
        ("iss", issuer.kyc.issuer()),
        ("sub", issuer.ada.id()),
        ("aud", issuer.kyc.client().id()),
        ("nonce", "the-nonce"),
        ("acr", "t2"),
        ("kyc_status", "verified"),
        ("kyc_tier", "t2"),
        ("email", "ada@example.test"),
        ("name", "Ada"),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_eq!(claims["aml_clear"], true);
    assert!(claims["at_hash"].is_string() && claims["auth_time"].is_i64());

    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(part(access, 0)["typ"], "at+jwt");
    let claims = payload(access);
    assert_eq!(claims["aud"], issuer.kyc.client().id());
    assert_eq!(claims["client_id"], issuer.kyc.client().id());
    assert_eq!(claims["scope"], "openid email profile kyc");
    assert!(claims["jti"].is_string());
    assert!(claims.get("email").is_none());
}

#[tokio::test]
async fn an_independent_library_verifies_the_tokens() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::Jwk};
    let issuer = TestIssuer::new().await;
    let tokens = issuer.tokens().await.json();
    let jwks = issuer
        .browser
        .fetch(issuer.kyc.url(Endpoint::Jwks))
        .await
        .unwrap();
    let jwk: Jwk = serde_json::from_value(jwks.json()["keys"][0].clone()).unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[issuer.kyc.client().id()]);
    validation.set_issuer(&[issuer.kyc.issuer()]);
    for name in ["id_token", "access_token"] {
        let token = tokens[name].as_str().unwrap();
        let decoded = decode::<serde_json::Value>(token, &key, &validation);
        assert_eq!(decoded.unwrap().claims["sub"], issuer.ada.id(), "{name}");
    }
}

#[tokio::test]
async fn a_change_of_a_person_is_visible_immediately() {
    let issuer = TestIssuer::new().await;
    let tokens = issuer.tokens().await.json();
    let access = tokens["access_token"].as_str().unwrap();
    issuer.ada.reject();
    issuer.ada.set_tier(KycTier::T0);
    issuer.ada.set_aml_clear(None);
    assert_eq!(
        (issuer.ada.status(), issuer.ada.tier()),
        (KycStatus::Rejected, KycTier::T0)
    );
    let info = issuer.userinfo(access).await.json();
    assert_eq!(
        (&info["kyc_status"], &info["kyc_tier"]),
        (&"rejected".into(), &"t0".into())
    );
    assert!(info.get("aml_clear").is_none());
    let claims = payload(issuer.tokens().await.json()["id_token"].as_str().unwrap());
    assert_eq!(claims["kyc_status"], "rejected");
    assert!(claims.get("acr").is_none());
}

#[tokio::test]
async fn claims_of_a_scope_that_was_not_granted_are_omitted() {
    let issuer = TestIssuer::new().await;
    let request = set(issuer.request(), "scope", "openid");
    let login = issuer.authorize_url(&request);
    let callback = issuer
        .browser
        .start_sign_in(login, &issuer.ada)
        .await
        .unwrap();
    let code = crate::support::query(&callback, "code").unwrap();
    let tokens = issuer.token(&issuer.exchange(&code)).await.json();
    let info = issuer
        .userinfo(tokens["access_token"].as_str().unwrap())
        .await
        .json();
    for claims in [info, payload(tokens["id_token"].as_str().unwrap())] {
        for name in ["email", "name", "kyc_status", "kyc_tier", "aml_clear"] {
            assert!(claims.get(name).is_none(), "{name}");
        }
    }
}

#[tokio::test]
async fn an_access_token_expires_by_the_issuers_clock() {
    let issuer = TestIssuer::new().await;
    let tokens = issuer.tokens().await.json();
    let access = tokens["access_token"].as_str().unwrap();
    issuer.kyc.clock().advance(Duration::from_secs(890));
    issuer.userinfo(access).await.assert_ok();
    issuer.kyc.clock().advance(Duration::from_secs(10));
    issuer.userinfo(access).await.assert_status(401);
}

#[tokio::test]
async fn keys_rotate_in_three_steps() {
    let kyc = MockIssuer::start().await;
    let keys = kyc.keys();
    let old = keys.active_kid();
    let next = keys.publish_next();
    assert_eq!(keys.published_kids(), [old.clone(), next.clone()]);
    assert_eq!(keys.active_kid(), old);
    assert_eq!(keys.promote(), next);
    assert_eq!(keys.active_kid(), next);
    assert_eq!(keys.published_kids().len(), 2);
    keys.retire_old();
    assert_eq!(keys.published_kids(), [next]);
    let last = keys.rotate();
    assert_eq!(keys.published_kids(), [last]);
}

#[tokio::test]
async fn refresh_tokens_are_off_by_default_and_rotate_if_enabled() {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true);
    let issuer = TestIssuer::with(kyc.start().await.unwrap());
    let first = issuer.tokens().await.json();
    let refresh = |token: &serde_json::Value| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
            ("client_id", issuer.kyc.client().id()),
            ("client_secret", issuer.kyc.client().secret().unwrap()),
        ];
        crate::support::pairs(&form)
    };
    let second = issuer.token(&refresh(&first["refresh_token"])).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let claims = payload(second["id_token"].as_str().unwrap());
    assert_eq!(claims["sub"], issuer.ada.id());
    assert!(claims.get("nonce").is_none());
    // A second use of the old refresh token revokes all tokens.
    let page = issuer.token(&refresh(&first["refresh_token"])).await;
    assert_eq!(page.json()["error"], "invalid_grant");
    let page = issuer.token(&refresh(&second["refresh_token"])).await;
    assert_eq!(page.json()["error"], "invalid_grant");
    issuer
        .userinfo(second["access_token"].as_str().unwrap())
        .await
        .assert_status(401);
}

#[tokio::test]
async fn assumed_token_formats_can_be_switched() {
    let issuer = TestIssuer::new().await;
    issuer.kyc.switch(|switches| {
        switches.at_hash = false;
        switches.acr = false;
        switches.auth_time = false;
        switches.aud_as_array = true;
        switches.tier_as_number = true;
        switches.iss_parameter = false;
        switches.advertise_iss_parameter = false;
    });
    let login = issuer.authorize_url(&issuer.request());
    let callback = issuer
        .browser
        .start_sign_in(login, &issuer.ada)
        .await
        .unwrap();
    assert_eq!(crate::support::query(&callback, "iss"), None);
    let claims = payload(issuer.tokens().await.json()["id_token"].as_str().unwrap());
    assert_eq!(claims["aud"], serde_json::json!([issuer.kyc.client().id()]));
    assert_eq!(claims["kyc_tier"], 2);
    for name in ["at_hash", "acr", "auth_time"] {
        assert!(claims.get(name).is_none(), "{name}");
    }
    let discovery = issuer
        .browser
        .fetch(issuer.kyc.discovery_url())
        .await
        .unwrap();
    let name = "authorization_response_iss_parameter_supported";
    assert!(discovery.json().get(name).is_none());
}
