//! Tests that a guard can require a recent sign-in at KYCPort, and of the parameters that reach
//! the authorization request.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    http::Method,
    routing::{get, post},
};
use kycport::{
    ConfigBuilder, KycTier, RelyingParty, RunningApp, SignedIn,
    mock::{Browser, Endpoint, MockIssuer, Page, Person},
    web::StepUpHint,
};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

/// Time after which a guard with five minutes rejects a sign-in: the skew is one minute.
const TOO_OLD: Duration = Duration::from_secs(6 * 60 + 5);

struct Setup {
    kyc: MockIssuer,
    app: RunningApp,
    ada: Person,
    browser: Browser,
}

/// Starts an app with guarded routes, and a person at tier 2 who is signed in.
async fn setup() -> Setup {
    setup_with(|_| {}).await
}

/// Starts the app and signs the person in after `prepare` has changed the mock.
async fn setup_with(prepare: impl FnOnce(&MockIssuer)) -> Setup {
    let kyc = MockIssuer::start().await;
    let app = kyc.serve(tenant_app).await.unwrap();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    prepare(&kyc);
    let browser = kyc.browser();
    let login = app.url("/auth/login");
    browser.sign_in(login, &ada).await.unwrap().assert_ok();
    kyc.forget_requests();
    Setup {
        kyc,
        app,
        ada,
        browser,
    }
}

fn tenant_app(config: ConfigBuilder) -> Router {
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let t2 = || kycport.require(KycTier::T2);
    let recent = || t2().authenticated_within(5 * MINUTE);
    Router::new()
        .route("/", get(async || "home"))
        .route("/recent", get(subject).route_layer(recent()))
        .route("/recent/t3", {
            let t3 = kycport.require(KycTier::T3);
            get(subject).route_layer(t3.authenticated_within(5 * MINUTE))
        })
        .route("/pay", post(subject).route_layer(recent()))
        .route("/fresh", get(subject).route_layer(t2().fresh()))
        .merge(kycport.router())
        .layer(kycport.session_layer())
}

async fn subject(person: SignedIn) -> String {
    person.subject().to_owned()
}

impl Setup {
    /// Opens a page as a navigation. Signs in at KYCPort if KYCPort asks for a sign-in.
    async fn visit(&self, path: &str) -> Page {
        let url = self.app.url(path);
        self.browser.sign_in(url, &self.ada).await.unwrap()
    }

    /// Opens a page as a navigation, and returns the first response.
    async fn open(&self, path: &str) -> Page {
        self.browser.open(self.app.url(path)).await.unwrap()
    }

    async fn fetch(&self, path: &str) -> Page {
        self.browser.get(self.app.url("/")).await.unwrap();
        self.browser.fetch(self.app.url(path)).await.unwrap()
    }

    async fn me(&self) -> Value {
        self.fetch("/auth/me").await.assert_ok().json()
    }

    /// Returns how often the app sent the person to KYCPort.
    fn trips(&self) -> usize {
        let requests = self.kyc.requests(Endpoint::Authorize);
        requests.iter().filter(|it| it.method() == "GET").count()
    }

    /// Asserts that the page is the final page of one failed re-authentication.
    fn assert_reason_page(&self, page: &Page) {
        page.assert_status(401);
        assert_eq!(page.url().path(), "/auth/callback");
        let title = "Please confirm that it is you";
        assert!(page.body().contains(title), "{}", page.body());
        let way_on =
            "href=\"/auth/step-up?tier=t2&amp;max_age=300&amp;return_to=%2Frecent&amp;again=1\"";
        assert!(page.body().contains(way_on), "{}", page.body());
        assert_eq!(self.trips(), 1);
    }
}

#[tokio::test]
async fn a_recent_authentication_is_admitted_and_an_old_one_goes_to_kycport() {
    // K17, K34
    let setup = setup().await;
    setup.kyc.clock().advance(5 * MINUTE + MINUTE / 2);
    setup.open("/recent").await.assert_ok();
    assert_eq!(setup.trips(), 0);

    setup.kyc.clock().advance(MINUTE);
    let statuses = setup.kyc.requests(Endpoint::Status).iter().count();
    let page = setup.visit("/recent?a=1").await;

    page.assert_ok();
    assert_eq!(page.url().as_str(), setup.app.url("/recent?a=1"));
    assert_eq!(setup.trips(), 1);
    let requests = setup.kyc.requests(Endpoint::Authorize);
    let request = requests.iter().find(|it| it.method() == "GET").unwrap();
    assert_eq!(request.query("max_age"), Some("300"));
    assert_eq!(request.query("prompt"), Some("login"));
    assert_eq!(request.query("acr_values"), Some("t2"));
    // The guard does not query KYCPort about a person who must authenticate.
    assert_eq!(
        setup.kyc.requests(Endpoint::Status).iter().count(),
        statuses
    );
    setup.open("/recent").await.assert_ok();
}

#[tokio::test]
async fn a_missing_auth_time_does_not_satisfy() {
    // K34
    let setup = setup_with(|kyc| kyc.switch(|it| it.auth_time = false)).await;
    let page = setup.visit("/recent").await;
    setup.assert_reason_page(&page);
    // The session stays.
    assert_eq!(setup.me().await["auth_time"], Value::Null);
    setup.open("/fresh").await.assert_ok();
}

#[tokio::test]
async fn an_ignored_max_age_ends_on_one_page() {
    // K17
    let setup = setup_with(|kyc| kyc.switch(|it| it.honor_max_age = false)).await;
    let page = setup.visit("/recent").await;
    setup.assert_reason_page(&page);

    // The button starts another attempt.
    setup.kyc.switch(|it| it.honor_max_age = true);
    let page = setup
        .visit("/auth/step-up?tier=t2&max_age=300&return_to=/recent")
        .await;
    assert_eq!(page.assert_ok().url().path(), "/recent");
}

#[tokio::test]
async fn a_future_auth_time_does_not_satisfy() {
    let setup = setup().await;
    setup.kyc.clock().advance(TOO_OLD);
    {
        let tokens = setup.kyc.tokens_for(&setup.ada);
        let _fault = tokens
            .edit_id_token(|draft| {
                let now = draft.claims["iat"].as_i64().unwrap();
                draft
                    .claims
                    .insert("auth_time".to_owned(), json!(now + 3600));
            })
            .always();
        let page = setup.visit("/recent").await;
        setup.assert_reason_page(&page);
        setup.fetch("/recent").await.assert_status(401);
    }
    // The wrong time does not stay in the session.
    let page = setup.visit("/recent").await;
    assert_eq!(page.assert_ok().url().path(), "/recent");
}

#[tokio::test]
async fn a_reauthentication_keeps_the_session() {
    let setup = setup().await;
    let before = setup.me().await;
    setup.kyc.clock().advance(TOO_OLD);
    setup.visit("/recent").await.assert_ok();
    let after = setup.me().await;
    assert_eq!(after["session"]["id"], before["session"]["id"]);
    assert_eq!(
        after["session"]["expires_at"],
        before["session"]["expires_at"]
    );
    let (old, new) = (&before["auth_time"], &after["auth_time"]);
    assert!(old.as_i64().unwrap() < new.as_i64().unwrap());
}

/// For 30 s after a step-up, the crate accepts the old session cookie.
#[tokio::test]
async fn a_copy_of_the_cookie_does_not_become_recent_by_a_reauthentication() {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    setup.kyc.clock().advance(TOO_OLD);
    let copy = setup.browser.clone();
    setup.visit("/recent").await.assert_ok();
    let fetch = async |path| copy.fetch(setup.app.url(path)).await.unwrap();
    fetch("/auth/me").await.assert_ok();
    let denied = fetch("/recent").await;
    assert_eq!(
        denied.assert_status(401).json()["code"],
        "authentication_too_old"
    );
    setup.fetch("/recent").await.assert_ok();
}

#[tokio::test]
async fn another_person_cannot_reauthenticate() {
    let setup = setup().await;
    let eve = setup.kyc.person("eve").tier(KycTier::T2).create();
    setup.kyc.clock().advance(TOO_OLD);
    let url = setup.app.url("/recent");
    let page = setup.browser.sign_in(url, &eve).await.unwrap();
    page.assert_status(403);
    assert!(page.body().contains("another person"), "{}", page.body());
    assert_eq!(setup.me().await["subject"], setup.ada.id());
    let fetch = setup.fetch("/recent").await;
    assert_eq!(fetch.json()["code"], "authentication_too_old");
}

#[tokio::test]
async fn the_challenge_names_max_age() {
    let setup = setup().await;
    let challenge = |page: &Page| page.header("www-authenticate").unwrap().to_owned();
    let start = "Bearer error=\"insufficient_user_authentication\"";

    // The tier is the reason, and the sign-in is recent.
    let page = setup.fetch("/recent/t3").await;
    assert_eq!(page.assert_status(401).json()["code"], "tier_too_low");
    let step_up = &page.json()["step_up_url"];
    assert!(!step_up.as_str().unwrap().contains("max_age"), "{step_up}");
    let both = format!("{start}, acr_values=\"t3\", max_age=\"300\"");
    assert_eq!(challenge(&page), both);

    setup.kyc.clock().advance(TOO_OLD);
    let page = setup.fetch("/recent").await;
    let body = page.assert_status(401).json();
    assert_eq!(body["code"], "authentication_too_old");
    assert_eq!(
        body["step_up_url"],
        "/auth/step-up?tier=t2&max_age=300&return_to=%2F"
    );
    assert_eq!(challenge(&page), format!("{start}, max_age=\"300\""));
    let form = setup
        .browser
        .post_form(setup.app.url("/pay"), &[])
        .await
        .unwrap();
    // The person never returns to the target of a form.
    assert!(form.history().iter().any(|(_, url)| {
        url.query_pairs()
            .any(|(name, value)| name == "return_to" && value == "/")
    }));
}

#[tokio::test]
async fn fresh_does_not_ask_for_a_login() {
    let setup = setup().await;
    setup.kyc.clock().advance(25 * MINUTE);
    setup.open("/fresh").await.assert_ok();
    assert_eq!(setup.trips(), 0);
}

#[tokio::test]
async fn a_malformed_max_age_is_ignored() {
    let setup = setup().await;
    for bad in [
        "",
        "-1",
        "%2B5",
        "5.0",
        "86401",
        "99999999999",
        "1&max_age=2",
    ] {
        let page = setup
            .open(&format!("/auth/step-up?tier=t2&max_age={bad}"))
            .await;
        let to = page.assert_status(303).location().unwrap();
        assert_eq!(to.path(), "/authorize");
        let is_sent = to
            .query_pairs()
            .any(|(name, _)| name == "max_age" || name == "prompt");
        assert!(!is_sent, "{bad}: {to}");
    }
}

/// Returns the parameters of an authorization request, and asserts that no parameter occurs twice.
fn parameters(page: &Page) -> BTreeMap<String, String> {
    let to = page.assert_status(303).location().unwrap();
    assert_eq!(to.path(), "/authorize");
    let pairs: Vec<_> = to.query_pairs().into_owned().collect();
    let parameters: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(
        parameters.len(),
        pairs.len(),
        "a parameter is repeated: {to}"
    );
    parameters
}

#[tokio::test]
async fn login_parameters_have_an_allow_list() {
    // Covers threat case 27 and contract rows K16, K17.
    let setup = setup().await;
    let long = |length: usize| "a".repeat(length);
    let languages = |count: usize| vec!["de"; count].join("+");
    for (name, sent, expected) in [
        ("prompt", "login".to_owned(), Some("login".to_owned())),
        ("prompt", "consent".to_owned(), Some("consent".to_owned())),
        ("prompt", "none".to_owned(), None),
        ("prompt", "select_account".to_owned(), None),
        ("prompt", "login+consent".to_owned(), None),
        ("prompt", "LOGIN".to_owned(), None),
        ("prompt", "login&prompt=consent".to_owned(), None),
        ("login_hint", long(254), Some(long(254))),
        ("login_hint", long(255), None),
        ("login_hint", String::new(), None),
        (
            "login_hint",
            "a%40b.example%26prompt%3Dnone".to_owned(),
            Some("a@b.example&prompt=none".to_owned()),
        ),
        ("login_hint", "a%0Ab".to_owned(), None),
        ("login_hint", "a%C2%85b".to_owned(), None),
        ("login_hint", "a&login_hint=b".to_owned(), None),
        (
            "ui_locales",
            "de-AT+de".to_owned(),
            Some("de-AT de".to_owned()),
        ),
        (
            "ui_locales",
            languages(5),
            Some("de de de de de".to_owned()),
        ),
        ("ui_locales", languages(6), None),
        ("ui_locales", long(35), Some(long(35))),
        ("ui_locales", long(36), None),
        ("ui_locales", "d".to_owned(), None),
        ("ui_locales", "de++en".to_owned(), None),
        ("ui_locales", "de_AT".to_owned(), None),
        ("ui_locales", "de&ui_locales=en".to_owned(), None),
        ("max_age", "0".to_owned(), None),
        ("id_token_hint", "x".to_owned(), None),
        ("acr_values", "t0".to_owned(), None),
        ("display", "popup".to_owned(), None),
    ] {
        let page = setup.open(&format!("/auth/login?{name}={sent}")).await;
        let parameters = parameters(&page);
        assert_eq!(parameters.get(name), expected.as_ref(), "{name}={sent}");
        let usual = 8 + usize::from(expected.is_some());
        assert_eq!(parameters.len(), usual, "{name}={sent}");
    }
}

#[tokio::test]
async fn no_parameter_of_the_authorization_request_occurs_twice() {
    // K16
    let kyc = MockIssuer::start().await;
    let app = kyc.serve(|config| {
        let config = config.authorize_parameter("prompt", "consent");
        let config = config.authorize_parameter("ui_locales", "fr");
        tenant_app(config.authorize_parameter("brand", "a"))
    });
    let app = app.await.unwrap();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let browser = kyc.browser();
    let open = async |path: &str| {
        let page = browser.open(app.url(path)).await.unwrap();
        let mut parameters = parameters(&page);
        ["prompt", "ui_locales", "brand"].map(|name| parameters.remove(name).unwrap())
    };
    assert_eq!(open("/auth/login").await, ["consent", "fr", "a"]);
    let own = open("/auth/login?prompt=login&ui_locales=de").await;
    assert_eq!(own, ["login", "de", "a"]);
    let login = app.url("/auth/login");
    browser.sign_in(login, &ada).await.unwrap().assert_ok();
    assert_eq!(open("/auth/step-up?tier=t2").await, ["consent", "fr", "a"]);
    let again = open("/auth/step-up?tier=t2&max_age=300").await;
    assert_eq!(again, ["login", "fr", "a"]);
}

#[tokio::test]
async fn a_cross_site_login_has_no_parameters() {
    // Covers threat case 27.
    let setup = setup().await;
    let path = "/auth/login?prompt=login&login_hint=a&ui_locales=de&return_to=/recent";
    let sent = |page: &Page| {
        let parameters = parameters(page);
        ["prompt", "login_hint", "ui_locales"].map(|name| parameters.contains_key(name))
    };
    for (site, expected) in [
        ("none", true),
        ("same-origin", true),
        ("same-site", false),
        ("cross-site", false),
    ] {
        let browser = setup.kyc.browser();
        let page = browser
            .request(Method::GET, setup.app.url(path))
            .header("sec-fetch-site", site)
            .stay()
            .send()
            .await
            .unwrap();
        assert_eq!(sent(&page), [expected; 3], "{site}");
    }
}

#[tokio::test]
async fn a_step_up_hints_the_subject_and_never_the_email() {
    // K17
    for (hint, expected) in [
        (None, Some("subject")),
        (Some(StepUpHint::Subject), Some("subject")),
        (Some(StepUpHint::Email), Some("email")),
        (Some(StepUpHint::None), None),
    ] {
        let kyc = MockIssuer::start().await;
        let app = kyc.serve(|config| {
            let config = config.scopes(["openid", "kyc", "email"]);
            tenant_app(match hint {
                Some(hint) => config.step_up_hint(hint),
                None => config,
            })
        });
        let app = app.await.unwrap();
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        let browser = kyc.browser();
        let login = app.url("/auth/login");
        browser.sign_in(login, &ada).await.unwrap().assert_ok();
        let page = browser
            .open(app.url("/auth/step-up?tier=t3"))
            .await
            .unwrap();
        let parameters = parameters(&page);
        let expected = expected.map(|kind| match kind {
            "email" => ada.email(),
            _ => ada.id().to_owned(),
        });
        assert_eq!(parameters.get("login_hint"), expected.as_ref());
        let has_email = parameters.values().any(|value| *value == ada.email());
        assert_eq!(has_email, hint == Some(StepUpHint::Email));
    }
}
