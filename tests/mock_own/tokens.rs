//! The tokens of a good login, and the keys that sign them.

use std::time::Duration;

use kycport::{
    KycStatus, KycTier,
    mock::{Endpoint, MockIssuer},
};

use crate::support::{Desk, part, payload, set};

#[tokio::test]
async fn the_tokens_say_who_and_how_far() {
    let desk = Desk::new().await;
    let page = desk.tokens().await;
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let tokens = page.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert!(tokens.get("refresh_token").is_none());

    let id_token = tokens["id_token"].as_str().unwrap();
    let header = part(id_token, 0);
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(header["kid"], desk.kyc.keys().active_kid());
    let claims = payload(id_token);
    for (name, value) in [
        ("iss", desk.kyc.issuer()),
        ("sub", desk.ada.id()),
        ("aud", desk.kyc.client().id()),
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
    assert_eq!(claims["aud"], desk.kyc.client().id());
    assert_eq!(claims["client_id"], desk.kyc.client().id());
    assert_eq!(claims["scope"], "openid email profile kyc");
    assert!(claims["jti"].is_string());
    assert!(claims.get("email").is_none());
}

#[tokio::test]
async fn a_foreign_verifier_accepts_the_tokens() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::Jwk};
    let desk = Desk::new().await;
    let tokens = desk.tokens().await.json();
    let jwks = desk
        .browser
        .fetch(desk.kyc.url(Endpoint::Jwks))
        .await
        .unwrap();
    let jwk: Jwk = serde_json::from_value(jwks.json()["keys"][0].clone()).unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[desk.kyc.client().id()]);
    validation.set_issuer(&[desk.kyc.issuer()]);
    for name in ["id_token", "access_token"] {
        let token = tokens[name].as_str().unwrap();
        let decoded = decode::<serde_json::Value>(token, &key, &validation);
        assert_eq!(decoded.unwrap().claims["sub"], desk.ada.id(), "{name}");
    }
}

#[tokio::test]
async fn what_changes_about_a_person_shows_at_once() {
    let desk = Desk::new().await;
    let tokens = desk.tokens().await.json();
    let access = tokens["access_token"].as_str().unwrap();
    desk.ada.reject();
    desk.ada.set_tier(KycTier::T0);
    desk.ada.set_aml_clear(None);
    assert_eq!(
        (desk.ada.status(), desk.ada.tier()),
        (KycStatus::Rejected, KycTier::T0)
    );
    let told = desk.userinfo(access).await.json();
    assert_eq!(
        (&told["kyc_status"], &told["kyc_tier"]),
        (&"rejected".into(), &"t0".into())
    );
    assert!(told.get("aml_clear").is_none());
    let claims = payload(desk.tokens().await.json()["id_token"].as_str().unwrap());
    assert_eq!(claims["kyc_status"], "rejected");
    assert!(claims.get("acr").is_none());
}

#[tokio::test]
async fn a_scope_that_was_not_granted_tells_nothing() {
    let desk = Desk::new().await;
    let request = set(desk.request(), "scope", "openid");
    let login = desk.authorize_url(&request);
    let callback = desk.browser.start_sign_in(login, &desk.ada).await.unwrap();
    let code = crate::support::query(&callback, "code").unwrap();
    let tokens = desk.token(&desk.exchange(&code)).await.json();
    let told = desk
        .userinfo(tokens["access_token"].as_str().unwrap())
        .await
        .json();
    for claims in [told, payload(tokens["id_token"].as_str().unwrap())] {
        for name in ["email", "name", "kyc_status", "kyc_tier", "aml_clear"] {
            assert!(claims.get(name).is_none(), "{name}");
        }
    }
}

#[tokio::test]
async fn an_access_token_ends_on_the_issuers_clock() {
    let desk = Desk::new().await;
    let tokens = desk.tokens().await.json();
    let access = tokens["access_token"].as_str().unwrap();
    desk.kyc.clock().advance(Duration::from_secs(890));
    desk.userinfo(access).await.assert_ok();
    desk.kyc.clock().advance(Duration::from_secs(10));
    desk.userinfo(access).await.assert_status(401);
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
async fn refresh_tokens_are_off_and_rotate_when_on() {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true);
    let desk = Desk::with(kyc.start().await.unwrap());
    let first = desk.tokens().await.json();
    let refresh = |token: &serde_json::Value| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
            ("client_id", desk.kyc.client().id()),
            ("client_secret", desk.kyc.client().secret().unwrap()),
        ];
        crate::support::pairs(&form)
    };
    let second = desk.token(&refresh(&first["refresh_token"])).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let claims = payload(second["id_token"].as_str().unwrap());
    assert_eq!(claims["sub"], desk.ada.id());
    assert!(claims.get("nonce").is_none());
    // The old one again ends them all.
    let page = desk.token(&refresh(&first["refresh_token"])).await;
    assert_eq!(page.json()["error"], "invalid_grant");
    let page = desk.token(&refresh(&second["refresh_token"])).await;
    assert_eq!(page.json()["error"], "invalid_grant");
    desk.userinfo(second["access_token"].as_str().unwrap())
        .await
        .assert_status(401);
}

#[tokio::test]
async fn what_a_tenant_could_find_different_can_be_switched() {
    let desk = Desk::new().await;
    desk.kyc.switch(|switches| {
        switches.at_hash = false;
        switches.acr = false;
        switches.auth_time = false;
        switches.aud_as_array = true;
        switches.tier_as_number = true;
        switches.iss_parameter = false;
        switches.advertise_iss_parameter = false;
    });
    let login = desk.authorize_url(&desk.request());
    let callback = desk.browser.start_sign_in(login, &desk.ada).await.unwrap();
    assert_eq!(crate::support::query(&callback, "iss"), None);
    let claims = payload(desk.tokens().await.json()["id_token"].as_str().unwrap());
    assert_eq!(claims["aud"], serde_json::json!([desk.kyc.client().id()]));
    assert_eq!(claims["kyc_tier"], 2);
    for name in ["at_hash", "acr", "auth_time"] {
        assert!(claims.get(name).is_none(), "{name}");
    }
    let discovery = desk.browser.fetch(desk.kyc.discovery_url()).await.unwrap();
    let name = "authorization_response_iss_parameter_supported";
    assert!(discovery.json().get(name).is_none());
}
