//! Issuer of the scenarios.
//!
//! The scenarios run against the mock, or with `KYCPORT_SCENARIOS=environment` against the issuer
//! in an app's own variables (`KYCPORT_CLIENT_ID`, `KYCPORT_CLIENT_SECRET`, `KYCPORT_REDIRECT_URI`,
//! …). Two more variables exist. `KYCPORT_SCENARIO_PERSON` is a `person_id` that the tenant sees.
//! `KYCPORT_SCENARIO_CASES=open` allows the scenarios to open and decide a case for that person.
//! With the environment, scenarios that need a controllable person print a message and are skipped.

use std::{env, io::Write as _};

use kycport::{
    Config, ConfigBuilder, KycTier, RelyingParty,
    mock::{MockIssuer, Person},
};
use serde_json::Value;
use url::Url;

pub(crate) const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/callback";

/// Example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Issuer from a tenant's point of view.
pub(crate) struct Target {
    config: ConfigBuilder,
    discovery_url: String,
    client_id: String,
    client_secret: Option<String>,
    redirect_uri: String,
    api_key: Option<String>,
    person_id: Option<String>,
    may_open_cases: bool,
    /// The mock and a person, if the issuer is the mock.
    mock: Option<(MockIssuer, Person)>,
}

/// Person whom the test controls.
pub(crate) struct ControlledPerson<'a> {
    kyc: &'a MockIssuer,
    person: &'a Person,
}

impl Target {
    pub(crate) async fn new() -> Self {
        if uses_environment() {
            Self::of_environment()
        } else {
            Self::of_mock(MockIssuer::start().await)
        }
    }

    fn of_mock(kyc: MockIssuer) -> Self {
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        Self {
            config: kyc.config(REDIRECT_URI),
            discovery_url: kyc.discovery_url(),
            client_id: kyc.client().id().to_owned(),
            client_secret: kyc.client().secret().map(str::to_owned),
            redirect_uri: REDIRECT_URI.to_owned(),
            api_key: Some(kyc.tenant().api_key().to_owned()),
            person_id: Some(ada.id().to_owned()),
            may_open_cases: true,
            mock: Some((kyc, ada)),
        }
    }

    fn of_environment() -> Self {
        let variable = |name: &str| env::var(name).ok();
        let config = Config::builder_from_env().unwrap();
        let built = config.clone().build().unwrap();
        let discovery_url = variable("KYCPORT_DISCOVERY_URL");
        Self {
            config,
            discovery_url: discovery_url.unwrap_or_else(|| PRODUCTION.to_owned()),
            client_id: built.client_id().to_owned(),
            client_secret: variable("KYCPORT_CLIENT_SECRET"),
            redirect_uri: variable("KYCPORT_REDIRECT_URI").unwrap(),
            api_key: variable("KYCPORT_TENANT_API_KEY"),
            person_id: variable("KYCPORT_SCENARIO_PERSON"),
            may_open_cases: variable("KYCPORT_SCENARIO_CASES").as_deref() == Some("open"),
            mock: None,
        }
    }

    pub(crate) fn relying_party(&self) -> RelyingParty {
        self.relying_party_with(|config| config)
    }

    pub(crate) fn relying_party_with(
        &self,
        more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> RelyingParty {
        RelyingParty::new(more(self.config.clone()).build().unwrap()).unwrap()
    }

    pub(crate) fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref()
    }

    /// Returns the person whose status may be requested. The tenant then has an API key.
    pub(crate) fn person_id(&self) -> Option<&str> {
        self.person_id.as_deref().filter(|_| self.api_key.is_some())
    }

    pub(crate) fn may_open_cases(&self) -> bool {
        self.may_open_cases
    }

    pub(crate) fn mock(&self) -> Option<&(MockIssuer, Person)> {
        self.mock.as_ref()
    }

    pub(crate) fn controlled_person(&self) -> Option<ControlledPerson<'_>> {
        let (kyc, person) = self.mock.as_ref()?;
        Some(ControlledPerson { kyc, person })
    }

    /// Returns a new code and its verifier.
    pub(crate) async fn code(&self) -> Option<(String, &'static str)> {
        let controlled_person = self.controlled_person()?;
        let url = self.endpoint("authorization_endpoint").await;
        let request = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", "openid kyc"),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let url = Url::parse_with_params(&url, request).unwrap();
        let callback = controlled_person.complete_login(&url).await;
        let code = callback.query_pairs().find(|(name, _)| name == "code");
        Some((code.unwrap().1.into_owned(), VERIFIER))
    }

    /// Sends a code to the token endpoint, with this client's own secret.
    pub(crate) async fn exchange(&self, code: &str, verifier: &str) -> (u16, Value) {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("client_id", &self.client_id),
            ("code_verifier", verifier),
        ];
        if let Some(secret) = &self.client_secret {
            form.push(("client_secret", secret));
        }
        let url = self.endpoint("token_endpoint").await;
        let answer = reqwest::Client::new().post(url).form(&form).send().await;
        let answer = answer.unwrap();
        (answer.status().as_u16(), json(answer).await)
    }

    /// Returns the URL of an endpoint in the discovery document (K1).
    async fn endpoint(&self, name: &str) -> String {
        let answer = reqwest::get(&self.discovery_url).await.unwrap();
        json(answer).await[name].as_str().unwrap().to_owned()
    }
}

impl ControlledPerson<'_> {
    pub(crate) fn id(&self) -> &str {
        self.person.id()
    }

    /// Consents to the login. Returns the URL of the callback.
    pub(crate) async fn complete_login(&self, login: &Url) -> Url {
        let browser = self.kyc.browser();
        browser.start_sign_in(login, self.person).await.unwrap()
    }
}

/// Returns whether the environment variables select the issuer.
pub(crate) fn uses_environment() -> bool {
    env::var("KYCPORT_SCENARIOS").is_ok_and(|it| it == "environment")
}

/// Writes to standard error directly, which the test harness does not capture.
pub(crate) fn skip(why: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: {why}").unwrap();
}

async fn json(answer: reqwest::Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

const PRODUCTION: &str = "https://www.kycport.com/api/oidc/.well-known/openid-configuration";
