//! Helpers for the tests of the mock.

use kycport::mock::{Browser, Client, Endpoint, MockIssuer, Page, Person};
use url::Url;

/// PKCE verifier and challenge from the example in RFC 7636, appendix B.
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Redirect URI of a relying party that does not exist. The browser does not follow the redirect.
pub(crate) const BACK: &str = "https://app.example.test/callback";

/// Mock, its confidential client, a person and a browser.
pub(crate) struct TestIssuer {
    pub(crate) kyc: MockIssuer,
    pub(crate) ada: Person,
    pub(crate) browser: Browser,
}

impl TestIssuer {
    pub(crate) async fn new() -> Self {
        Self::with(MockIssuer::start().await)
    }

    pub(crate) fn with(kyc: MockIssuer) -> Self {
        kyc.client().register_redirect_uri(BACK).unwrap();
        kyc.public_client().register_redirect_uri(BACK).unwrap();
        let ada = kyc.person("ada").create();
        let browser = kyc.browser();
        Self { kyc, ada, browser }
    }

    /// Returns a valid authorization request.
    pub(crate) fn request(&self) -> Vec<(String, String)> {
        pairs(&[
            ("response_type", "code"),
            ("client_id", self.kyc.client().id()),
            ("redirect_uri", BACK),
            ("scope", "openid email profile kyc"),
            ("state", "the state"),
            ("nonce", "the-nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
    }

    pub(crate) fn authorize_url(&self, params: &[(String, String)]) -> Url {
        let url = self.kyc.url(Endpoint::Authorize);
        Url::parse_with_params(&url, params).unwrap()
    }

    /// Logs a person in and returns a new code of the confidential client.
    pub(crate) async fn code(&self) -> String {
        self.code_for(self.kyc.client()).await
    }

    pub(crate) async fn code_for(&self, client: &Client) -> String {
        let request = set(self.request(), "client_id", client.id());
        let login = self.authorize_url(&request);
        let callback = self.browser.start_sign_in(login, &self.ada).await.unwrap();
        query(&callback, "code").unwrap()
    }

    /// Returns a valid token request.
    pub(crate) fn exchange(&self, code: &str) -> Vec<(String, String)> {
        pairs(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("client_id", self.kyc.client().id()),
            ("client_secret", self.kyc.client().secret().unwrap()),
            ("code_verifier", VERIFIER),
        ])
    }

    pub(crate) async fn token(&self, form: &[(String, String)]) -> Page {
        let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let url = self.kyc.url(Endpoint::Token);
        self.browser.post_form(url, &form).await.unwrap()
    }

    /// Runs a complete login and returns the response of the token endpoint.
    pub(crate) async fn tokens(&self) -> Page {
        let code = self.code().await;
        self.token(&self.exchange(&code)).await
    }

    pub(crate) async fn userinfo(&self, access_token: &str) -> Page {
        self.browser
            .request(http::Method::GET, self.kyc.url(Endpoint::Userinfo))
            .header("authorization", &format!("Bearer {access_token}"))
            .fetch()
            .send()
            .await
            .unwrap()
    }
}

pub(crate) fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    list.iter().map(own).collect()
}

/// Replaces the value of each parameter with this name.
pub(crate) fn set(
    mut list: Vec<(String, String)>,
    name: &str,
    value: &str,
) -> Vec<(String, String)> {
    for (own, old) in &mut list {
        if own == name {
            value.clone_into(old);
        }
    }
    list
}

pub(crate) fn without(mut list: Vec<(String, String)>, name: &str) -> Vec<(String, String)> {
    list.retain(|(own, _)| own != name);
    list
}

pub(crate) fn and(
    mut list: Vec<(String, String)>,
    name: &str,
    value: &str,
) -> Vec<(String, String)> {
    list.push((name.to_owned(), value.to_owned()));
    list
}

pub(crate) fn query(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs.find_map(|(own, value)| (own == name).then(|| value.into_owned()))
}

/// Returns the payload of a token without verifying the signature.
pub(crate) fn payload(token: &str) -> serde_json::Value {
    part(token, 1)
}

pub(crate) fn part(token: &str, place: usize) -> serde_json::Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let part = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
