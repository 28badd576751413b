//! Starting, stopping, and one whole login.

use kycport::mock::{Endpoint, MockIssuer};

/// The example of RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

#[tokio::test]
async fn a_person_signs_in_and_the_tokens_tell_who() {
    let kyc = MockIssuer::start().await;
    let back = "http://127.0.0.1:9/callback";
    kyc.client().register_redirect_uri(back).unwrap();
    let ada = kyc.person("ada").create();
    let id = kyc.client().id();
    let login = format!(
        "{}?response_type=code&client_id={id}&redirect_uri={back}&scope=openid+email+kyc&state=s\
         &nonce=n&code_challenge={CHALLENGE}&code_challenge_method=S256",
        kyc.url(Endpoint::Authorize)
    );
    let browser = kyc.browser();
    let callback = browser.start_sign_in(&login, &ada).await.unwrap();
    let code = callback
        .query_pairs()
        .find_map(|(name, value)| (name == "code").then(|| value.into_owned()))
        .unwrap();
    let page = browser
        .post_form(
            kyc.url(Endpoint::Token),
            &[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", back),
                ("client_id", id),
                ("client_secret", kyc.client().secret().unwrap()),
                ("code_verifier", VERIFIER),
            ],
        )
        .await
        .unwrap();
    page.assert_ok();
    let access = page.json()["access_token"].as_str().unwrap().to_owned();
    let told = browser
        .request(http::Method::GET, kyc.url(Endpoint::Userinfo))
        .header("authorization", &format!("Bearer {access}"))
        .fetch()
        .send()
        .await
        .unwrap();
    assert_eq!(told.json()["sub"], ada.id());
    assert_eq!(told.json()["kyc_tier"], "t2");
    kyc.requests(Endpoint::Token).assert_count(1);
    let discovery = browser.fetch(kyc.discovery_url()).await.unwrap();
    assert_eq!(discovery.json()["issuer"], kyc.issuer());
}

#[tokio::test]
async fn a_stopped_issuer_refuses_and_comes_back_on_its_port() {
    let kyc = MockIssuer::start().await;
    let url = kyc.discovery_url();
    kyc.stop().unwrap();
    assert!(kyc.browser().get(&url).await.is_err());
    kyc.restart().unwrap();
    kyc.browser().get(&url).await.unwrap().assert_ok();
    let other = kyc.clone();
    drop(kyc);
    other.browser().get(&url).await.unwrap().assert_ok();
    let browser = other.browser();
    drop(other);
    assert!(browser.get(&url).await.is_err());
}
